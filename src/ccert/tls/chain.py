"""Verify certificate chains without a connection, with ``trust_server_ccerts`` on or off.

Handshakes call the same C function to decide (``csrc/chain.c``).
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import itertools
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccert import _openssl
from ccert.errors import ConfigError
from ccert.tls.ca_directory import hashed_files
from ccert.tls.chain_forms import ders_of
from ccert.tls.files import load_anchors, read_chain, read_regular
from ccert.tls.observation import observe
from ccert.tls.settings import check_settings, warn_of_many_anchors
from ccert.verdict import Trust, Verdict
from ccert.x509_errors import X509VErr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ccert.tls.chain_forms import Chain
    from ccert.tls.files import CAData
    from ccert.tls.paths import StrPath
    from ccert.tls.settings import TrustServerCcerts

__all__ = ["ChainVerifier"]

_BATCH = 256  # chains
_CACHE_SIZE = 1024  # certificates
_CACHED_SIZE = 4096  # octets of DER; decoded, it takes several times as much


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

    Many threads may use it at once.  It can be pickled, for other processes: they read the files
    again, and it is an error if their content has changed.  It works with any Python, whichever
    OpenSSL its ``ssl`` uses.

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
        self._cached = functools.lru_cache(_CACHE_SIZE)(_openssl.certificate)
        self._digest = _digest(cafile, capath)
        load_anchors(functools.partial(_load, self._verifier), cafile, capath, cadata)
        if _digest(cafile, capath) != self._digest:
            raise ConfigError("the trusted CAs changed while they were being read: try again")
        self._arguments: dict[str, Any] = {
            "cafile": None if cafile is None else Path(cafile).absolute(),
            "capath": None if capath is None else Path(capath).absolute(),
            "cadata": cadata if cadata is None or isinstance(cadata, str) else bytes(cadata),
            "trust_server_ccerts": trust_server_ccerts,
            "verify_depth": verify_depth,
            "auth_level": auth_level,
        }
        warn_of_many_anchors(trust_server_ccerts, self._verifier.anchors(), stacklevel=3)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments: who unpickles reads the files again, and they must be the same."""
        return _unpickled, (type(self), self._arguments, self._digest)

    def __repr__(self) -> str:
        names = ("trust_server_ccerts", "verify_depth", "auth_level")
        settings = " ".join(f"{name}={self._arguments[name]!r}" for name in names)
        return f"<{type(self).__name__} {settings} trusted_cas={self.trusted_cas}>"

    @property
    def trusted_cas(self) -> int:
        """How many CAs it trusts."""
        return self._verifier.anchors()

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
        moment = int(time.time()) if at is None else _unix_time(at)
        decoded = self._decoded(chain)
        if isinstance(decoded, Verdict):
            return decoded
        on = self._trust_server_ccerts is True
        facts = self._verifier.verify(decoded, moment, trust_server_ccerts=on)
        return self._verdict(facts, decoded, moment)

    def verify_many(
        self, chains: Iterable[Chain], at: datetime.datetime | None = None
    ) -> Iterator[Verdict]:
        """Verify chains, each as :meth:`verify` does; yield the verdicts in their order.

        The GIL is given away once for 256 chains, not once for each, so threads wait less for each
        other.  So many chains are read ahead.

        Args:
            chains: as for :meth:`verify`.
            at: the time of verification; default: when this method is called.

        Raises:
            ConfigError, TypeError: as :meth:`verify`, when the chain's turn comes.
        """
        moment = int(time.time()) if at is None else _unix_time(at)
        return self._verify_many(iter(chains), moment)

    def _verify_many(self, chains: Iterator[Chain], moment: int) -> Iterator[Verdict]:
        on = self._trust_server_ccerts is True
        error: Exception | None = None
        while error is None:
            batch: list[list[Any] | Verdict] = []
            try:
                for chain in itertools.islice(chains, _BATCH):
                    batch.append(self._decoded(chain))  # noqa: PERF401 - keeps those before an error
            except Exception as raised:  # noqa: BLE001 - those before it get their verdicts first
                error = raised
            if not batch:
                break
            decodable = [each for each in batch if not isinstance(each, Verdict)]
            facts = iter(self._verifier.verify_many(decodable, moment, trust_server_ccerts=on))
            for each in batch:
                if isinstance(each, Verdict):
                    yield each
                else:
                    yield self._verdict(next(facts), each, moment)
        if error is not None:
            raise error

    def _decoded(self, chain: Chain) -> list[Any] | Verdict:
        """Return the certificates, or the verdict if one of them cannot be decoded."""
        decoded = []
        for depth, der in enumerate(ders_of(chain)):
            try:
                decoded.append(self._decode(der))
            except ConfigError as error:
                return _undecodable(depth, str(error))
        return decoded

    def _decode(self, der: bytes) -> Any:  # noqa: ANN401 - cdata
        """Decode, with a cache: the members of a clique send the same intermediates all day."""
        if len(der) > _CACHED_SIZE:  # unknown clients must not exhaust the memory
            return _openssl.certificate(der)
        return self._cached(der)

    def _verdict(self, facts: dict[str, Any], decoded: list[Any], moment: int) -> Verdict:
        if self._trust_server_ccerts != "observe":
            return Verdict(**facts)
        return Verdict(**facts, would_be=observe(facts, self._verifier, decoded, moment))


def _digest(cafile: StrPath | None, capath: StrPath | None) -> bytes:
    """Return a digest of what the files contain."""
    digest = hashlib.sha256()
    for path in (
        *([] if cafile is None else [cafile]),
        *(hashed_files(capath) if capath is not None else []),
    ):
        octets = read_regular("CA file", path)
        digest.update(len(octets).to_bytes(8, "big") + octets)
    return digest.digest()


def _unpickled(
    kind: type[ChainVerifier], arguments: dict[str, Any], digest: bytes
) -> ChainVerifier:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the first one has warned of
        verifier = kind(**arguments)
    if verifier._digest != digest:  # noqa: SLF001 - of the class in this module
        raise ConfigError("the trusted CAs have changed since this ChainVerifier was pickled")
    return verifier


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
