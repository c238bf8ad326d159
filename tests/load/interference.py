"""Connections on which what TLS sends does not get onto the wire as it should."""

from __future__ import annotations

import asyncio
import socket

from load.connection import Connection


class CutError(Exception):
    """The client stops here, amid what it had to say."""


class Cut(Connection):
    """Sends so many octets of TLS, then raises CutError."""

    def __init__(self, reader, writer, at: int) -> None:
        super().__init__(reader, writer)
        self._left = at

    async def transmit(self, octets: bytes) -> None:
        if self.tls:
            octets = octets[: self._left]
            self._left -= len(octets)
        await self.put(octets)
        if self.tls and not self._left:
            raise CutError


class Tampered(Connection):
    """Changes a bit of what TLS sends, then raises CutError.

    Args:
        at: the octet that has it.
        mask: which one it is.
    """

    def __init__(self, reader, writer, at: int, mask: int) -> None:
        super().__init__(reader, writer)
        self._left = at
        self._mask = mask

    async def transmit(self, octets: bytes) -> None:
        if self.tls and self._left < len(octets):
            changed = bytearray(octets)
            changed[self._left] ^= self._mask
            await self.put(changed)
            raise CutError
        self._left -= len(octets) if self.tls else 0
        await self.put(octets)


class Garbled(Connection):
    """Sends garbage in place of a flight of TLS, then raises CutError.

    Args:
        flight: 0 is the ClientHello, 1 the rest of the handshake, 2 what comes after it.
    """

    def __init__(self, reader, writer, flight: int, garbage: bytes) -> None:
        super().__init__(reader, writer)
        self._flights_left = flight
        self._garbage = garbage

    async def transmit(self, octets: bytes) -> None:
        if self.tls and not self._flights_left:
            await self.put(self._garbage)
            raise CutError
        self._flights_left -= bool(self.tls)
        await self.put(octets)


class Dribbled(Connection):
    """Sends what TLS sends octet by octet, each in a packet of its own."""

    async def transmit(self, octets: bytes) -> None:
        size = 1 if self.tls else len(octets)
        for start in range(0, len(octets), size):
            await self.put(octets[start : start + size])


class Counted(Connection):
    """Counts the octets of TLS."""

    sent = 0

    async def transmit(self, octets: bytes) -> None:
        self.sent += len(octets) if self.tls else 0
        await self.put(octets)


class Deaf(Connection):
    """Has room for few replies."""

    @classmethod
    async def open(cls, port: int):
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=deaf))
