"""aiosmtpd's sessions with what the mixin adds, and how logs and policy services see them."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from aiosmtpd import smtp

from ccert.text import one_word, printable

if TYPE_CHECKING:
    from ccert.tls.peer import Peer

__all__ = ["Envelope", "Session", "attributes", "client_name", "log_decision", "sender"]

_log = logging.getLogger("ccert")


class Session(smtp.Session):
    """For annotations: aiosmtpd's Session with what the mixin adds.

    Attributes:
        ccert: the client; None without TLS.
    """

    ccert: Peer | None


class Envelope(smtp.Envelope):
    """For annotations: aiosmtpd's Envelope with what the mixin adds.

    Attributes:
        ccert_headers: of PREPEND actions; only if a recipient was accepted.
        ccert_instance: identifies the message to policy services.
    """

    ccert_headers: list[str]
    ccert_instance: str


def client_name(session: Session) -> str:
    """Name the client as Postfix does without a name lookup: "unknown[192.0.2.1]"."""
    return f"unknown[{session.peer[0]}]" if session.peer else "unknown"


def sender(mail_from: str | None) -> str:
    """Return the sender of an envelope; the null sender, "<>" in aiosmtpd, becomes ""."""
    return "" if mail_from is None or mail_from == "<>" else mail_from


def log_decision(
    decision: str,
    session: Session,
    command: str,
    why: str,
    *,
    helo: str | None = None,
    **ends: str,
) -> None:
    """Log a refusal as Postfix does; ``ends``: the sender and the recipient, if known."""
    _log.info(
        "%s: %s from %s: %s; %sproto=%s helo=<%s>",
        decision,
        command,
        client_name(session),
        printable(why),
        "".join(f"{end}=<{one_word(address)}> " for end, address in ends.items()),
        _protocol(session),
        one_word(helo or session.host_name or ""),
    )


def _protocol(session: Session) -> str:
    return "ESMTP" if session.extended_smtp else "SMTP"


def attributes(
    server: smtp.SMTP, session: Session, envelope: Envelope, recipient: str
) -> dict[str, str | int]:
    """Return the attributes for a policy service."""
    transport: Any = server.transport
    known: dict[str, str | int] = {
        "protocol_name": _protocol(session),
        "helo_name": session.host_name or "",
        "sender": sender(envelope.mail_from),
        "recipient": recipient,
        "instance": envelope.ccert_instance,
    }
    ends = {"client": session.peer, "server": transport.get_extra_info("sockname")}
    for end, address in ends.items():
        if isinstance(address, tuple):
            known |= {f"{end}_address": str(address[0]), f"{end}_port": address[1]}
    for option in envelope.mail_options:
        if size := re.fullmatch(r"SIZE=(\d{1,18})", option, re.ASCII):
            known["size"] = size[1]
    return known
