"""A message that says in itself who sent it, how, and what its text was."""

from __future__ import annotations

import dataclasses
import email
import hashlib
import re

from load.cast import ROLES

_TEXT = b"".join(b"%08x the quick brown fox jumps over the lazy dog\r\n" % n for n in range(8192))
_LINE = _TEXT.index(b"\n") + 1


@dataclasses.dataclass(frozen=True)
class Message:
    """One attempt to deliver.

    Attributes:
        identifier: unlike that of any other attempt, also to deliver the same.
        role: of the client.
        protocol: as ``ssl`` names it: "TLSv1.3".
        lines: how many.
    """

    identifier: str
    role: str
    protocol: str
    lines: int

    @property
    def sender(self) -> str:
        return f"{self.identifier}@{ROLES[self.role].domain}"

    def encode(self) -> bytes:
        """Return what follows DATA, without the final dot."""
        start = hash(self.identifier) % 4096 * _LINE
        text = _TEXT[start : start + self.lines * _LINE]
        head = (
            f"From: <{self.sender}>\r\nX-Role: {self.role}\r\nX-Protocol: {self.protocol}\r\n"
            f"X-Digest: {hashlib.sha256(text).hexdigest()}\r\n\r\n"
        )
        return head.encode() + text


@dataclasses.dataclass(frozen=True)
class Delivered:
    """A file of the Maildir; ``problems``: where what it says is not what the server made of it."""

    identifier: str
    problems: list[str]


def read_delivered(octets: bytes) -> Delivered:
    """Compare what the message says of itself with the lines that the server put above it."""
    head, _, text = octets.partition(b"\n\n")
    fields = email.message_from_bytes(head)
    address = (fields["Return-Path"] or "").strip("<>")
    received = " ".join((fields["Received"] or "").split())
    role, digest = fields["X-Role"] or "", fields["X-Digest"]
    problems = []
    if fields["From"] != f"<{address}>" or address.rpartition("@")[2] != f"{role}.example":
        problems.append(f"envelope from <{address}>, but the message is {fields['From']}'s, {role}")
    if hashlib.sha256(text.replace(b"\n", b"\r\n")).hexdigest() != digest:
        problems.append(f"{address}: its text has changed")
    if f"(using {fields['X-Protocol']} with " not in received:
        problems.append(f"{address}: not by {fields['X-Protocol']}: {received}")
    if role not in ROLES or _verdict(role) not in received:
        problems.append(f"{address}: wrong verdict for {role}: {received}")
    return Delivered(address.partition("@")[0], problems)


def _verdict(role: str) -> str:
    """Return what the Received line must say of a role: its own name if Trusted, else none."""
    match ROLES[role].trust:
        case "Trusted":
            return f'(Client CN "{ROLES[role].domain}", Issuer "Clique CA" (verified OK))'
        case "Untrusted":
            return '(Client CN "", Issuer "" (not verified))'
        case _:
            return "(Client did not present a certificate)"


_LOGGED = re.compile(r"trust=(\w+), from=<(?P<id>[^@>]+)@(?P<role>[^>]+)\.example>.* delivered as ")


def read_logged(line: str) -> Delivered | None:
    """Do the same with a line of the log; None: it tells of no delivery."""
    match = _LOGGED.search(line)
    if match is None:
        return None
    expected = ROLES[match["role"]].trust
    wrong = match[1] != expected
    return Delivered(match["id"], [f"{match[0]}: not {expected}"] if wrong else [])
