"""A mail server in a process of its own: aiosmtpd on ccert or on stock ``ssl``.

Usage: see process.py.  Settings: ``directory`` of the certificates, ``variant``, ``loop``, and
``port``, which several servers may share (0: any).  To any question it answers how many messages it
took, how many handshakes ended with its trusted peer, its CPU seconds and its memory.

Either server looks at its client after the handshake, as one would that cares: ccert's by
CcertMixin, which also makes the log line that nobody reads here, stock's by getpeercert().
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from pathlib import Path

import uvloop
from aiosmtpd.smtp import SMTP
from footprint import footprint
from process import raise_file_limit, say
from variants import NAME, VARIANTS

from ccert.aiosmtpd import CcertMixin

BACKLOG = 1024
IDLE = 3600  # seconds; longer than any bench


class Counter:
    """A handler that throws mail away, and counts."""

    delivered = trusted = 0

    async def handle_DATA(self, _server, _session, envelope) -> str:
        assert envelope.rcpt_tos == ["b@mx.example"]
        self.delivered += envelope.content.endswith(b"Hello.\r\n")
        return "250 2.0.0 counted"


class OnCcert(CcertMixin, Counter):
    def handle_STARTTLS(self, server, session, envelope) -> bool:
        super().handle_STARTTLS(server, session, envelope)
        self.trusted += session.ccert.trusted_as_server and session.ccert.subject == NAME
        return True


class OnSsl(Counter):
    def handle_STARTTLS(self, _server, session, _envelope) -> bool:
        self.trusted += VARIANTS["ssl's default"].knows(session.ssl["ssl_object"])
        return True


HANDLERS = {"ccert": OnCcert, "ssl's default": OnSsl}


def listen(port: int) -> socket.socket:
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # or asyncio would not set TCP_NODELAY
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    return listener


async def serve(directory: str, variant: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    context = VARIANTS[variant].server(Path(directory))
    handler = HANDLERS[variant]()
    listener = listen(port)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="mx.example", tls_context=context, timeout=IDLE, loop=loop),
        sock=listener,
        backlog=BACKLOG,
    )
    asked = asyncio.Queue()
    loop.add_reader(0, lambda: asked.put_nowait(sys.stdin.readline()))
    say(port=listener.getsockname()[1])
    while await asked.get():
        say(
            delivered=handler.delivered,
            trusted=handler.trusted,
            cpu=time.process_time(),
            **footprint(),
        )
    loop.remove_reader(0)
    server.close()


def main() -> None:
    settings = json.loads(sys.argv[1])
    raise_file_limit()
    loop = {"asyncio": asyncio, "uvloop": uvloop}[settings.pop("loop")].new_event_loop()
    loop.run_until_complete(serve(**settings))


if __name__ == "__main__":
    main()
