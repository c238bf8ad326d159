"""Peer: names, digests, the log line and the attributes are Postfix's, byte for byte.

The expected strings were written down from Postfix 3.10's source (tls_misc.c, tls_verify.c,
smtpd_check.c) and log; digests are computed by ``openssl``.
"""

import dataclasses
import re
import ssl
import subprocess
import warnings

import pairs
import pki
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

import ccert
from ccert import Trust

CN, O = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME  # noqa: E741


def _peer(host, chain, *, version=ssl.TLSVersion.TLSv1_3, name="mx.example", **settings):
    context = host.context(chain, **{"trust_server_ccerts": True, **settings})
    context.minimum_version = context.maximum_version = version
    context.set_ecdh_curve("prime256v1")  # else the group's name depends on OpenSSL's age
    client = host.foreign(chain) if chain else host.client()
    return ccert.peer(pairs.handshake(context, client, name=name).server.tls)


def _name(*attributes) -> x509.Name:
    """Build a name of (OID, text) or (OID, text, ASN.1 type), without looking at it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography knows that they are unusual
        return x509.Name(
            [
                x509.NameAttribute(oid, text, kind[0] if kind else None, _validate=False)
                for oid, text, *kind in attributes
            ]
        )


# -- the log line --


def test_summary_tls13_ecdsa(host, clique):
    """Both signatures, their curves and digests."""
    assert _peer(host, clique.leaf()).summary("mx.Example[192.0.2.1]") == (
        "Trusted TLS connection established from mx.example[192.0.2.1]: "
        "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange secp256r1 "
        "server-signature ECDSA (prime256v1) server-digest SHA256 "
        "client-signature ECDSA (prime256v1) client-digest SHA256"
    )


def test_summary_tls13_rsa(host, clique):
    """TLS 1.3 signs with RSA-PSS; its key's bits are told."""
    chain = clique.leaf(key=pki.rsa_key(2048))
    assert _peer(host, chain, trust_server_ccerts=False).summary("a[b]") == (
        "Untrusted TLS connection established from a[b]: "
        "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange secp256r1 "
        "server-signature ECDSA (prime256v1) server-digest SHA256 "
        "client-signature RSA-PSS (2048 bits) client-digest SHA256"
    )


def test_summary_tls13_ed25519(host, clique):
    """Ed25519 has neither a size nor a digest to choose."""
    chain = clique.leaf(key=ed25519.Ed25519PrivateKey.generate())
    assert (
        _peer(host, chain)
        .summary("a[b]")
        .endswith(
            "server-signature ECDSA (prime256v1) server-digest SHA256 client-signature ED25519"
        )
    )


def test_summary_anonymous(host):
    """Without a certificate there is no client signature."""
    assert _peer(host, None, trust_server_ccerts=False).summary("a[b]") == (
        "Anonymous TLS connection established from a[b]: "
        "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange secp256r1 "
        "server-signature ECDSA (prime256v1) server-digest SHA256"
    )


def test_summary_tls12(host, clique):
    """With TLS 1.2 the line ends after the bits."""
    assert _peer(host, clique.leaf(), version=ssl.TLSVersion.TLSv1_2).summary("a[b]") == (
        "Trusted TLS connection established from a[b]: "
        "TLSv1.2 with cipher ECDHE-ECDSA-AES256-GCM-SHA384 (256/256 bits)"
    )


def test_summary_resumed(host, clique):
    """Resumption makes no signatures, so none are told."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    context.set_ecdh_curve("prime256v1")
    client = host.client(clique.leaf())
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    first = pairs.handshake(context, client)
    again = pairs.handshake(context, client, session=first.client.tls.session)
    assert ccert.peer(again.server.tls).summary("a[b]") == (
        "Trusted TLS connection established from a[b]: "
        "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange secp256r1"
    )


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("mx.example", " to mx.example"),
        ("MX2.example", " to MX2.example"),
        ("a\nb", ""),
        ("a-b.example", " to a-b.example"),
        ("-a.example", ""),
        ("a-.example", ""),
        ("1.2", ""),
        ("a..b", ""),
        ("x" * 64, ""),
    ],
)
def test_summary_names_an_accepted_name(host, clique, asked, told):
    """SNI follows the address once an sni_callback accepted it, and only as a valid host name."""
    chain = clique.leaf()
    context = host.context(chain)
    client = host.foreign(chain)
    ignored = ccert.peer(pairs.handshake(context, client, name=asked).server.tls)
    assert ignored.server_name == ""
    context.sni_callback = lambda *_: None
    accepted = ccert.peer(pairs.handshake(context, client, name=asked).server.tls)
    assert f"from a[b]{told}: TLSv1.3" in accepted.summary("a[b]")


def test_summary_is_one_line(host):
    """A client's name with control characters does not break the log."""
    line = _peer(host, None, trust_server_ccerts=False).summary("a\nb\x1b[192.0.2.1]")
    assert line.startswith("Anonymous TLS connection established from a?b?[192.0.2.1]: ")


