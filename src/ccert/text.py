"""Text of strangers, in one printable line and in other programs' protocols."""

__all__ = ["printable", "xtext"]


def printable(text: str) -> str:
    """Put "?" for each character that is not printable, as Postfix does.

    Besides control characters these are separators that some programs end a line at (U+0085,
    U+2028), what turns the direction of writing, and octets that were no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)


def xtext(text: str) -> str:
    """Encode as in RFC 3461, section 4: "+2B" for "+", likewise what is not printable ASCII."""
    printable = range(ord("!"), ord("~") + 1)
    octets = text.encode()
    return "".join(chr(o) if o in printable and o != ord("+") else f"+{o:02X}" for o in octets)
