"""A policy server that decides by ccert_names: one name is permitted, another is tagged."""

from __future__ import annotations

import asyncio
import sys

from ccert.postfix import Action, parse_action

ACTIONS = {"mx.other.example": "OK", "mx.partner.example": "PREPEND X-Policy: partner"}


def decide(attributes: dict[str, str]) -> str:
    for name in attributes.get("ccert_names", "").split(","):
        if name in ACTIONS:
            action: Action = parse_action(ACTIONS[name])
            assert action.verb in {"permit", "prepend"}
            return ACTIONS[name]
    return "DUNNO"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    attributes: dict[str, str] = {}
    while line := (await reader.readline()).decode(errors="replace"):
        name, equals, value = line.rstrip("\n").partition("=")
        if equals:
            attributes[name] = value
        else:
            writer.write(f"action={decide(attributes)}\n\n".encode())
            await writer.drain()
            attributes = {}
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
