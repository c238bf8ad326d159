"""The dry run: verdicts stay those of the setting off, and tell what it would change."""

import copy
import dataclasses
import gc
import pickle
import ssl

import pairs
import pytest
from cases import CASES

import ccert
from ccert import Trust


def _observed(host, chain, client_context, **settings) -> ccert.Peer:
    context = host.context(chain, trust_server_ccerts="observe", **settings)
    return ccert.peer(pairs.handshake(context, client_context).server.tls)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_observing_every_case(case, host, clique):
    """Observing, a handshake and a file have the verdict of "no", and foretell that of "yes"."""
    chain = case.build(clique)
    off, on, observe = (
        ccert.ChainVerifier(
            cafile=host.anchors(chain),
            trust_server_ccerts=setting,
            verify_depth=chain.depth,
            auth_level=chain.level,
        ).verify([certificate.der for certificate in chain.sent])
        for setting in (False, True, "observe")
    )
    peer = _observed(host, chain, host.foreign(chain))
    assert observe == off
    compared = [field.name for field in dataclasses.fields(off) if field.compare]
    assert all(getattr(peer, name) == getattr(off, name) for name in compared)
    if observe.would_be is not None:  # None: a certificate that cannot be decoded
        assert peer.would_be == observe.would_be == on
        assert peer.would_trust_as_server is on.trusted_as_server


def test_only_when_observing(host, clique):
    """Off and on foretell nothing, nor is there anything to foretell without a certificate."""
    chain = clique.leaf()
    for setting in (False, True):
        context = host.context(chain, trust_server_ccerts=setting)
        peer = ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)
        assert (peer.would_be, peer.would_trust_as_server) == (None, False)
    anonymous = _observed(host, chain, host.client())
    assert (anonymous.trust, anonymous.would_be) == (Trust.ANONYMOUS, None)


def test_takes_nothing_for_granted(host, clique):
    """A stranger's certificate would stay untrusted, and the reason is foretold, too."""
    chain = clique.leaf()
    client = host.client(dataclasses.replace(chain, sent=chain.sent[:1]))
    peer = _observed(host, chain, client)
    assert peer.would_trust_as_server is False
    assert (peer.would_be.trust, peer.would_be.error_code) == (Trust.UNTRUSTED, 20)


def test_connection_and_context_may_be_gone(host, clique):
    """The answer comes from what the Peer holds, long after."""
    peer = _observed(host, clique.leaf(), host.client(clique.leaf()))
    gc.collect()
    assert peer.would_trust_as_server


def test_connection_s_own_parameters(host, clique):
    """What else the context demands counts: a CRL, and there is none; every case has the rest."""
    chain = clique.leaf()
    context = host.context(chain, trust_server_ccerts="observe")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    peer = ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)
    assert (peer.would_be.error_code, peer.would_trust_as_server) == (3, False)


def test_attached(host, clique):
    """attach() observes as well, and attaching anew ends it."""
    chain = clique.leaf()
    context = host.stock(chain)
    ccert.attach(context, client_certs="ask", trust_server_ccerts="observe")
    peer = ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)
    assert (peer.trust, peer.would_trust_as_server) == (Trust.UNTRUSTED, True)
    assert ccert.stats(context).trusted_as_server == 0
    ccert.attach(context)
    peer = ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)
    assert (peer.trust, peer.would_be) == (Trust.UNTRUSTED, None)


def test_copies_know_it(host, clique):
    """A copy or a pickle of a Peer has the answer."""
    chain = clique.leaf()
    peer = _observed(host, chain, host.client(chain))
    for other in (copy.copy(peer), copy.deepcopy(peer), pickle.loads(pickle.dumps(peer))):
        assert other == peer
        assert other.would_trust_as_server


def test_in_vain(host):
    """Observing without a trusted CA is an error, as the setting itself is."""
    with pytest.raises(ccert.ConfigError, match="'observe' has no effect without a trusted CA"):
        host.context(trust_server_ccerts="observe")
