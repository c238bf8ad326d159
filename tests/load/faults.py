"""What clients do that they should not.

Each function is a client; it fails only where the server does not do its part.  That everybody else
goes on undisturbed is for those to see who commit the faults.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from load.client import enter, expect
from load.interference import Cut, CutError, Deaf

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from load.client import Visit
    from load.connection import Connection
    from load.scene import Scene

GARBAGE = {
    "nothing": b"",
    "http": b"GET / HTTP/1.0\r\n\r\n",
    "smtp": b"EHLO client.example\r\nMAIL FROM:<a@b>\r\nDATA\r\n",
    "ssl2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(range(37)),
    "short-hello": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
    "empty-records": b"\x16\x03\x01\x00\x00" * 1000,
    "warnings": b"\x15\x03\x03\x00\x02\x01\x5a" * 1000,
    "fatal-alert": b"\x15\x03\x03\x00\x02\x02\x50",
    "close-notify": b"\x15\x03\x03\x00\x02\x01\x00",
    "change-cipher-specs": b"\x14\x03\x03\x00\x01\x01" * 1000,
    "early-data": b"\x17\x03\x03\x00\x20" + bytes(32),
    "heartbeat": b"\x18\x03\x03\x00\x03\x01\x40\x00",
    "large-record": b"\x16\x03\x03\xff\xff" + bytes(65535),
    "large-message": b"\x16\x03\x03\x40\x00\x01\xff\xff\xff" + bytes(2**14 - 4),
    "octets": bytes(range(256)) * 100,
}


async def interfere(scene: Scene, visit: Visit, kind: type[Connection], **how) -> None:
    """Try to enter, with an interference after which the client says no more.

    That it comes too late for the handshake, or hits what does not matter, is no failure.
    """
    async with scene.connected(visit, kind, **how) as connection:
        with contextlib.suppress(CutError, OSError):
            await enter(connection, visit, scene.cast)
        await _hear_out(connection)


async def reset(scene: Scene, visit: Visit, at: int) -> None:
    """End the connection by RST after so many octets of TLS."""
    async with scene.connected(visit, Cut, at=at) as connection:
        with contextlib.suppress(CutError):
            await enter(connection, visit, scene.cast)
        connection.reset()


async def stall(scene: Scene, visit: Visit, at: int) -> None:
    """Say no more after so many octets of TLS, until the server loses its patience."""
    async with scene.connected(visit, Cut, at=at) as connection:
        with contextlib.suppress(CutError):
            await enter(connection, visit, scene.cast)
        await connection.receive_to_end()


async def babble(scene: Scene, visit: Visit, garbage: bytes) -> None:
    """Send garbage from the beginning, be it in place of SMTP or of TLS."""
    async with scene.connected(visit) as connection:
        with contextlib.suppress(OSError):
            await connection.put(garbage)
        await _hear_out(connection)


async def hang_up(scene: Scene, visit: Visit, commands: int, *, reset: bool) -> None:
    """Leave after so many commands, also amid a message; which must not be delivered."""
    async with scene.connected(visit) as connection:
        await enter(connection, visit, scene.cast)
        message = visit.message("hung-up")
        for line in [
            f"MAIL FROM:<{message.sender}>",
            "RCPT TO:<b@mx.example>",
            "DATA",
        ][:commands]:
            await connection.command(line)
        if commands == 3:
            await connection.send(message.encode())
        if reset:
            connection.reset()
        else:
            await _hear_out(connection)


_TRANSACTION = b"MAIL FROM:<a@b>\r\n" + b"RCPT TO:<b@mx.example>\r\n" * 900 + b"RSET\r\n"


async def ignore(scene: Scene, visit: Visit) -> None:
    """Send commands in bulk, before reading a reply."""
    async with scene.connected(visit, Deaf) as connection:
        await enter(connection, visit, scene.cast)
        await connection.send(_TRANSACTION)
        await _hear_out(connection)


async def deafen(scene: Scene, visit: Visit) -> None:
    """Send commands and read no reply, until the server loses its patience."""
    async with scene.connected(visit, Deaf) as connection:
        await enter(connection, visit, scene.cast)
        with contextlib.suppress(OSError):
            while True:
                await connection.send(_TRANSACTION)


async def inject(scene: Scene, visit: Visit) -> None:
    """Send commands in the clear that the server might take for what came within TLS."""
    async with scene.connected(visit) as connection:
        await expect(220, await connection.reply())
        await expect(250, await connection.command("EHLO client.example"))
        await connection.put(b"STARTTLS\r\nEHLO x\r\nMAIL FROM:<a@b>\r\n")
        await expect(220, await connection.reply())
        await connection.start_tls(scene.cast.context(visit.role, visit.version))
        await expect(250, await connection.command("NOOP"))
        await expect(503, await connection.command("RCPT TO:<b@mx.example>"))


async def renegotiate(scene: Scene, visit: Visit) -> None:
    """Demand another handshake, TLS 1.2 and a foreign client: it is refused."""
    async with scene.connected(visit) as connection:
        await enter(connection, visit, scene.cast)
        assert connection.tls.connection.renegotiate()
        await refused(connection.shake_hands())
        await _hear_out(connection)


async def overload(scene: Scene, visit: Visit) -> None:
    """Send a chain that is too large: it is refused."""
    async with scene.connected(visit) as connection:
        await refused(enter(connection, visit, scene.cast))
        await _hear_out(connection)


async def refused(request: Awaitable[None]) -> None:
    try:
        await request
    except OSError:
        return
    raise AssertionError("the server did not refuse it")


async def _hear_out(connection: Connection) -> None:
    with contextlib.suppress(OSError):
        connection.say_no_more()
    await connection.receive_to_end()
