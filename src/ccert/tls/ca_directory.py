"""Read a directory of CAs made by ``openssl rehash``, all at once.

OpenSSL would read each file only when a chain needs it.  Other threads that look up the same name
meanwhile would find only some of its certificates, and refuse chains that are trusted.  A verdict
would also depend on earlier look-ups.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ccert import _openssl
from ccert.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    StrPath = str | os.PathLike[str]

__all__ = ["hashed_files"]

_NAME = re.compile(r"(?P<hash>[0-9a-f]{8})\.(?P<crl>r?)(?P<number>0|[1-9]\d*)")


def hashed_files(capath: StrPath) -> list[Path]:
    """List the files in a CA directory that OpenSSL would find: CAs first, then CRLs.

    Raises:
        ConfigError: the directory cannot be read, or OpenSSL would find nothing there.
    """
    names = _names(capath)
    certificates = [path for path in _counted(capath, names, "") if _is_named_rightly(path)]
    crls = list(_counted(capath, names, "r"))
    if not certificates and not crls:
        raise ConfigError(
            f"CA directory {capath}: no hashed certificate found; run openssl rehash {capath}"
        )
    return certificates + crls


def _names(capath: StrPath) -> set[str]:
    if not isinstance(capath, str | os.PathLike):
        raise TypeError(f"CA directory: must be a path, not {type(capath).__name__}")
    try:
        return set(os.listdir(capath))  # noqa: PTH208 - only names are needed
    except OSError as error:
        raise ConfigError(f"CA directory {capath}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"CA directory {capath!r}: {error}") from error


def _counted(capath: StrPath, names: set[str], crl: str) -> Iterator[Path]:
    """Yield the files 0, 1, … of each hash, up to the first gap, as OpenSSL does."""
    matches = (_NAME.fullmatch(name) for name in names)
    for hashed in sorted({match["hash"] for match in matches if match and match["crl"] == crl}):
        number = 0
        while (name := f"{hashed}.{crl}{number}") in names:
            yield Path(capath, name)
            number += 1


def _is_named_rightly(path: Path) -> bool:
    """Return whether a file contains a certificate whose hash is the file's name.

    Otherwise OpenSSL would not find it, so ccert must not read and trust it.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"CA file {path}: {error.strerror}; run openssl rehash {path.parent}"
        ) from error
    for der in filter(None, _openssl.pem_certificates(text)):
        with contextlib.suppress(ConfigError):  # loading the file will report it
            if _openssl.subject_hash(_openssl.certificate(der)) == path.stem:
                return True
    return False