# -- names --


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        (_name((O, "Org"), (CN, "first"), (CN, "second")), "first"),
        (_name((O, "Org")), ""),
        (_name((CN, "nul\0nul")), ""),
        (_name((CN, "trailing\0\0")), "trailing"),
        (_name((CN, "line\nbreak"), (CN, "second")), ""),
        (_name((CN, "del\x7f")), ""),
        (_name((CN, "x" * 255)), "x" * 255),
        (_name((CN, "x" * 256)), ""),
        (_name((CN, "x" * 255 + "\0")), "x" * 255),
        (_name((CN, "ü" * 127)), "ü" * 127),
        (_name((CN, "ü" * 128)), ""),
        (_name((CN, "bmp €", _ASN1Type.BMPString)), "bmp €"),
        (_name((CN, "+ =", _ASN1Type.PrintableString)), "+ ="),
    ],
    ids=lambda value: None if isinstance(value, x509.Name) else repr(value)[:20],
)
def test_subject(host, clique, name, subject):
    """The first CN as UTF-8; an unusable one is empty, and the certificate trusted all the same."""
    chain = clique.leaf()
    leaf = pki.issue(name, clique.ca, eku=[pki.SERVER], names=["mx.example"])
    peer = _peer(host, dataclasses.replace(chain, sent=[leaf, clique.ca]))
    assert peer.trust is Trust.TRUSTED
    assert peer.subject == subject


@pytest.mark.parametrize(
    ("name", "issuer"),
    [
        (_name((O, "Org"), (CN, "CA")), "CA"),
        (_name((O, "Org"), (O, "Org 2")), "Org"),
        (_name((O, "Org"), (CN, "bad\0CA")), "Org"),
        (_name((NameOID.COUNTRY_NAME, "AT")), ""),
    ],
    ids=["cn", "organization", "unusable-cn", "neither"],
)
def test_issuer(host, clique, name, issuer):
    """The issuer's first CN, else its first organization."""
    ca = pki.issue(name, clique.root, ca=True)
    assert _peer(host, clique.below(ca)).issuer == issuer


def test_untrusted_names_stay_unsaid(host, clique):
    """Whoever is not trusted has no name, here and in the attributes; the digests are there."""
    peer = _peer(host, clique.leaf(), trust_server_ccerts=False)
    assert (peer.trust, peer.subject, peer.issuer) == (Trust.UNTRUSTED, "", "")
    attributes = peer.policy_attributes()
    assert attributes["ccert_subject"] == attributes["ccert_issuer"] == ""
    assert attributes["ccert_pubkey_fingerprint"] == peer.pubkey_fingerprint != ""


# -- attributes and digests --


def test_policy_attributes(host, clique):
    """Postfix's names in Postfix's order; names are xtext: space, "+" and non-ASCII as octets."""
    leaf = pki.issue(_name((CN, "a +b=ü")), clique.ca, eku=[pki.SERVER])
    peer = _peer(host, dataclasses.replace(clique.leaf(), sent=[leaf, clique.ca]))
    assert list(peer.policy_attributes().items()) == [
        ("ccert_subject", "a+20+2Bb=+C3+BC"),
        ("ccert_issuer", "Clique+20CA"),
        ("ccert_fingerprint", peer.fingerprint),
        ("ccert_pubkey_fingerprint", peer.pubkey_fingerprint),
        ("encryption_protocol", "TLSv1.3"),
        ("encryption_cipher", "TLS_AES_256_GCM_SHA384"),
        ("encryption_keysize", "256"),
        ("ccert_names", ""),
    ]


def test_digests_are_openssls(host, clique, tmp_path):
    """As `openssl x509 -fingerprint` and the pipe that postfix-fingerprint documents print them."""
    chain = clique.leaf(key=pki.rsa_key(2048))
    path = tmp_path / "leaf.pem"
    path.write_bytes(chain.sent[0].pem)
    printed = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-fingerprint", "-sha256"],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    pipe = (
        f"openssl x509 -in {path} -noout -pubkey | openssl pkey -pubin -outform DER"
        " | openssl dgst -sha256 -c"
    )
    of_key = subprocess.run(pipe, shell=True, capture_output=True, check=True, text=True).stdout
    peer = _peer(host, chain)
    assert peer.fingerprint == printed.strip().partition("=")[2]
    assert peer.pubkey_fingerprint == of_key.strip().partition("= ")[2].upper()


def test_chain_is_what_the_client_sent(host, clique):
    """DER, leaf first, superfluous certificates included."""
    chain = clique.leaf()
    chain.sent.append(pki.issue("Extra", clique.root))
    assert _peer(host, chain).chain == tuple(certificate.der for certificate in chain.sent)


