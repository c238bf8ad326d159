"""Other software that verifies a client's chain without a connection, each told to expect a server.

Every function takes the trusted root's DER, which is loaded beforehand, and returns a function that
takes the DER of a leaf and its intermediates and returns the chain, or raises.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import asn1crypto.x509
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store
from OpenSSL import crypto
from pyhanko_certvalidator import CertificateValidator, ValidationContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["cryptography", "parsed", "pyhanko", "pyopenssl"]


def parsed(ders: list[bytes]) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(der) for der in ders]


def _lists_server(policy, certificate, usages) -> None:  # noqa: ARG001 - the callback's signature
    if usages is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        raise ValueError("serverAuth is not listed")


def cryptography(root: bytes) -> Callable[[list[x509.Certificate]], list[x509.Certificate]]:
    """Use cryptography's ``ClientVerifier``; it takes certificates that are :func:`parsed`."""
    usage = (x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _lists_server)
    verifier = (
        PolicyBuilder()
        .store(Store(parsed([root])))
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca().may_be_present(*usage),
            ee_policy=ExtensionPolicy.webpki_defaults_ee().may_be_present(*usage),
        )
        .build_client_verifier()
    )
    return lambda chain: verifier.verify(chain[0], chain[1:]).chain


@contextlib.contextmanager
def pyhanko(root: bytes) -> Iterator[Callable[[list[bytes]], Any]]:
    """Use pyhanko-certvalidator; its event loop, which is 1 % of it, lasts as long as the block."""
    anchor = asn1crypto.x509.Certificate.load(root)

    def verify(ders: list[bytes]):
        leaf, *intermediates = (asn1crypto.x509.Certificate.load(der) for der in ders)
        context = ValidationContext(trust_roots=[anchor], allow_fetching=False)
        validator = CertificateValidator(leaf, intermediates, validation_context=context)
        return loop.run_until_complete(validator.async_validate_usage(set(), {"server_auth"}))

    with contextlib.closing(asyncio.new_event_loop()) as loop:
        yield verify


def pyopenssl(root: bytes) -> Callable[[list[bytes]], list[crypto.X509]]:
    """Use pyOpenSSL's ``X509StoreContext``, which has no way to ask for a usage."""
    store = crypto.X509Store()
    store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, root))

    def verify(ders: list[bytes]) -> list[crypto.X509]:
        leaf, *intermediates = (crypto.load_certificate(crypto.FILETYPE_ASN1, d) for d in ders)
        return crypto.X509StoreContext(store, leaf, intermediates).get_verified_chain()

    return verify
