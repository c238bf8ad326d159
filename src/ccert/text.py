"""Untrusted text: as one printable line, as xtext."""

import re

__all__ = ["one_word", "printable", "printable_ascii", "xtext"]


def printable(text: str) -> str:
    """Replace each character that is not printable with "?", as Postfix does.

    Besides control characters, these are separators that some programs take for the end of a line
    (U+0085, U+2028), characters that change the writing direction, and octets that are not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)


def one_word(text: str) -> str:
    """Also replace blanks and angle brackets, so that it cannot pass for text of the log."""
    return re.sub(r"[\s<>]", "?", printable(text))


def printable_ascii(text: str, *, also: str = "") -> str:
    """Replace each character that is not printable ASCII, or is in ``also``, with "?"."""
    if not also and text.isascii() and text.isprintable():
        return text
    return re.sub(f"[^ -~]{f'|[{re.escape(also)}]' if also else ''}", "?", text)


def xtext(text: str) -> str:
    """Encode "+" (as "+2B") and all but printable ASCII as in RFC 3461, section 4."""
    printable = range(ord("!"), ord("~") + 1)
    octets = text.encode()
    return "".join(chr(o) if o in printable and o != ord("+") else f"+{o:02X}" for o in octets)
