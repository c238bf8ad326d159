"""The actions of access tables and policy services, as in access(5).

ccert is a library, not a mail system: it can permit, refuse, leave the decision to the next check,
and prepend a header.  Postfix's other actions (HOLD, FILTER, …) are errors, never a silent "yes".
"""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

from ccert.errors import ConfigError
from ccert.text import printable, printable_ascii

__all__ = ["Action", "parse_action"]

_REFUSALS = {  # access_map_reject_code, access_map_defer_code and the texts of smtpd(8)
    "REJECT": ("554", "Access denied"),
    "DEFER": ("450", "Access denied"),
    "DEFER_IF_PERMIT": ("450", "Service unavailable"),  # no later check could still reject
}
_STATUS = re.compile(r"[245](\.\d{1,3}\.\d{1,3})(?:\s+|\Z)", re.ASCII)  # RFC 3463, section 2
_CODE = re.compile(r"[45]\d\d", re.ASCII)
_HEADER = re.compile(r"[!-9;-~]+:.*", re.DOTALL)  # RFC 5322, section 2.2
_REPLY_OCTETS = 510  # RFC 5321, section 4.5.3.1.5, without CR and LF
_HEADER_OCTETS = 998  # RFC 5322, section 2.1.1, likewise


@dataclasses.dataclass(frozen=True)
class Action:
    """An action to take.

    Attributes:
        verb: "permit", "refuse", "dunno" (go on to the next check), or "prepend" (add the header,
            then as "dunno").
        text: refuse: the whole SMTP reply, "554 5.7.1 Access denied", in printable ASCII, at most
            510 octets.  prepend: the header, "X-Name: text", one line, perhaps not ASCII.
            dunno: the text that INFO or WARN logs, "info: text"; "" otherwise.
    """

    verb: Literal["permit", "refuse", "dunno", "prepend"]
    text: str = ""


def parse_action(text: str) -> Action:
    """Read an action: the right-hand side of a table, or a policy service's answer.

    Replies have the codes, enhanced status codes and texts of smtpd(8), without the leading "<…>: …
    rejected:".  421 and 521 do not disconnect.  White space characters become spaces, and other
    characters that are not printable ASCII become "?".

    Args:
        text: such as "REJECT 5.7.1 Not here", "450 4.7.1 Later", "DUNNO".

    Raises:
        ConfigError: ccert does not support it, for example DISCARD, HOLD, FILTER, REDIRECT, BCC,
            DEFER_IF_REJECT, and names of restrictions and tables.  Likewise for 550 without a text:
            it looks like a refusal, but for Postfix it permits (an all-numerical result).
    """
    word, *others = re.split("[ \t]", text, maxsplit=1)
    rest = "".join(others).strip()
    verb = word.upper() if word.isascii() else word  # upper() would turn a dotless i into I
    code, reason = _REFUSALS.get(verb, (verb, "Access denied"))
    if _CODE.fullmatch(code):
        if not rest and code == verb:
            raise ConfigError(f"action {code}: add a text to refuse, or use OK to permit")
        return _refusal(code, rest, reason)
    if verb in {"OK", "RELAY"} or (verb == "PERMIT" and not rest) or re.fullmatch("[0-9]+", text):
        return Action("permit")
    if verb == "DUNNO":
        return Action("dunno")
    if verb in {"INFO", "WARN"}:
        return Action("dunno", printable(f"{verb.lower()}: {rest}"))
    if verb == "PREPEND":
        return _prepend(rest)
    raise ConfigError(
        f"action {text[:60]!r}: none of OK, RELAY, PERMIT, REJECT, DEFER, DEFER_IF_PERMIT, "
        "4NN text, 5NN text, DUNNO, INFO, WARN, PREPEND"
    )


def _refusal(code: str, text: str, reason: str) -> Action:
    status = _STATUS.match(text)
    detail = ".7.1"
    if status:
        detail = status[1]
        text = text[status.end() :]
    line = re.sub(r"\s", " ", f"{code} {code[0]}{detail} {text or reason}")  # code wins
    return Action("refuse", printable_ascii(line)[:_REPLY_OCTETS])


def _prepend(header: str) -> Action:
    if not _HEADER.fullmatch(header):
        raise ConfigError(f"action PREPEND {header[:60]!r}: not a header of the form NAME: TEXT")
    if not all(c.isprintable() or c == "\t" for c in header):
        raise ConfigError(f"action PREPEND {header[:60]!r}: the header is not one printable line")
    if len(header.encode()) > _HEADER_OCTETS:
        raise ConfigError(f"action PREPEND {header[:60]!r}: more than {_HEADER_OCTETS} octets")
    return Action("prepend", header)
