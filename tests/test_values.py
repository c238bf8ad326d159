"""Verdicts as values: what is true of them, and what they turn into."""

import copy
import dataclasses
import json
import pickle

import pairs
import pki
import pytest

import ccert
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
