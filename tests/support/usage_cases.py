"""Cases of the extended key usage, of key usage and of the Netscape certificate type."""

from __future__ import annotations

import pki
from catalogue import CASES, Case, case
from pki import ANY, CLIENT, CODE, EMAIL, MS_SGC, NS_SGC, OCSP, PRIVATE, SERVER, TIME


def _usages(name: str, off: str, on: str, usages: list[str], **more) -> None:
    CASES.append(
        Case(f"ee-{name}", f"A leaf for {name}.", off, on, lambda c: c.leaf(eku=usages, **more))
    )


def _encoding(name: str, off: str, on: str, value: bytes) -> None:
    CASES.append(Case(f"ee-{name}", f"A leaf: {name}.", off, on, lambda c: c.leaf(eku=value)))


# -- what the leaf's EKU lists --

_usages("server", "U26", "T", [SERVER])
_usages("client", "T", "T", [CLIENT])
_usages("both", "T", "T", [SERVER, CLIENT])
_usages("both-client-first", "T", "T", [CLIENT, SERVER])
_usages("email", "U26", "U26", [EMAIL])
_usages("code-signing", "U26", "U26", [CODE])
_usages("time-stamping", "U26", "U26", [TIME])
_usages("ocsp-signing", "U26", "U26", [OCSP])
_usages("any", "U26", "U26", [ANY])
_usages("ms-sgc", "U26", "U26", [MS_SGC])
_usages("ns-sgc", "U26", "U26", [NS_SGC])
_usages("private-usage", "U26", "U26", [PRIVATE])
_usages("server-and-email", "U26", "T", [SERVER, EMAIL])
_usages("server-and-code-signing", "U26", "T", [CODE, SERVER])
_usages("server-and-any", "U26", "T", [SERVER, ANY])
_usages("server-and-sgc", "U26", "T", [SERVER, MS_SGC, NS_SGC])
_usages("server-and-private-usage", "U26", "T", [PRIVATE, SERVER])
_usages("client-and-email", "T", "T", [CLIENT, EMAIL])
_usages("client-and-any", "T", "T", [ANY, CLIENT])
_usages("server-client-email", "T", "T", [SERVER, EMAIL, CLIENT])
_usages("server-critical", "U26", "T", [SERVER], eku_critical=True)
_usages("email-critical", "U26", "U26", [EMAIL], eku_critical=True)
_usages("server-twice", "U26", "T", [SERVER, SERVER])
_usages("no-usage", "U26", "U26", [])


@case("T", "T")
def ee_without_eku(clique):
    """A leaf without an EKU extension, which allows every use."""
    return clique.leaf(eku=None)


# -- how the leaf's EKU is encoded --


@case("U20", "U20")
def ee_second_eku_equal(clique):
    """Two EKU extensions, both serverAuth: an invalid certificate, not a purpose."""
    return clique.leaf(second_eku=[SERVER])


@case("U20", "U20")
def ee_second_eku_client(clique):
    """Two EKU extensions, serverAuth and clientAuth."""
    return clique.leaf(second_eku=[CLIENT])


@case("U20", "U20")
def ee_client_second_eku_equal(clique):
    """Two EKU extensions, both clientAuth: refused by stock OpenSSL, too."""
    return clique.leaf(eku=[CLIENT], second_eku=[CLIENT])


_server = pki.oid_der(SERVER)
_encoding("eku-truncated", "U20", "U20", pki.eku_der(SERVER)[:-1])
_encoding("eku-is-integer", "U20", "U20", b"\x02\x01\x01")
_encoding("eku-of-integers", "U20", "U20", pki.der(0x30, b"\x02\x01\x01"))
_encoding("eku-is-null", "U20", "U20", b"\x05\x00")
_encoding("eku-without-octets", "U20", "U20", b"")
_encoding("eku-with-empty-oid", "U20", "U20", pki.der(0x30, b"\x06\x00" + _server))
_encoding("eku-trailing-octets", "U26", "T", pki.eku_der(SERVER) + b"\x05\x00")
_encoding("eku-ber-length", "U26", "T", b"\x30\x81" + pki.eku_der(SERVER)[1:])
_encoding("eku-indefinite-length", "U26", "T", b"\x30\x80" + _server + b"\0\0")


