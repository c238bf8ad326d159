"""A verifier of TLS servers' chains in plain Python: asn1crypto reads, ecdsa or pow() checks.

Written for the bench, as somebody would who must not have anything compiled (hashlib excepted).  It
does what RFC 5280, section 6.1, asks of a chain that is sent in order, but for names constraints
and policies, which it refuses as unknown critical extensions.  Do not use it.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

from asn1crypto.algos import DigestInfo
from asn1crypto.x509 import Certificate
from ecdsa import BadSignatureError, VerifyingKey
from ecdsa.util import sigdecode_der

__all__ = ["Anchor", "InvalidChainError"]

KNOWN = {"basic_constraints", "key_usage", "extended_key_usage", "subject_alt_name"}


class InvalidChainError(Exception):
    """The chain does not hold; the message says why."""


def must(holds: bool, what: str) -> None:
    if not holds:
        raise InvalidChainError(what)


class Signer:
    """A certificate whose key has signed another."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        key = certificate.public_key
        self._ec = VerifyingKey.from_der(key.dump()) if key.algorithm == "ec" else None
        self._rsa: dict[str, int] = {} if self._ec else key["public_key"].parsed.native

    def check(self, signed: Certificate) -> None:
        """Check the signature of a certificate.

        Raises:
            InvalidChainError: it is not by this key.
        """
        algorithm = signed["signature_algorithm"]
        digest = hashlib.new(algorithm.hash_algo, signed["tbs_certificate"].dump()).digest()
        signature = signed["signature_value"].native
        if self._ec:
            must(algorithm.signature_algo == "ecdsa", "the key is no ECDSA key")
            try:
                self._ec.verify_digest(signature, digest, sigdecode=sigdecode_der)
            except BadSignatureError:
                raise InvalidChainError("bad signature") from None
        else:
            must(algorithm.signature_algo == "rsassa_pkcs1v15", "the key is no RSA key")
            must(self._padded(algorithm.hash_algo, digest) == self._opened(signature), "bad RSA")

    def _opened(self, signature: bytes) -> bytes:
        number = pow(
            int.from_bytes(signature, "big"), self._rsa["public_exponent"], self._rsa["modulus"]
        )
        return number.to_bytes(self._size(), "big")

    def _padded(self, name: str, digest: bytes) -> bytes:
        """Encode as RFC 8017, 9.2: comparing that is safer than parsing."""
        info = {"digest_algorithm": {"algorithm": name}, "digest": digest}
        encoded = DigestInfo(info).dump()
        return b"\0\1" + b"\xff" * (self._size() - len(encoded) - 3) + b"\0" + encoded

    def _size(self) -> int:
        return (self._rsa["modulus"].bit_length() + 7) // 8


class Anchor:
    """A trusted root."""

    def __init__(self, der: bytes) -> None:
        self._signer = Signer(Certificate.load(der))

    def verify(self, ders: list[bytes]) -> list[Certificate]:
        """Verify a TLS server's chain, leaf first, without the root.

        Raises:
            InvalidChainError: it does not hold.
        """
        chain = [Certificate.load(der) for der in ders]
        now = datetime.datetime.now(datetime.timezone.utc)
        signer = self._signer
        for below, certificate in reversed(list(enumerate(chain))):
            _check_fields(certificate, now)
            must(certificate.issuer == signer.certificate.subject, "issued by somebody else")
            signer.check(certificate)
            if below:
                _check_ca(certificate, below - 1)
                signer = Signer(certificate)
        return [*chain, self._signer.certificate]


def _check_fields(certificate: Certificate, now: datetime.datetime) -> None:
    must(certificate.not_valid_before <= now <= certificate.not_valid_after, "not valid now")
    must(certificate.critical_extensions <= KNOWN, "unknown critical extension")
    usages: Any = certificate.extended_key_usage_value
    must(usages is None or "server_auth" in usages.native, "not for servers")


def _check_ca(certificate: Certificate, intermediates_below: int) -> None:
    constraints, usage = certificate.basic_constraints_value, certificate.key_usage_value
    must(constraints is not None and constraints["ca"].native, "not a CA")
    limit = certificate.max_path_length
    must(limit is None or intermediates_below <= limit, "path too long")
    must(usage is None or "key_cert_sign" in usage.native, "must not sign certificates")
