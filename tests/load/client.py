"""What an honest client does: enter, deliver, quit."""

from __future__ import annotations

import dataclasses
import ssl
from typing import TYPE_CHECKING

from load.message import Message

if TYPE_CHECKING:
    from load.cast import Cast
    from load.connection import Connection

VERSIONS = {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What became of an attempt to deliver.

    Attributes:
        identifier: of the message.
        outcome: see below.
        why: the error.
    """

    identifier: str
    outcome: str
    why: str = ""


NOT_BEGUN = "not begun"  # MAIL FROM was not accepted
UNSENT = "unsent"  # the connection ended before the final dot was sent
BROKEN = "broken"  # it ended afterwards, before the reply: only the server knows
ACKNOWLEDGED = "acknowledged"


class RefusedError(Exception):
    """The server answered something else than what an honest client expects."""


@dataclasses.dataclass(frozen=True)
class Ports:
    """Where the server listens."""

    starttls: int
    implicit: int


@dataclasses.dataclass(frozen=True)
class Visit:
    """Who comes, and how."""

    role: str
    version: ssl.TLSVersion
    implicit: bool

    def port(self, ports: Ports) -> int:
        return ports.implicit if self.implicit else ports.starttls

    def message(self, identifier: str, lines: int = 10) -> Message:
        return Message(identifier, self.role, VERSIONS[self.version], lines)


async def expect(code: int, answer: int) -> None:
    if answer != code:
        raise RefusedError(f"{answer}, not {code}")


async def approach(connection: Connection, visit: Visit) -> None:
    """Come as far as to where the server waits for a ClientHello."""
    if not visit.implicit:
        await expect(220, await connection.reply())
        await expect(250, await connection.command("EHLO client.example"))
        await expect(220, await connection.command("STARTTLS"))


async def enter(
    connection: Connection, visit: Visit, cast: Cast, session: ssl.SSLSession | None = None
) -> None:
    """Come as far as to where mail may be sent."""
    await approach(connection, visit)
    await connection.start_tls(cast.context(visit.role, visit.version), session)
    if visit.implicit:
        await expect(220, await connection.reply())
    await expect(250, await connection.command("EHLO client.example"))


async def deliver(connection: Connection, message: Message) -> Attempt:
    """Try to deliver."""
    outcome = NOT_BEGUN
    try:
        await expect(250, await connection.command(f"MAIL FROM:<{message.sender}>"))
        outcome = UNSENT
        await expect(250, await connection.command("RCPT TO:<b@mx.example>"))
        await expect(354, await connection.command("DATA"))
        await connection.send(message.encode())
        outcome = BROKEN
        await connection.send(b".\r\n")
        await expect(250, await connection.reply())
    except (OSError, RefusedError) as error:
        return Attempt(message.identifier, outcome, repr(error))
    return Attempt(message.identifier, ACKNOWLEDGED)


async def leave(connection: Connection) -> None:
    await expect(221, await connection.command("QUIT"))
    connection.close()
