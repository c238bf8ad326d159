"""The forms in which a program may have a chain: a path, PEM, DER, objects of cryptography."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, TypeGuard

from ccert._openssl import pem_certificates
from ccert.errors import ConfigError
from ccert.tls.files import read_chain, read_file
from ccert.tls.paths import PEM_MARK

if TYPE_CHECKING:
    from cryptography import x509

    from ccert.tls.paths import StrPath

    Octets = bytes | bytearray | memoryview
    Chain = StrPath | Octets | Iterable[str | Octets | x509.Certificate]

__all__ = ["Chain", "ders_of"]

# A certificate's DER: a SEQUENCE of more than 127 octets.  Text may begin with "0", too; and DER
# may contain PEM, as in a comment.
_DER = re.compile(rb"\x30[\x80-\xff]")
_NO_CHAIN = (
    "a chain is a path, PEM, DER, or a list of certificates (PEM, DER or cryptography's), {}"
)


def ders_of(chain: Chain) -> list[bytes]:
    """Return the DER of each certificate; b"" stands for one that is broken.

    Raises:
        ConfigError: there is no certificate, or the file cannot be read.
        TypeError: this is no chain.
    """
    if isinstance(chain, os.PathLike) or (isinstance(chain, str) and not _is_pem(chain)):
        return read_chain(f"chain file {chain}", read_file("chain file", chain))
    if isinstance(chain, str | bytes | bytearray | memoryview):
        octets = _encoded(chain) if isinstance(chain, str) else bytes(chain)
        return [octets] if _DER.match(octets) else read_chain("chain", octets)
    if (
        not isinstance(chain, Iterable)
        or isinstance(chain, AbstractSet | Mapping)
        or hasattr(chain, "read")
    ):
        raise TypeError(_NO_CHAIN.format(f"not {type(chain).__name__}"))
    ders = [der for item in chain for der in _of_item(item)]
    if not ders:
        raise ConfigError("chain: no certificate found")
    return ders


def _is_pem(text: str) -> bool:
    return PEM_MARK.decode() in text


def _of_item(item: object) -> list[bytes]:
    if isinstance(item, bytes | bytearray | memoryview):
        octets = bytes(item)
        is_pem = PEM_MARK in octets and not _DER.match(octets)
        # whatever a peer sent in the place of a certificate: a verdict, no error
        return (pem_certificates(octets) if is_pem else []) or [octets]
    if isinstance(item, str) and _is_pem(item):
        return read_chain("chain", _encoded(item))
    if not _is_certificate(item):
        paths = "; verify each file by itself" if isinstance(item, str | os.PathLike) else ""
        raise TypeError(_NO_CHAIN.format(f"not with a {type(item).__name__} in it{paths}"))
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - optional

    return [item.public_bytes(Encoding.DER)]


def _encoded(text: str) -> bytes:
    return text.encode("ascii", "replace")  # only comments can be anything else


def _is_certificate(item: object) -> TypeGuard[x509.Certificate]:
    """Return whether this is cryptography's, which is optional; nobody has one without it."""
    x509 = sys.modules.get("cryptography.x509")
    return x509 is not None and isinstance(item, x509.Certificate)
