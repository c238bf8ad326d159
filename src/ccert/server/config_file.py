"""Read a file in the format of main.cf: ``name = value``, see postconf(5).

This is stricter than Postfix: its warnings are errors here, and "$name" is an error, not expanded.
Lines may also end in CRLF; a CR elsewhere is a control character like any other.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ccert.errors import ConfigError
from ccert.postfix.logical_lines import logical_lines
from ccert.text import printable

__all__ = ["Assignment", "read_assignments"]


@dataclasses.dataclass(frozen=True)
class Assignment:
    """A parameter, its value as text, and where it was given: "FILE, line N" or "--option"."""

    name: str
    value: str
    origin: str


def read_assignments(path: str) -> tuple[list[Assignment], list[str]]:
    """Read a file.

    Returns:
        the assignments, in their order, and an error ("FILE, line N: …") for each logical line
        that is not an assignment.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        text = Path(path).read_bytes().decode().replace("\r\n", "\n")
    except OSError as error:
        raise ConfigError(f"configuration file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"configuration file {path}: {error.reason}, it must be UTF-8") from error
    assignments, errors = [], []
    for number, raw in logical_lines(text.expandtabs()):
        line = raw.rstrip(" ")
        origin = f"{path}, line {number}"
        name, equals, value = (word.strip() for word in line.partition("="))
        if line[0] == " ":
            errors.append(f"{origin}: white space in front continues a line, but there is none")
        elif not equals or not name or len(name.split()) > 1:
            errors.append(f"{origin}: not of the form name = value")
        elif not line.isprintable():
            errors.append(f"{origin}: {printable(name)}: a control character in the value")
        elif "$" in value:
            errors.append(f'{origin}: {name}: "$" is not expanded here: write the value itself')
        else:
            assignments.append(Assignment(name, value, origin))
    return assignments, errors