# -- EKU above the leaf --


@case("U26", "T")
def ca_server(clique):
    """Today's WebPKI: intermediate and leaf list serverAuth only."""
    return clique.below(pki.issue("Server CA", clique.root, ca=True, eku=[SERVER]))


@case("U26", "U26")
def ca_server_ee_both(clique):
    """A leaf with both stays a client's, so its serverAuth-only intermediate is refused."""
    ca = pki.issue("Server CA", clique.root, ca=True, eku=[SERVER])
    return clique.below(ca, eku=[SERVER, CLIENT])


@case("U26", "U26")
def ca_server_ee_without_eku(clique):
    """A leaf without EKU stays a client's, likewise."""
    ca = pki.issue("Server CA", clique.root, ca=True, eku=[SERVER])
    return clique.below(ca, eku=None)


@case("U26", "U26")
def ca_client(clique):
    """A serverAuth leaf below a clientAuth-only intermediate fits neither purpose."""
    return clique.below(pki.issue("Client CA", clique.root, ca=True, eku=[CLIENT]))


@case("T", "T")
def ca_client_ee_client(clique):
    """A clientAuth leaf below a clientAuth-only intermediate."""
    ca = pki.issue("Client CA", clique.root, ca=True, eku=[CLIENT])
    return clique.below(ca, eku=[CLIENT])


@case("U26", "U26")
def ca_any(clique):
    """anyExtendedKeyUsage does not help an intermediate."""
    return clique.below(pki.issue("Any CA", clique.root, ca=True, eku=[ANY]))


@case("U26", "T")
def ca_both(clique):
    """A serverAuth leaf below an intermediate with both."""
    return clique.below(pki.issue("Both CA", clique.root, ca=True, eku=[CLIENT, SERVER]))


@case("U26", "T")
def root_server(clique):
    """The same test applies to the root: serverAuth only."""
    return clique.anchored(pki.issue("Server Root", ca=True, eku=[SERVER]))


@case("U26", "U26")
def root_client(clique):
    """The same test applies to the root: clientAuth only."""
    return clique.anchored(pki.issue("Client Root", ca=True, eku=[CLIENT]))


@case("U26", "U26")
def root_any(clique):
    """The same test applies to the root: anyExtendedKeyUsage only."""
    return clique.anchored(pki.issue("Any Root", ca=True, eku=[ANY]))


# -- key usage and Netscape certificate type --


def _key_usage(name: str, off: str, on: str, eku: str, *usages: str) -> None:
    CASES.append(
        Case(
            f"ee-{name}",
            f"A leaf whose key usage is {', '.join(usages)}.",
            off,
            on,
            lambda c: c.leaf(eku=[eku], usage=pki.key_usage(*usages)),
        )
    )


_key_usage("server-signs", "U26", "T", SERVER, "digital_signature")
_key_usage("server-enciphers", "U26", "T", SERVER, "key_encipherment")
_key_usage("server-agrees", "U26", "T", SERVER, "key_agreement")
_key_usage("server-commits", "U26", "U26", SERVER, "content_commitment")
_key_usage("server-crl", "U26", "U26", SERVER, "crl_sign")
_key_usage("client-signs", "T", "T", CLIENT, "digital_signature")
_key_usage("client-enciphers", "U26", "U26", CLIENT, "key_encipherment")


def _cert_type(name: str, off: str, on: str, eku: str, bits: int) -> None:
    value = pki.extension(pki.NS_CERT_TYPE, bytes([0x03, 0x02, 0x00, bits]))
    CASES.append(
        Case(
            f"ee-{name}",
            "A leaf with a Netscape certificate type, which counts for the switched purpose.",
            off,
            on,
            lambda c: c.leaf(eku=[eku], extensions=[(value, False)]),
        )
    )


_cert_type("server-ns-server", "U26", "T", SERVER, 0x40)
_cert_type("server-ns-client", "U26", "U26", SERVER, 0x80)
_cert_type("client-ns-client", "T", "T", CLIENT, 0x80)
_cert_type("client-ns-server", "U26", "U26", CLIENT, 0x40)
