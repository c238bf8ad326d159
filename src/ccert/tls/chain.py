"""Verify certificate chains without a connection, with ``trust_server_ccerts`` on or off.

Handshakes call the same C function to decide (``csrc/chain.c``).
"""

from __future__ import annotations

import collections
import datetime
import functools
import os
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ccert import _openssl
from ccert.errors import ConfigError
from ccert.tls.files import PEM_MARK, load_anchors, read_chain, read_file
from ccert.tls.observation import observe
from ccert.tls.settings import check_settings, warn_of_many_anchors
from ccert.verdict import Trust, Verdict
from ccert.x509_errors import X509VErr

if TYPE_CHECKING:
    from cryptography import x509

    from ccert.tls.files import CAData, StrPath
    from ccert.tls.settings import TrustServerCcerts

    Octets = bytes | bytearray | memoryview
    Chain = StrPath | Octets | Iterable[str | Octets | x509.Certificate]

__all__ = ["ChainVerifier"]

_CACHE_SIZE = 1024  # certificates
_CACHED_SIZE = 4096  # octets of DER; decoded, it takes several times as much
_SEQUENCE = b"\x30"  # the first octet of a certificate's DER
_NO_CHAIN = (
    "a chain is a path, PEM, DER, or a list of certificates (PEM, DER or cryptography's), {}"
)


class _Certificates:
    """A cache of decoded certificates by their DER; evicts the least recently used.

    The members of a clique send the same intermediates all day.
    """

    def __init__(self) -> None:
        self._decoded: collections.OrderedDict[bytes, Any] = collections.OrderedDict()
        self._lock = threading.Lock()

    def decode(self, der: bytes) -> Any:  # noqa: ANN401 - cdata
        with self._lock:
            if der in self._decoded:
                self._decoded.move_to_end(der)
                return self._decoded[der]
        decoded = _openssl.certificate(der)
        if len(der) > _CACHED_SIZE:  # unknown clients must not exhaust the memory
            return decoded
        with self._lock:
            self._decoded[der] = decoded
            if len(self._decoded) > _CACHE_SIZE:
                self._decoded.popitem(last=False)
        return decoded


def _load(
    verifier: _openssl.Verifier,
    *,
    cafile: StrPath | None = None,
    cadata: str | bytes | None = None,
) -> None:
    """Load trusted CAs, as ``ssl.SSLContext.load_verify_locations`` does; see load_anchors()."""
    if cafile is not None:
        verifier.load(os.fsencode(cafile))
    if cadata is not None:
        if isinstance(cadata, str) and "-----BEGIN TRUSTED " in cadata:
            raise ValueError("only OpenSSL's file loader reads trust settings: give cafile=")
        ders = read_chain("cadata", cadata.encode()) if isinstance(cadata, str) else [cadata]
        for number, der in enumerate(ders, 1):
            try:
                verifier.trust(_openssl.certificate(der))
            except ConfigError as error:
                raise ValueError(f"certificate {number} is broken: {error}") from error


