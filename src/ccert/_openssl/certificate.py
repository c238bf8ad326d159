"""Certificates that did not come from a handshake; see ``csrc/certificate.c``."""

from __future__ import annotations

from typing import Any

from ccert._openssl.library import ffi, lib, reason
from ccert.errors import ConfigError

__all__ = [
    "certificate",
    "certificate_expiry",
    "certificate_identity",
    "lists_server_only",
    "subject_hash",
]


def certificate(der: bytes) -> Any:  # noqa: ANN401 - cdata
    """Decode a certificate into an ``X509 *``.

    Raises:
        ConfigError: OpenSSL cannot decode it, or octets follow it.
    """
    decoded = lib.ccert_certificate_new(der, len(der))
    if not decoded:
        raise ConfigError(reason())
    return ffi.gc(decoded, lib.ccert_certificate_free)


def certificate_expiry(decoded: Any) -> int:  # noqa: ANN401 - cdata
    """Return a certificate's notAfter as a Unix time; 0 if it cannot be read."""
    return int(lib.ccert_certificate_expiry(decoded))


def certificate_identity(decoded: Any) -> bytes:  # noqa: ANN401 - cdata
    """Return what all certificates of one CA share: a digest of subject and public key."""
    out = ffi.new("unsigned char[32]")
    if not lib.ccert_certificate_identity(decoded, out):
        raise ConfigError(reason())
    return bytes(out)


def lists_server_only(decoded: Any) -> bool:  # noqa: ANN401 - cdata
    """Return whether a certificate's EKU lists serverAuth and not clientAuth."""
    return bool(lib.ccert_certificate_lists_server_only(decoded))


def subject_hash(decoded: Any) -> str:  # noqa: ANN401 - cdata
    """Return the hash by which ``openssl rehash`` names a certificate decoded by certificate()."""
    return f"{lib.ccert_certificate_subject_hash(decoded):08x}"
