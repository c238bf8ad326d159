"""Read a directory of CAs made by ``openssl rehash``, all at once.

OpenSSL would read each file only when a chain needs it.  Other threads that look up the same name
meanwhile would find only some of its certificates, and refuse chains that are trusted.  A verdict
would also depend on earlier look-ups.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ccert import _openssl
from ccert.errors import ConfigError
from ccert.tls.paths import LARGEST, check_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccert.tls.paths import StrPath

__all__ = ["hashed_files"]

_NAME = re.compile(r"(?P<hash>[0-9a-f]{8})\.(?P<crl>r?)(?P<number>0|[1-9]\d*)")


def hashed_files(capath: StrPath) -> list[Path]:
    """List the files in a CA directory that OpenSSL would find: CAs first, then CRLs.

    Raises:
        ConfigError: the directory cannot be read, OpenSSL would find nothing there, or a file holds
            more than it may.
    """
    names = _names(capath)
    certificates = list(_certificate_files(capath, names))
    crls = list(_crl_files(capath, names))
    if not certificates and not crls:
        raise ConfigError(
            f"CA directory {capath}: no hashed certificate found; run openssl rehash {capath}"
        )
    return certificates + crls


def _names(capath: StrPath) -> set[str]:
    check_path("CA directory", capath)
    try:
        return set(os.listdir(capath))  # noqa: PTH208 - only names are needed
    except OSError as error:
        raise ConfigError(f"CA directory {capath}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"CA directory {capath!r}: {error}") from error


def _certificate_files(capath: StrPath, names: set[str]) -> Iterator[Path]:
    """Yield the files of certificates whose hash is the file's name.

    OpenSSL would not find others, so ccert must not read and trust them.
    """
    for hashed in _hashes(names, ""):
        for path in _counted(capath, names, f"{hashed}."):
            ders = _certificates_in(path)
            if not ders:  # where OpenSSL stops
                break
            named_rightly = [_hash(der) == hashed for der in ders]
            if any(named_rightly) and not all(named_rightly):
                raise ConfigError(
                    f"CA file {path}: it also contains a certificate that is broken, or that has "
                    "another hash; put each into a file of its own and run openssl rehash"
                )
            if all(named_rightly):
                yield path


def _crl_files(capath: StrPath, names: set[str]) -> Iterator[Path]:
    for hashed in _hashes(names, "r"):
        for path in _counted(capath, names, f"{hashed}.r"):
            if _certificates_in(path):  # which would be trusted
                raise ConfigError(f"CRL file {path}: it contains a certificate")
            yield path


def _hashes(names: set[str], crl: str) -> list[str]:
    matches = (_NAME.fullmatch(name) for name in names)
    return sorted({match["hash"] for match in matches if match and match["crl"] == crl})


def _counted(capath: StrPath, names: set[str], prefix: str) -> Iterator[Path]:
    """Yield the files 0, 1, … up to the first gap, as OpenSSL does."""
    number = 0
    while (name := f"{prefix}{number}") in names:
        yield Path(capath, name)
        number += 1


def _certificates_in(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"CA file {path}: {error.strerror}; run openssl rehash {path.parent}"
        ) from error
    if len(text) > LARGEST:
        raise ConfigError(f"CA file {path}: more than {LARGEST >> 20} MB")
    return _openssl.pem_certificates(text)


def _hash(der: bytes) -> str:
    try:
        return _openssl.subject_hash(_openssl.certificate(der))
    except ConfigError:
        return ""
