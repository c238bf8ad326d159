"""Logical lines, as in Postfix's files: postconf(5), postmap(1).

A line whose first visible character is "#" is a comment, also between the parts of a logical line;
a line that begins with white space continues the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BLANKS", "logical_lines"]

BLANKS = " \t"  # the caller refuses other white space, whose effect nobody sees


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Join continuation lines; yield each logical line with the number of its first one.

    A continuation line without a line before it is yielded, too, with its leading white space.
    """
    number = 0
    parts: list[str] = []
    for current, line in enumerate(text.split("\n"), 1):
        if line.lstrip(BLANKS)[:1] in {"", "#"}:
            continue
        if parts and line[0] in BLANKS:
            parts.append(line)
            continue
        if parts:
            yield number, "".join(parts)
        number, parts = current, [line]
    if parts:
        yield number, "".join(parts)
