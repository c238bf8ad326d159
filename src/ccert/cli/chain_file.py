"""Read a chain from a file, whatever its format: PEM, DER or PKCS #7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ccert import _openssl
from ccert.errors import ConfigError
from ccert.tls.files import read_chain, read_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

__all__ = ["chain_in"]


def chain_in(name: str) -> list[bytes]:
    """Return the DER certificates of a file, leaf first.

    Certificates in PKCS #7 (RFC 2315), which has no order, are put in order by their issuers.

    Raises:
        ConfigError: the file cannot be read, or contains no certificate.
    """
    octets = read_file("chain file", name)
    if b"-----BEGIN PKCS7-----" in octets or b"-----BEGIN CMS-----" in octets:
        pem = octets.replace(b"CMS-----", b"PKCS7-----")
        return _of_pkcs7(name, pkcs7.load_pem_pkcs7_certificates, pem)
    if b"-----BEGIN " in octets or not octets.startswith(b"\x30"):
        return read_chain(f"chain file {name}", octets)
    try:
        _openssl.certificate(octets)
    except ConfigError:
        return _of_pkcs7(name, pkcs7.load_der_pkcs7_certificates, octets)
    return [octets]


def _of_pkcs7(
    name: str, load: Callable[[bytes], list[x509.Certificate]], octets: bytes
) -> list[bytes]:
    try:
        certificates = load(octets)
    except Exception as error:
        raise ConfigError(f"chain file {name}: neither a certificate nor PKCS #7") from error
    return [each.public_bytes(Encoding.DER) for each in _ordered(certificates)]


def _ordered(certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    issuers = [each.issuer for each in certificates if each.issuer != each.subject]
    leaves = [each for each in certificates if each.subject not in issuers] or certificates
    chain = leaves[:1]
    rest = [each for each in certificates if each not in chain]
    while above := [each for each in rest if each.subject == chain[-1].issuer]:
        chain.append(above[0])
        rest.remove(above[0])
    return chain + rest
