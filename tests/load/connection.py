"""A client's end of an SMTP connection, its TLS done by hand: octets can be counted and changed."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
PATIENCE = 60  # seconds for whatever must happen
_CHUNK = 65536


class StuckError(AssertionError):
    """The server did not do in time what it must do."""


async def patiently(awaited: Awaitable[T]) -> T:
    try:
        return await asyncio.wait_for(awaited, PATIENCE)
    except asyncio.TimeoutError:
        raise StuckError(f"nothing happened for {PATIENCE} s") from None


class Connection:
    """Speaks SMTP, as well as what is no SMTP.  Use ``await Connection.open(port)``.

    A connection that the server ended is an OSError, ssl.SSLError included.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tls: Any = None  # ssl.SSLObject, or a foreign one
        self._reader = reader
        self._writer = writer
        self._received = b""

    @classmethod
    async def open(cls, port: int, *args, **kwargs):
        reader, writer = await patiently(asyncio.open_connection("127.0.0.1", port))
        return cls(reader, writer, *args, **kwargs)

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """End the connection with RST; what is on its way may get lost."""
        self._writer.transport.abort()

    # -- octets --

    async def transmit(self, octets: bytes) -> None:
        """Send what is to be sent; subclasses interfere here."""
        await self.put(octets)

    async def put(self, octets: bytes) -> None:
        """Put octets on the wire as they are."""
        self._writer.write(octets)
        await patiently(self._writer.drain())

    async def receive(self) -> bytes:
        """Take octets from the wire as they are; b"" at the end."""
        return await patiently(self._reader.read(_CHUNK))

    async def receive_to_end(self) -> None:
        """Wait until the server ends the connection, in whatever way."""
        try:
            while await self.receive():
                pass
        except ConnectionError:
            pass

    def say_no_more(self) -> None:
        """Send FIN, and go on listening."""
        self._writer.write_eof()

    # -- TLS --

    async def start_tls(self, context: Any, session: ssl.SSLSession | None = None) -> None:
        """Shake hands."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost", session=session
        )
        await self.shake_hands()

    async def shake_hands(self) -> None:
        await self._carry_out(self.tls.do_handshake)

    async def _carry_out(self, action: Callable[..., Any], *args: object) -> Any:
        while True:
            try:
                return action(*args)
            except ssl.SSLWantReadError:
                pass
            finally:  # also what is to be sent because of an error: an alert
                await self._flush()
            octets = await self.receive()
            if not octets:
                raise ConnectionResetError("the server ended the connection")
            self._incoming.write(octets)

    async def _flush(self) -> None:
        if octets := self._outgoing.read():
            await self.transmit(octets)

    # -- SMTP --

    async def send(self, octets: bytes) -> None:
        if self.tls:
            while octets:
                octets = octets[await self._carry_out(self.tls.write, octets) :]
        else:
            await self.transmit(octets)

    async def command(self, line: str) -> int:
        """Send a command; return the code of its reply."""
        await self.send(line.encode() + b"\r\n")
        return await self.reply()

    async def reply(self) -> int:
        """Return the code of the next reply."""
        while True:
            line, end, rest = self._received.partition(b"\r\n")
            if end:
                self._received = rest
                if line[3:4] != b"-":
                    return int(line[:3])
                continue
            self._received += await self._next()

    async def _next(self) -> bytes:
        octets = await (self._carry_out(self.tls.read, _CHUNK) if self.tls else self.receive())
        if not octets:
            raise ConnectionResetError("the server ended the connection")
        return octets
