"""Names of files and directories, checked before anything is opened."""

from __future__ import annotations

import os

from ccert.errors import ConfigError

__all__ = ["LARGEST", "PEM_MARK", "StrPath", "check_path"]

StrPath = str | os.PathLike[str]

_LONGEST = 4096  # characters: Linux's PATH_MAX
LARGEST = 64 << 20  # octets of a file
PEM_MARK = b"-----BEGIN "


def check_path(what: str, path: object) -> None:
    """Raise TypeError or ConfigError unless this can be a name; ``what`` begins the message."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{what}: must be a path, not {type(path).__name__}")
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"{what}: the path must be text, not {type(name).__name__}")
    if not name:
        raise ConfigError(f"{what}: the name is empty")
    if PEM_MARK.decode() in name:  # which may be a key, and must not get into a log
        raise ConfigError(f"{what}: this is PEM, not a name")
    if "\n" in name or len(name) > _LONGEST:  # likewise: a key may lack its first line
        raise ConfigError(f"{what}: this is text, not a name")
