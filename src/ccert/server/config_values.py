"""Convert the values of parameters, as Postfix does.

Each function takes the text and returns the value, or raises ValueError with what is expected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ccert.names import is_host_name
from ccert.server.endpoint import Endpoint, parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["endpoints", "hostname", "number", "one_of", "seconds", "table", "text", "yes_no"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MAX = 2**31 - 1
_TABLE_TYPE = re.compile(r"(?P<type>[a-z]+):(?P<path>.*)")


def text(value: str) -> str:
    """Return the text unchanged; "" means not given."""
    return value


def yes_no(value: str) -> bool:
    """Read "yes" or "no"."""
    return one_of("yes", "no")(value.lower()) == "yes"


def one_of(*words: str) -> Callable[[str], str]:
    """Make a function that accepts these words."""

    def convert(value: str) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is not {' or '.join(words)}")
        return value

    return convert


def number(least: int) -> Callable[[str], int]:
    """Make a function that reads an integer, ``least`` or more."""

    def convert(value: str) -> int:
        if not (value.isascii() and value.isdigit() and least <= int(value) <= _MAX):
            raise ValueError(f"{value!r} is not a whole number from {least} to {_MAX}")
        return int(value)

    return convert


def seconds(value: str) -> int:
    """Read a time: an integer with a unit, s (the default), m, h, d or w; not 0."""
    match = re.fullmatch(r"(\d{1,10})([smhdw]?)", value, re.ASCII)
    duration = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < duration <= _MAX:
        raise ValueError(f"{value!r} is not a time such as 100s or 5m")
    return duration


def hostname(value: str) -> str:
    """Read a host name; "" means not given."""
    if value and not is_host_name(value):
        raise ValueError(f"{value!r} is not a host name")
    return value


def endpoints(value: str) -> tuple[Endpoint, ...]:
    """Read one or more ``HOST:PORT``, separated by commas or white space."""
    return tuple(parse_endpoint(word) for word in re.split(r"[\s,]+", value) if word)


def table(value: str) -> str:
    """Read the name of a table, ``texthash:/path`` or a path; return the path."""
    match = _TABLE_TYPE.fullmatch(value)
    if match and match["type"] != "texthash":
        raise ValueError(
            f"tables of type {match['type']} cannot be read: "
            f"give the text that it is made from, as texthash:{match['path']}"
        )
    return match["path"] if match else value
