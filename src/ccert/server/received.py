"""The trace header lines of a message: its origin, and the names in the client's certificate.

They follow RFC 5321, section 4.4, and Postfix's ``smtpd_tls_received_header``.  Nothing from the
client or its certificate can end a line, a comment or a quoted string.
"""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import ipaddress
from typing import TYPE_CHECKING

from ccert.text import printable_ascii

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccert.tls.peer import Peer

__all__ = ["Trace"]

_SPECIALS = ' <>()\\";@'  # Postfix replaces these in HELO names


@dataclasses.dataclass(frozen=True)
class Trace:
    """The facts about a message's arrival.

    Attributes:
        helo: the client's HELO or EHLO name.
        address: its IP address; "" if it is not known.
        protocol: "SMTP" or "ESMTP".
        peer: the client's, from TLS; None without TLS.
        asked: whether a certificate was requested.
        hostname: of this server.
        id: of the message.
        sender: "" for a bounce.
        recipients: at least one.
    """

    helo: str
    address: str
    protocol: str
    peer: Peer | None
    asked: bool
    hostname: str
    id: str
    sender: str
    recipients: Sequence[str]

    def lines(self, prepended: Sequence[str] = ()) -> list[str]:
        """Return the lines, without line ends; ``prepended`` lines go above Received."""
        return [
            f"Return-Path: <{self.sender}>",
            *(f"Delivered-To: {recipient}" for recipient in self.recipients),
            *prepended,
            f"Received: from {_word(self.helo)} (unknown [{self._literal()}])",
            *(f"\t{line}" for line in self._tls()),
            *(f"\t{line}" for line in self._by()),
        ]

    def _literal(self) -> str:
        try:
            address = ipaddress.ip_address(self.address.partition("%")[0])
        except ValueError:
            return "unknown"
        return f"IPv6:{address}" if address.version == 6 else str(address)  # noqa: PLR2004

    def _tls(self) -> list[str]:
        peer = self.peer
        if peer is None:
            return []
        bits = f"({peer.cipher_bits}/{peer.cipher_algorithm_bits} bits)"
        lines = [f"(using {peer.protocol} with cipher {peer.cipher} {bits}"]
        server = peer.server_signature.summary("server") if peer.server_signature else ""
        if peer.key_exchange:
            lines.append(f" key-exchange {peer.key_exchange}{server}")
        if peer.client_signature:
            lines.append(peer.client_signature.summary("client"))
        lines[-1] += ")"
        if peer.fingerprint:
            verified = "verified OK" if peer.trust else "not verified"
            names = f'(Client CN "{_comment(peer.subject)}", Issuer "{_comment(peer.issuer)}"'
            lines.append(f"{names} ({verified}))")
        elif self.asked:
            lines.append("(Client did not present a certificate)")
        else:
            lines.append("(No client certificate requested)")
        return lines

    def _by(self) -> list[str]:
        # RFC 3848 defines ESMTPS, but not SMTPS
        secure = "S" if self.peer is not None and self.protocol == "ESMTP" else ""
        by = f"by {self.hostname} (ccert) with {self.protocol}{secure} id {self.id}"
        now = email.utils.format_datetime(datetime.datetime.now().astimezone())
        if len(self.recipients) == 1:
            return [by, f"for <{self.recipients[0]}>; {now}"]
        return [f"{by};", now]


def _comment(text: str) -> str:
    """Make a certificate's name safe for a quoted string in a comment."""
    return printable_ascii(text, also='()\\"')


def _word(text: str) -> str:
    """Make a HELO name safe for use in place of a domain."""
    return printable_ascii(text, also=_SPECIALS)
