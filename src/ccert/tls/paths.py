"""Names of files and directories, checked before anything is opened."""

from __future__ import annotations

import os

from ccert.errors import ConfigError

__all__ = ["LARGEST", "PEM_MARK", "StrPath", "check_path"]

StrPath = str | os.PathLike[str]

LARGEST = 64 << 20  # octets of a file
PEM_MARK = b"-----BEGIN "


def check_path(what: str, path: object) -> None:
    """Raise TypeError or ConfigError unless this can be the name of a file; see ``what`` it is."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{what}: must be a path, not {type(path).__name__}")
    if not os.fspath(path):
        raise ConfigError(f"{what}: the name is empty")
    if PEM_MARK.decode() in os.fspath(path):  # which may be a key, and must not get into a log
        raise ConfigError(f"{what}: this is PEM, not a name")
