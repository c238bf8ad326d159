"""A policy service in the test's own event loop, as well or badly behaved as the test wants."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ccert.postfix import PolicyService, access_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

DEFAULT = "451 4.3.5 Server configuration problem"
TIMEOUT = 20  # of a test that hangs
SOON = 0.2  # of a service that does not answer

Request = dict[str, str]


class Policyd:
    """What a service saw.

    Attributes:
        requests: all of them, in the order of their ends.
        connections: how many there have been.
        open: how many there are, and ``most`` were.
        ended: set when a connection comes to its end.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.connections = self.open = self.most = 0
        self.ended = asyncio.Event()


class Connection:
    """Lets the test answer."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number  # 1 is the service's first
        self._reader = reader
        self._writer = writer

    async def send(self, octets: bytes) -> None:
        self._writer.write(octets)
        await self._writer.drain()

    async def answer(self, action: str) -> None:
        await self.send(f"action={action}\n\n".encode())

    def close(self) -> None:
        self._writer.close()

    async def gone(self) -> None:
        """Wait until the client has closed."""
        await self._reader.read()


@contextlib.asynccontextmanager
async def policyd(
    path, react: Callable[[Connection, Request], Awaitable[None]]
) -> AsyncIterator[Policyd]:
    """Serve on a socket; ``react`` is called for each complete request."""
    service = Policyd()
    serving = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        service.connections += 1
        service.open += 1
        service.most = max(service.most, service.open)
        connection = Connection(service.connections, reader, writer)
        try:
            while not writer.is_closing():
                octets = await reader.readuntil(b"\n\n")
                lines = octets.decode().removesuffix("\n\n").split("\n")
                request = dict(line.split("=", 1) for line in lines)
                service.requests.append(request)
                await react(connection, request)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            service.open -= 1
            service.ended.set()
            writer.close()

    server = await asyncio.start_unix_server(serve, path, limit=1 << 25)
    try:
        yield service
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@contextlib.asynccontextmanager
async def asking(path, **kwargs):
    """A client, closed at the end."""
    service = PolicyService(f"unix:{path}", **kwargs)
    try:
        yield service
    finally:
        await service.close()


async def echo(connection, request) -> None:
    await connection.answer(f"REJECT {request['recipient']}")


def about(recipient: str, **attributes: str) -> dict[str, str]:
    return access_request(peer=None, recipient=recipient, **attributes)
