"""Text of strangers as one printable line, for logs and for other programs' protocols."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """Put "?" for each character that is not printable, as Postfix does.

    Besides control characters these are separators that some programs end a line at (U+0085,
    U+2028), what turns the direction of writing, and octets that were no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)
