"""mailserver - what the clients connect to: aiosmtpd on a context of ours, in a thread of its own.

One port offers STARTTLS, the other speaks TLS at once.  Both keep what is delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import threading
from typing import TYPE_CHECKING

import pytest
import uvloop
from aiosmtpd.smtp import SMTP

from ccert.aiosmtpd import CcertMixin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import ccert

TIMEOUT = 20  # seconds, for whatever should take none

on_each_loop = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


@dataclasses.dataclass(frozen=True)
class Delivery:
    """A message, and who brought it."""

    peer: ccert.Peer
    message: bytes


class _Handler(CcertMixin):
    def __init__(self, server: MailServer) -> None:
        super().__init__()
        self.server = server

    async def handle_DATA(self, _server, session, envelope) -> str:
        self.server.keep(Delivery(session.ccert, envelope.content))
        return "250 2.0.0 kept"


class _Connection(SMTP):
    """Tells when it is over: uvloop complains of a loop that is closed before."""

    over: asyncio.Future[None] | None = None

    def connection_made(self, transport) -> None:
        if self.over is None:  # STARTTLS makes it twice
            self.over = self.loop.create_future()
            self.event_handler.server.connections.append(self.over)
        super().connection_made(transport)

    def connection_lost(self, error) -> None:
        super().connection_lost(error)
        if not self.over.done():
            self.over.set_result(None)


class MailServer:
    """Two ports and what was delivered there."""

    def __init__(self, context: ccert.ServerContext) -> None:
        self.port = 0  # STARTTLS
        self.tls_port = 0
        self.connections: list[asyncio.Future[None]] = []
        self._context = context
        self._servers: list[asyncio.Server] = []
        self._deliveries: list[Delivery] = []
        self._changed = threading.Condition()

    def keep(self, delivery: Delivery) -> None:
        with self._changed:
            self._deliveries.append(delivery)
            self._changed.notify_all()

    def deliveries(self, count: int = 1) -> list[Delivery]:
        """Wait until there are so many; fail if they do not come, or if there are more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._deliveries) >= count, TIMEOUT)
            assert len(self._deliveries) == count
            return list(self._deliveries)

    async def open(self, port: int, tls_port: int) -> None:
        starttls = {"tls_context": self._context, "require_starttls": True}
        self.port = await self._listen(port, None, **starttls)
        self.tls_port = await self._listen(tls_port, self._context)

    async def _listen(self, port: int, tls: ccert.ServerContext | None, **settings) -> int:
        def connection() -> SMTP:
            return _Connection(_Handler(self), hostname="mx.example", **settings)

        server = await asyncio.get_running_loop().create_server(
            connection, "127.0.0.1", port, ssl=tls, reuse_port=True
        )
        self._servers.append(server)
        return server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        if self.connections:
            await asyncio.wait(self.connections, timeout=TIMEOUT)
        for server in self._servers:
            await server.wait_closed()


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a loopback port for a later :func:`serving`."""
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]


@contextlib.contextmanager
def serving(
    context: ccert.ServerContext,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    ports: tuple[int, int] = (0, 0),
) -> Iterator[MailServer]:
    """Serve until the block ends, on ports of the system's choice unless they are given."""
    server = MailServer(context)
    with contextlib.closing(new_loop()) as loop:
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(server.open(*ports), loop).result(TIMEOUT)
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(server.close(), loop).result(TIMEOUT)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(TIMEOUT)
