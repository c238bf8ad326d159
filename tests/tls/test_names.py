"""Peer.names and matches(): the DNS names of a Trusted client's certificate, and no other's."""

import dataclasses
import subprocess
import sys

import pairs
import pki
import pytest
from check_host import is_valid_for
from cryptography import x509
from hypothesis import example, given
from hypothesis import strategies as st

import ccert
from ccert.names import dns_name, is_host_name


def _chain(clique, leaf):
    return dataclasses.replace(clique.leaf(), sent=[leaf, clique.ca])


def _peer(host, chain, *, setting=True) -> ccert.Peer:
    context = host.context(chain, trust_server_ccerts=setting)
    return ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)


def test_names(host, clique):
    """They stand in the certificate's order, in lower case, wildcards as they are; once each."""
    names = ["mx2.Example", "*.mx.example", "MX.example", "mx.example", "xn--bcher-kva.example"]
    chain = clique.leaf(names=names)
    expected = ("mx2.example", "*.mx.example", "mx.example", "xn--bcher-kva.example")
    assert _peer(host, chain).names == expected
    verifier = host.verifier(chain, setting=True)
    assert verifier.verify([certificate.der for certificate in chain.sent]).names == expected


def test_only_when_trusted(host, clique):
    """An untrusted certificate has no names, whatever it says."""
    chain = clique.leaf(names=["mx.example"])
    assert _peer(host, chain, setting=False).names == ()
    observed = _peer(host, chain, setting="observe")
    assert (observed.names, observed.would_be.names) == ((), ("mx.example",))


def _san(*octets: bytes) -> x509.UnrecognizedExtension:
    content = b"".join(bytes([0x82, len(each)]) + each for each in octets)
    return x509.UnrecognizedExtension(
        x509.oid.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes([0x30, len(content)]) + content
    )


@pytest.mark.parametrize(
    "octets",
    [
        b"mx.example\0.evil.example",
        b"\0",
        b"mx.example\nnames=other.example",
        b"mx.example,other.example",
        b"m\xc3\xbcx.example",
        b"mx.example.",
        b".example",
        b"m*.example",
        b"mx.*.example",
        b"*",
        b"**.example",
        b"*.*.example",
        b"192.0.2.1",
        b"",
        b" mx.example",
    ],
)
def test_what_is_no_name(host, clique, octets):
    """A dNSName that is neither a host name nor a wildcard is left out; the others stay."""
    leaf = pki.issue(
        "mx.example", clique.ca, eku=[pki.SERVER],
        extensions=[(_san(octets, b"good.example"), False)],
    )  # fmt: skip
    assert _peer(host, _chain(clique, leaf)).names == ("good.example",)


def test_other_kinds_of_names(host, clique):
    """A CN is no name, nor are addresses, mail addresses, URIs and directory names."""
    others = x509.SubjectAlternativeName(
        [
            x509.RFC822Name("a@mx.example"),
            x509.UniformResourceIdentifier("https://mx.example"),
            x509.DirectoryName(pki.common_name("mx.example")),
        ]
    )
    for extensions in ([], [(others, False)]):
        leaf = pki.issue("mx.example", clique.ca, eku=[pki.SERVER], extensions=extensions)
        peer = _peer(host, _chain(clique, leaf))
        assert (peer.subject, peer.names) == ("mx.example", ())
        assert not peer.matches("mx.example")


LABEL = st.sampled_from(["a", "b", "mx", "xn--a", "a-b", "a_b", "1"])
HOST = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
PATTERN = st.builds(lambda star, host: "*." * star + host, st.booleans(), HOST)


@given(names=st.lists(PATTERN, min_size=1, max_size=3), host_name=HOST)
@example(names=["*.1.1"], host_name="a.1.1")
def test_matches_as_openssl(names, host_name):
    """For all names of hosts the answer is X509_check_host's; no host is below a number."""
    known = tuple(name for name in names if dns_name(name.encode()))
    leaf = pki.issue("x", names=known)
    verdict = ccert.Verdict(
        trust=ccert.Trust.TRUSTED, trusted_as_server=True, error="", error_code=0,
        error_depth=None, subject="", issuer="", names=known, fingerprint="",
        pubkey_fingerprint="",
    )  # fmt: skip
    if is_host_name(host_name):
        assert verdict.matches(host_name) is is_valid_for(leaf.der, host_name)


def test_trailing_dot(host, clique):
    """The root's dot at the end of a name is no part of it (RFC 1034)."""
    peer = _peer(host, clique.leaf(names=["mx.example"]))
    assert peer.matches("MX.example.")
    assert not peer.matches("mx2.example.")


def test_names_leak_nothing():
    """The names of a million verdicts are freed."""
    code = """
import resource, sys
sys.path[:0] = {path!r}
import pki, ccert
root = pki.issue("Root", ca=True)
leaf = pki.issue("mx", root, eku=[pki.SERVER], names=[f"mx{{n}}.example" for n in range(200)])
verifier = ccert.ChainVerifier(cadata=root.pem.decode(), trust_server_ccerts=True)
for round in range(2):
    for _ in range(3000):
        assert len(verifier.verify([leaf.der]).names) == 200
    if not round:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert grown < 2000, grown
"""
    done = subprocess.run(
        [sys.executable, "-c", code.format(path=sys.path)],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
