"""Certificates for tests, by role and deviation.

Strategy: :func:`issue` makes a valid certificate; its arguments state how this one deviates.
Nothing is kept between sessions, so nothing can expire.  What ``cryptography`` refuses to make
(two extensions of one type, MD5) is patched into the to-be-signed part, which is then signed anew.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import functools
import subprocess
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SERVER = "1.3.6.1.5.5.7.3.1"
CLIENT = "1.3.6.1.5.5.7.3.2"
CODE = "1.3.6.1.5.5.7.3.3"
EMAIL = "1.3.6.1.5.5.7.3.4"
TIME = "1.3.6.1.5.5.7.3.8"
OCSP = "1.3.6.1.5.5.7.3.9"
ANY = "2.5.29.37.0"
MS_SGC = "1.3.6.1.4.1.311.10.3.3"
NS_SGC = "2.16.840.1.113730.4.1"
PRIVATE = "1.3.6.1.4.1.55555.1"

EKU = "2.5.29.37"
NS_CERT_TYPE = "2.16.840.1.113730.1.1"
_PLACEHOLDER = "2.5.29.99"  # as long as EKU's OID

DAY = datetime.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A certificate with its key; ``pem`` may carry trust settings (see :func:`with_trust`)."""

    der: bytes
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    name: x509.Name

    @property
    def pem(self) -> bytes:
        return to_pem(self.der)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def to_pem(der: bytes, kind: str = "CERTIFICATE") -> bytes:
    lines = base64.encodebytes(der).decode()
    return f"-----BEGIN {kind}-----\n{lines}-----END {kind}-----\n".encode()


class Source:
    """Where certificates take time, serial numbers and keys from: here, the system."""

    deterministic = False  # whether ECDSA signs as in RFC 6979

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)

    def serial(self) -> int:
        return x509.random_serial_number()

    def key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    def rsa_key(self, bits: int, serial: int) -> rsa.RSAPrivateKey:
        """Make a key with OpenSSL's CLI, which makes small ones, too."""
        del serial
        command = ["openssl", "genrsa", str(bits)]
        pem = subprocess.run(command, check=True, capture_output=True).stdout
        return serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)


SOURCE = Source()  # docs/vectors/generate.py replaces it


def new_key() -> ec.EllipticCurvePrivateKey:
    return SOURCE.key()


def rsa_key(bits: int, serial: int = 0) -> rsa.RSAPrivateKey:
    """One key a size and serial: RSA keys are slow to make."""
    return _rsa_key(SOURCE, bits, serial)


@functools.cache
def _rsa_key(source: Source, bits: int, serial: int) -> rsa.RSAPrivateKey:
    return source.rsa_key(bits, serial)


def common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def der(tag: int, content: bytes) -> bytes:
    """Encode one DER value."""
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def oid_der(dotted: str) -> bytes:
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    octets = b""
    for arc in (40 * first + second, *rest):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | (arc & 0x7F))
        octets += bytes(reversed(septets))
    return der(0x06, octets)


def eku_der(*usages: str) -> bytes:
    """Encode an ExtendedKeyUsage value (RFC 5280, 4.2.1.12)."""
    return der(0x30, b"".join(map(oid_der, usages)))


def key_usage(*names: str) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


def extension(oid: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ObjectIdentifier(oid), value)