def test_peer_is_a_value(host, clique):
    """Equal facts are equal peers; a chain of DER does not flood a log."""
    peer = _peer(host, clique.leaf())
    assert peer == dataclasses.replace(peer)
    assert peer != dataclasses.replace(peer, trust=Trust.UNTRUSTED)
    assert "chain" not in repr(peer)
    assert hash(peer)


@pytest.mark.parametrize(
    ("certificate_names", "subject", "name", "expected"),
    [
        (["mx.example", "mx2.example"], "mx.example", "mx2.example", True),
        (["mx.example"], "mx.example", "MX.Example", True),
        (["mx.example"], "mx.example", "example", False),
        (["*.a.example"], "x", "mx.a.example", True),
        (["*.a.example"], "x", "b.mx.a.example", False),
        (["m*.a.example"], "x", "mx.a.example", False),
        (["mx2.example"], "mx.example", "mx.example", False),
        ([], "mx.example", "mx.example", False),
        ([], "*.a.example", "mx.a.example", False),
    ],
)
def test_matches(host, clique, certificate_names, subject, name, expected):
    """A name matches as openssl verify -verify_hostname says; an untrusted peer's never does."""
    leaf = pki.issue(subject, clique.ca, eku=[pki.SERVER], names=certificate_names)
    chain = dataclasses.replace(clique.leaf(), sent=(leaf, clique.ca))
    for setting in (False, True):
        context = host.context(chain, trust_server_ccerts=setting)
        peer = ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)
        assert peer.matches(name) is (expected and setting)
    judge = subprocess.run(
        [
            "openssl", "verify", "-no_check_time", "-partial_chain", "-verify_hostname", name,
            "-trusted", host.write("ca.pem", clique.ca.pem), host.write("leaf.pem", leaf.pem),
        ],
        capture_output=True, check=False,
    )  # fmt: skip
    # openssl's own command takes a CN for a name, and wildcards within a label
    assert (judge.returncode == 0) is (expected or certificate_names in ([], ["m*.a.example"]))


@pytest.mark.parametrize(
    "name",
    ["", ".example", ".", "mx.example\0.evil", "mx..example", "ä.example", "*.example"],
)
def test_matches_host_names_only(host, clique, name):
    """What OpenSSL would read as something else than one host is an error, trusted or not."""
    chain = clique.leaf()
    for setting in (False, True):
        context = host.context(chain, trust_server_ccerts=setting)
        peer = ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)
        with pytest.raises(ValueError, match=r"is no host name|is not ASCII"):
            peer.matches(name)


def _record(client: ssl.SSLObject, secret: bytes, content: bytes, kind: int) -> bytes:
    """Make the client's first record after its handshake ourselves (RFC 8446, 5.2, 7.3)."""
    digest = hashes.SHA384() if client.cipher()[0].endswith("SHA384") else hashes.SHA256()

    def expand(label: bytes, size: int) -> bytes:
        label = b"tls13 " + label
        info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(digest, size, info).derive(secret)

    plain = content + bytes([kind])
    header = bytes([23, 3, 3]) + (len(plain) + 16).to_bytes(2, "big")
    return header + AESGCM(expand(b"key", 32)).encrypt(expand(b"iv", 12), plain, header)


def test_while_a_message_after_the_handshake_comes_in(host, clique, tmp_path):
    """Half a KeyUpdate does not make a stranger of a client: what was told is still told."""
    chain = clique.leaf()
    context, client = host.context(chain, trust_server_ccerts=True), host.client(chain)
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    client.keylog_filename = tmp_path / "keys"
    pair = pairs.finish(pairs.begin(context, client))
    peer = ccert.peer(pair.server.tls)
    keys = (tmp_path / "keys").read_text()
    secret = bytes.fromhex(re.search(r"CLIENT_TRAFFIC_SECRET_0 \w+ (\w+)", keys)[1])
    half_a_key_update = b"\x18\0\0\1"
    pair.server.incoming.write(_record(pair.client.tls, secret, half_a_key_update, 22))
    with pytest.raises(ssl.SSLWantReadError):
        pair.server.tls.read(1)
    assert ccert.peer(pair.server.tls) == peer
    assert peer.trusted_as_server


def test_names_beyond_the_ca_s_constraints(host, clique):
    """A CA that is confined to some names cannot speak for others by a CN of any form."""
    confined = x509.NameConstraints([x509.DNSName("good.example")], None)
    ca = pki.issue("Confined CA", clique.root, ca=True, extensions=[(confined, True)])
    for name, others in (("*.partner.example", []), ("partner", []), ("mx", ["mx.good.example"])):
        leaf = pki.issue(name, ca, eku=[pki.SERVER], names=others)
        chain = dataclasses.replace(clique.leaf(), sent=[leaf, ca])
        context = host.context(chain, trust_server_ccerts=True)
        peer = ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)
        assert peer.trust is Trust.TRUSTED
        matching = {n for n in ("mx.partner.example", "partner", "mx") if peer.matches(n)}
        assert matching == set()