class ChainVerifier:
    """Verify chains of client certificates as a server with these settings would.

    Many threads may use it at once.  It works with any Python, whichever OpenSSL its ``ssl`` uses.

    .. warning::
        See :class:`ccert.ServerContext` for what ``trust_server_ccerts`` means.

    Args:
        cafile: trusted CAs, PEM.
        capath: trusted CAs, a directory made by ``openssl rehash``.
        cadata: trusted CAs, PEM, or the DER of one.
        trust_server_ccerts: as for :class:`ccert.ServerContext`.
        verify_depth: as for :class:`ccert.ServerContext`.
        auth_level: OpenSSL's security level, 0 to 5 (SSL_CTX_set_security_level(3)).  Python's
            ``ssl`` uses 2, Postfix 0.

    Raises:
        ConfigError: a file or a setting is unusable, or no CA is given.
        TypeError: a setting is of the wrong type.

    Warns:
        UserWarning: ``trust_server_ccerts`` together with more than 20 trusted CAs.
    """

    def __init__(  # noqa: PLR0913 - names are Postfix's and OpenSSL's
        self,
        *,
        cafile: StrPath | None = None,
        capath: StrPath | None = None,
        cadata: CAData | None = None,
        trust_server_ccerts: TrustServerCcerts = False,
        verify_depth: int = 9,
        auth_level: int = 2,
    ) -> None:
        check_settings("ask", trust_server_ccerts, verify_depth)
        if not isinstance(auth_level, int) or isinstance(auth_level, bool):
            raise TypeError(f"auth_level must be an int, not {auth_level!r}")
        if auth_level not in range(6):
            raise ConfigError(f"auth_level must be 0 to 5, not {auth_level!r}")
        if cafile is None and capath is None and cadata is None:
            raise ConfigError("no trusted CA: give cafile, capath or cadata")
        self._trust_server_ccerts = trust_server_ccerts
        self._verifier = _openssl.Verifier.new(verify_depth=verify_depth, auth_level=auth_level)
        self._certificates = _Certificates()
        self._settings = {
            "trust_server_ccerts": trust_server_ccerts,
            "verify_depth": verify_depth,
            "auth_level": auth_level,
        }
        load_anchors(functools.partial(_load, self._verifier), cafile, capath, cadata)
        warn_of_many_anchors(trust_server_ccerts, self._verifier.anchors(), stacklevel=3)

    def __repr__(self) -> str:
        settings = " ".join(f"{name}={value!r}" for name, value in self._settings.items())
        return f"<{type(self).__name__} {settings} trusted_cas={self._verifier.anchors()}>"

    def verify(
        self,
        chain: Chain,
        at: datetime.datetime | None = None,
    ) -> Verdict:
        """Verify a chain, leaf first, as a client would send it.

        Args:
            chain: a PEM file's path; or certificates as PEM (str or bytes); or the DER of one; or a
                sequence of certificates, each PEM, DER or a ``cryptography`` certificate.  A
                certificate that OpenSSL cannot decode makes the chain untrusted; in a handshake it
                would be a fatal error.  So would a chain of more than 100 kB
                (SSL_CTX_set_max_cert_list(3)), but this method verifies it.
            at: the time of verification; a naive value means UTC.  Default: now.

        Returns:
            The verdict.  If a certificate cannot be decoded, ``error_code`` is 1
            (X509_V_ERR_UNSPECIFIED), and ``error_depth`` is the certificate's position.

        Raises:
            ConfigError: there is no certificate, or the file cannot be read.
            TypeError: an argument is of the wrong type.
        """
        ders = _ders(chain)
        moment = int(time.time()) if at is None else _unix_time(at)
        decoded = []
        for depth, der in enumerate(ders):
            try:
                decoded.append(self._certificates.decode(der))
            except ConfigError as error:
                return _undecodable(depth, str(error))
        on = self._trust_server_ccerts is True
        facts = self._verifier.verify(decoded, moment, trust_server_ccerts=on)
        if self._trust_server_ccerts != "observe":
            return Verdict(**facts)
        return Verdict(**facts, would_be=observe(facts, self._verifier, ders, moment))


def _ders(chain: Chain) -> list[bytes]:
    if isinstance(chain, os.PathLike) or (isinstance(chain, str) and not _is_pem(chain)):
        return read_chain(f"chain file {chain}", read_file("chain file", chain))
    if isinstance(chain, str | bytes | bytearray | memoryview):
        octets = chain.encode() if isinstance(chain, str) else bytes(chain)
        return [octets] if octets.startswith(_SEQUENCE) else read_chain("chain", octets)
    if not isinstance(chain, Iterable):
        raise TypeError(_NO_CHAIN.format(f"not {type(chain).__name__}"))
    ders = [der for item in chain for der in _of_item(item)]
    if not ders:
        raise ConfigError("chain: no certificate found")
    return ders


def _is_pem(text: str) -> bool:
    return PEM_MARK.decode() in text


def _of_item(item: str | bytes | bytearray | memoryview | x509.Certificate) -> list[bytes]:
    if isinstance(item, bytes | bytearray | memoryview):
        octets = bytes(item)
        return read_chain("chain", octets) if PEM_MARK in octets else [octets]
    if isinstance(item, str) and _is_pem(item):
        return read_chain("chain", item.encode())
    if isinstance(item, str) or not hasattr(item, "public_bytes"):
        paths = "; verify each file by itself" if isinstance(item, str | os.PathLike) else ""
        raise TypeError(_NO_CHAIN.format(f"not with a {type(item).__name__} in it{paths}"))
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - optional

    return [item.public_bytes(Encoding.DER)]


def _unix_time(at: datetime.datetime) -> int:
    if not isinstance(at, datetime.datetime):
        raise TypeError(f"at must be a datetime.datetime, not {type(at).__name__}")
    aware = at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)
    return int(aware.timestamp())


def _undecodable(depth: int, reason: str) -> Verdict:
    return Verdict(
        trust=Trust.UNTRUSTED,
        trusted_as_server=False,
        error=f"certificate cannot be decoded: {reason}",
        error_code=X509VErr.UNSPECIFIED,
        error_depth=depth,
        subject="",
        issuer="",
        fingerprint="",
        pubkey_fingerprint="",
    )