def issue(
    subject: str | x509.Name,
    issuer: Certificate | None = None,
    *,
    eku: Sequence[str] | bytes | None = None,
    eku_critical: bool = False,
    second_eku: Sequence[str] | None = None,
    ca: bool = False,
    path_length: int | None = None,
    usage: x509.KeyUsage | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    names: Sequence[str] = (),
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    start: datetime.timedelta = -DAY,
    end: datetime.timedelta = 30 * DAY,
    patch: Callable[[bytes], bytes] | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> Certificate:
    """Issue a certificate; without an issuer it signs itself.

    Args:
        eku: usages, or the octets of the extension's value; None: no extension.
        second_eku: a second extension of that type, which RFC 5280 forbids.
        start, end: validity, from the source's now.
        patch: changes the to-be-signed part, which is signed again.
        digest: of the signature, else SHA-256; MD5 and SHA-1 are possible.
    """
    name = common_name(subject) if isinstance(subject, str) else subject
    key = key or new_key()
    signer = issuer.key if issuer else key
    now = SOURCE.now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.name if issuer else name)
        .public_key(key.public_key())
        .serial_number(SOURCE.serial())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer:
        builder = builder.add_extension(_issued_by(issuer), critical=False)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(True, path_length), critical=True)
        usage = usage or key_usage("key_cert_sign", "crl_sign")
    if usage:
        builder = builder.add_extension(usage, critical=True)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False
        )
    if eku is not None:
        value = eku if isinstance(eku, bytes) else eku_der(*eku)
        builder = builder.add_extension(extension(EKU, value), critical=eku_critical)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    if second_eku is not None:
        builder = builder.add_extension(
            extension(_PLACEHOLDER, eku_der(*second_eku)), critical=False
        )
    ecdsa = isinstance(signer, ec.EllipticCurvePrivateKey)
    certificate = builder.sign(
        signer, hashes.SHA256(), ecdsa_deterministic=SOURCE.deterministic if ecdsa else None
    )
    encoded = certificate.public_bytes(serialization.Encoding.DER)

    def change(tbs: bytes) -> bytes:
        tbs = tbs.replace(oid_der(_PLACEHOLDER), oid_der(EKU))
        return patch(tbs) if patch else tbs

    if second_eku is not None or patch or digest:
        encoded = resign(certificate, signer, change, digest or hashes.SHA256())
    return Certificate(encoded, key, name)


def _issued_by(issuer: Certificate) -> x509.AuthorityKeyIdentifier:
    certificate = x509.load_der_x509_certificate(issuer.der)
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


_RSA_ALGORITHMS = {"sha256": 11, "sha1": 5, "md5": 4}  # last arc of 1.2.840.113549.1.1


def resign(
    certificate: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    change: Callable[[bytes], bytes],
    digest: hashes.HashAlgorithm,
) -> bytes:
    """Sign a changed to-be-signed part; for digests other than SHA-256 with RSA only."""
    tbs = change(certificate.tbs_certificate_bytes)
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        algorithm = der(0x30, oid_der(certificate.signature_algorithm_oid.dotted_string))
        signature = signer.sign(tbs, ec.ECDSA(digest, deterministic_signing=SOURCE.deterministic))
    else:
        arc = _RSA_ALGORITHMS[digest.name]
        old = der(0x30, oid_der("1.2.840.113549.1.1.11") + b"\x05\x00")
        algorithm = der(0x30, oid_der(f"1.2.840.113549.1.1.{arc}") + b"\x05\x00")
        tbs = tbs.replace(old, algorithm)
        signature = signer.sign(tbs, padding.PKCS1v15(), digest)
    return der(0x30, tbs + algorithm + der(0x03, b"\0" + signature))


def with_trust(certificate: Certificate, *settings: str, directory: Path) -> bytes:
    """Encode as TRUSTED CERTIFICATE; settings as for openssl x509, "-addtrust", "clientAuth"."""
    path = directory / "plain.pem"
    path.write_bytes(certificate.pem)
    command = ["openssl", "x509", "-in", str(path), "-trustout", *settings]
    return subprocess.run(command, check=True, capture_output=True).stdout


def crl(
    issuer: Certificate,
    *revoked: Certificate,
    age: datetime.timedelta = DAY,
    end: datetime.timedelta = DAY,
) -> bytes:
    """Make a CRL, PEM, that was made ``age`` ago and is good until ``end`` from now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.name)
        .last_update(now - age)
        .next_update(now + end)
    )
    for certificate in revoked:
        serial = x509.load_der_x509_certificate(certificate.der).serial_number
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(now - DAY)
            .build()
        )
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
