"""Verdicts as values: what is true of them, and what they turn into."""

import copy
import dataclasses
import json
import pickle

import pairs
import pki
import pytest

import ccert
import ccert.postfix
from ccert import Trust


@pytest.fixture
def verifier(host, clique):
    return ccert.ChainVerifier(cafile=host.anchors(clique.root.pem), trust_server_ccerts="observe")


@pytest.mark.parametrize("usage", [pki.CLIENT, pki.SERVER, pki.EMAIL])
def test_only_trusted_is_true(verifier, host, clique, usage):
    """``if verifier.verify(chain)`` and ``if peer`` let nobody in who is not Trusted."""
    chain = clique.leaf(eku=[usage])
    verdict = verifier.verify([certificate.der for certificate in chain.sent])
    assert bool(verdict) is bool(verdict.trust) is (usage is pki.CLIENT)
    peer = ccert.peer(pairs.handshake(host.context(chain), host.client(chain)).server.tls)
    assert bool(peer) is bool(peer.trust) is (usage is pki.CLIENT)


def test_anonymous_is_false(host, clique):
    """So is who shows no certificate."""
    peer = ccert.peer(pairs.handshake(host.context(clique.root.pem), host.client()).server.tls)
    assert peer.trust is Trust.ANONYMOUS
    assert not peer
    assert not peer.trust


@pytest.mark.parametrize("trust", Trust)
def test_trust_is_a_string(trust):
    """It prints, compares, hashes and becomes JSON as Postfix's word."""
    assert str(trust) == f"{trust}" == f"{trust:s}" == trust.value == trust
    assert f"{trust:>12}" == f"{trust.value:>12}"
    assert json.dumps({"trust": trust}) == f'{{"trust": "{trust.value}"}}'
    assert {trust.value: 1}[trust] == 1
    assert pickle.loads(pickle.dumps(trust)) is copy.deepcopy(trust) is Trust(trust.value) is trust


def test_verdict_is_json(verifier, clique):
    """``dataclasses.asdict`` and ``json`` need no help, and nothing is lost."""
    for usage in (pki.CLIENT, pki.SERVER):
        chain = clique.leaf(eku=[usage], names=["mx.example"])
        verdict = verifier.verify([certificate.der for certificate in chain.sent])
        fields = json.loads(json.dumps(dataclasses.asdict(verdict)))
        assert (fields["trust"], fields["would_be"]["trust"]) == (verdict.trust, "Trusted")
        assert pickle.loads(pickle.dumps(verdict)) == copy.copy(verdict) == verdict
        assert pickle.loads(pickle.dumps(verdict)).would_be == verdict.would_be


def test_no_key_in_a_message(host, clique):
    """PEM in the place of a path may be a private key: no message repeats it."""
    pem = host.keyfile.read_text()
    calls = [
        lambda: ccert.ServerContext(pem),
        lambda: ccert.ServerContext(host.certfile, pem),
        lambda: ccert.ServerContext(host.certfile, host.keyfile, cafile=pem),
        lambda: ccert.ChainVerifier(cafile=pem),
        lambda: ccert.ChainVerifier(cadata=pem),
        lambda: ccert.ChainVerifier(cadata=clique.root.pem).verify(pem),
        lambda: ccert.ChainVerifier(cadata=clique.root.pem).verify([pem]),
        lambda: ccert.ServerContext(host.certfile, host.keyfile, capath=pem),
    ]
    for call in calls:
        with pytest.raises(ccert.ConfigError) as caught:
            call()
        assert pem.splitlines()[1] not in str(caught.value)


def test_types_of_arguments(verifier, clique):
    """What is no name and no path is a TypeError in words."""
    verdict = verifier.verify([clique.leaf().sent[0].der])
    for name in (b"mx.example", ["mx.example"], None):
        with pytest.raises(TypeError, match="a host name must be a str"):
            verdict.matches(name)
    for table in (ccert.NameTable, ccert.AccessTable):
        with pytest.raises(TypeError, match="table: must be a path, not list"):
            table(["mx.example"])
    with pytest.raises(TypeError, match="endpoint must be a str"):
        ccert.postfix.PolicyService(5)


def test_of_words_from_json(verifier, clique):
    """What was JSON is as true as before; "Untrusted" is a word, and words are true."""
    for usage in (pki.CLIENT, pki.SERVER, pki.EMAIL):
        chain = [certificate.der for certificate in clique.leaf(eku=[usage]).sent]
        verdict = dataclasses.replace(verifier.verify(chain), would_be=None)
        again = ccert.Verdict(**json.loads(json.dumps(dataclasses.asdict(verdict))))
        assert bool(again) is bool(again.trust) is bool(verdict)
        assert again.trust is verdict.trust
        with pytest.raises(TypeError, match="would_be must be a Verdict"):
            dataclasses.replace(verdict, would_be={})


def test_only_the_trusted_match(verifier, clique):
    """However a verdict was made."""
    chain = clique.leaf(eku=[pki.CLIENT], names=["mx.partner.example"])
    trusted = verifier.verify([certificate.der for certificate in chain.sent])
    assert trusted.matches("mx.partner.example")
    untrusted = dataclasses.replace(trusted, trust=Trust.UNTRUSTED)
    assert not untrusted.matches("mx.partner.example")
