"""The address in MAIL FROM:<…> and RCPT TO:<…>, by the grammar of RFC 5321, section 4.1.2.

Printable ASCII only, so that it can be put into a header or a log line unchanged.
"""

from __future__ import annotations

import re

__all__ = ["parse_path"]

_NULL_SENDER = "<>"  # aiosmtpd does not accept an empty one

_LOCAL = r"""(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+|"(?:[ !#-\[\]-~]|\\[ -~])*")"""
_DOMAIN = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[!-Z^-~]+\])"
_PATH = re.compile(
    rf"<(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"  # a source route, to be ignored: appendix C
    rf"(?P<mailbox>{_LOCAL}(?:@{_DOMAIN})?)>(?:\s+(?P<parameters>.*))?"
)
_NULL_PATH = re.compile(r"<>(?:\s+(?P<parameters>.*))?")
_MAX_LENGTH = 320  # 64 and 255, section 4.5.3.1, and "@"


def parse_path(text: str) -> tuple[str, str] | None:
    """Split a path from the parameters after it.

    Returns:
        the mailbox, or "<>" if it is empty, and the parameters; None if this is not a path.
    """
    if match := _NULL_PATH.fullmatch(text):
        return _NULL_SENDER, match["parameters"] or ""
    match = _PATH.fullmatch(text)
    if match is None or len(match["mailbox"]) > _MAX_LENGTH:
        return None
    return match["mailbox"], match["parameters"] or ""
