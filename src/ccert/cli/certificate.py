"""What ``ccert check`` shows of one certificate."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import warnings
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Details", "details"]

_USAGES = {
    Usage.SERVER_AUTH: "serverAuth",
    Usage.CLIENT_AUTH: "clientAuth",
    Usage.CODE_SIGNING: "codeSigning",
    Usage.EMAIL_PROTECTION: "emailProtection",
    Usage.TIME_STAMPING: "timeStamping",
    Usage.OCSP_SIGNING: "OCSPSigning",
    Usage.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}


_ATTRIBUTES = {  # of names, beyond those of RFC 4514: X.520, and the CA/Browser Forum's for EV
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "GN",
    NameOID.TITLE: "title",
    NameOID.BUSINESS_CATEGORY: "businessCategory",
    NameOID.POSTAL_CODE: "postalCode",
    NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.JURISDICTION_COUNTRY_NAME: "jurisdictionC",
    NameOID.JURISDICTION_STATE_OR_PROVINCE_NAME: "jurisdictionST",
    NameOID.JURISDICTION_LOCALITY_NAME: "jurisdictionL",
}


@dataclasses.dataclass(frozen=True)
class Details:
    """One certificate of a chain; fields are "" or None where it cannot be decoded.

    Attributes:
        role: "leaf", "intermediate" or "root".
        subject: RFC 4514.
        issuer: RFC 4514.
        names: the DNS names in the subject alternative name, which identify a host.
        usages: names of the extended key usage; None: no such extension, or see ``problem``.
        key: such as "EC 256", "RSA 2048".
        not_after: ISO 8601, UTC.
        fingerprint: SHA-256 of the DER, as in the verdict.
        problem: why it, or a part of it, cannot be decoded here.  OpenSSL may still accept it.
    """

    role: str
    subject: str = ""
    issuer: str = ""
    names: list[str] | None = None
    usages: list[str] | None = None
    key: str = ""
    not_after: str = ""
    fingerprint: str = ""
    problem: str = ""

    def days_left(self, at: datetime.datetime) -> int | None:
        """Return the days from ``at`` to the certificate's expiry; negative: it has expired."""
        if not self.not_after:
            return None
        return (datetime.datetime.fromisoformat(self.not_after) - at).days


def details(der: bytes, depth: int) -> Details:
    """Decode the fields that an administrator needs, as far as possible."""
    fingerprint = hashlib.sha256(der).hexdigest()
    known: dict[str, Any] = {
        "role": "leaf" if depth == 0 else "intermediate",
        "fingerprint": ":".join(fingerprint[i : i + 2] for i in range(0, 64, 2)).upper(),
    }
    try:
        certificate = x509.load_der_x509_certificate(der)
        if depth and certificate.subject == certificate.issuer:
            known["role"] = "root"
    except Exception as error:  # noqa: BLE001 - untrusted input can fail in many ways
        return Details(**known, problem=_words(error))
    for name, read in _FIELDS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                known[name] = read(certificate)
        except Exception as error:  # noqa: BLE001 - likewise; show the other fields
            known["problem"] = f"{name}: {_words(error)}"
    return Details(**known)


def _words(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def _usages(certificate: x509.Certificate) -> list[str] | None:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return None
    return [_USAGES.get(oid, oid.dotted_string) for oid in extension.value]


_FIELDS: dict[str, Callable[[x509.Certificate], Any]] = {
    "subject": lambda certificate: certificate.subject.rfc4514_string(_ATTRIBUTES),
    "issuer": lambda certificate: certificate.issuer.rfc4514_string(_ATTRIBUTES),
    "names": _names,
    "not_after": lambda certificate: certificate.not_valid_after_utc.isoformat(),
    "key": _key,
    "usages": _usages,
}
