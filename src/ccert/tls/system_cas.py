"""The system's CAs: where they are, and whether a file contains them."""

from __future__ import annotations

import contextlib
import functools
import os
import ssl
from pathlib import Path
from typing import Any

from ccert import _openssl
from ccert.errors import ConfigError

__all__ = ["CLIQUE_SIZE", "is_no_cliques", "is_system_file", "public_cas", "system_cas"]

CLIQUE_SIZE = 20  # CAs; with more, a warning
_LARGEST_CLIQUE = 50  # with more, ccert serve refuses: public root programs have over a hundred

# Where distributions keep the files of their ca-certificates package; OpenSSL's own default is
# often a link to one of them.  (The list is from Go's crypto/x509, root_linux.go.)
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs")


def system_cas() -> tuple[str, str]:
    """Return the file and the directory with the system's CAs; "" for one that does not exist.

    Raises:
        ConfigError: neither exists.
    """
    paths = ssl.get_default_verify_paths()  # heeds SSL_CERT_FILE and SSL_CERT_DIR
    if paths.cafile or paths.capath:
        return paths.cafile or "", "" if paths.cafile else paths.capath or ""
    raise ConfigError("the system has no CAs where its OpenSSL looks for them")


def is_system_file(path: str) -> bool:
    """Return whether a file or directory is the system's, or has half the CAs of a system's file.

    Half, not all: an old copy, for example in a container image, is as bad as the original.
    """
    defaults = ssl.get_default_verify_paths()
    bundles = _existing(defaults.cafile, defaults.openssl_cafile, *_BUNDLES)
    directories = _existing(defaults.capath, defaults.openssl_capath, *_DIRECTORIES)
    if os.path.realpath(path) in bundles | directories:
        return True
    own = _cas(path)
    return any(theirs and len(own & theirs) >= len(theirs) / 2 for theirs in map(_cas, bundles))


def public_cas(context: ssl.SSLContext) -> list[str]:
    """Return the names of those CAs of a context that the system trusts, too.

    A CA is known by subject and public key: there may be several certificates of one.
    """
    system = _system_identities()
    ders = context.get_ca_certs(binary_form=True)
    public = [number for number, der in enumerate(ders) if _identity(der) in system]
    return [_name(context, number) for number in public]


def _name(context: ssl.SSLContext, number: int) -> str:
    fields: dict[str, str] = {}
    with contextlib.suppress(UnicodeDecodeError, ssl.SSLError):  # a name that ssl cannot decode
        subject: Any = context.get_ca_certs()[number]["subject"]
        fields = dict(field for rdn in subject for field in rdn)
    name = fields.get("commonName") or fields.get("organizationName")
    return name or f"the CA number {number + 1}"


def _identity(der: bytes) -> bytes:
    return _openssl.certificate_identity(_openssl.certificate(der))


def _system_identities() -> frozenset[bytes]:
    defaults = ssl.get_default_verify_paths()
    bundles = _existing(defaults.cafile, defaults.openssl_cafile, *_BUNDLES)
    paths = bundles or _existing(defaults.capath, defaults.openssl_capath, *_DIRECTORIES)
    stamps = tuple((path, Path(path).stat().st_mtime_ns) for path in sorted(paths))
    return _identities(stamps)


@functools.lru_cache(maxsize=4)
def _identities(stamps: tuple[tuple[str, int], ...]) -> frozenset[bytes]:
    ders = frozenset[bytes]().union(*(_cas(path) for path, _ in stamps))
    return frozenset(map(_identity, ders))


def is_no_cliques(path: str) -> bool:
    """Return whether a file or directory has more CAs than any clique would trust."""
    return len(_cas(path)) > _LARGEST_CLIQUE


def _existing(*paths: str | None) -> set[str]:
    return {os.path.realpath(path) for path in paths if path and Path(path).exists()}


def _cas(path: str) -> set[bytes]:
    """Return the CAs (DER) that OpenSSL finds in a file, or in a directory's hashed files."""
    loader = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    directory = Path(path)
    for file in directory.glob("????????.?*") if directory.is_dir() else [directory]:
        with contextlib.suppress(ssl.SSLError, OSError):  # ServerContext reports errors
            loader.load_verify_locations(cafile=file)
    return set(loader.get_ca_certs(binary_form=True))
