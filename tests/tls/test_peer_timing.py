"""peer() before, amid and after a connection's life: a clear error, or a value that lasts."""

import gc
import ssl

import pairs
import pki
import pytest

import ccert
from ccert import CcertError, Trust

# -- what peer() refuses --


def test_peer_before_the_handshake(host, clique):
    """Before and amid the handshake there is nothing to tell."""
    pair = pairs.begin(host.context(clique.root.pem), host.client(clique.leaf()))
    with pytest.raises(CcertError, match="has not finished"):
        ccert.peer(pair.server.tls)
    pair.client.step()
    pair.server.incoming.write(pair.client.outgoing.read())
    pair.server.step()
    with pytest.raises(CcertError, match="has not finished"):
        ccert.peer(pair.server.tls)


def test_peer_after_a_failed_handshake(host, clique, version):
    """After a failed one, too."""
    context = host.context(clique.root.pem, client_certs="require")
    context.minimum_version = context.maximum_version = version
    pair = pairs.handshake(context, host.client(clique.leaf()))
    assert pair.server.error
    with pytest.raises(CcertError, match="has failed"):
        ccert.peer(pair.server.tls)


def test_peer_after_unwrap(host, clique):
    """Once we have closed the connection it is over."""
    pair = pairs.handshake(host.context(clique.root.pem), host.client(clique.leaf()))
    with pytest.raises(ssl.SSLWantReadError):
        pair.server.tls.unwrap()
    with pytest.raises(CcertError, match="closed"):
        ccert.peer(pair.server.tls)


def test_peer_of_an_unattached_context(host, clique):
    """An object of a stock context names the remedy; the client's end says that it is that."""
    context = host.stock(clique.root.pem)
    pair = pairs.handshake(context, host.client())
    with pytest.raises(CcertError, match=r"not attached .*: use ccert.ServerContext, or"):
        ccert.peer(pair.server.tls)
    with pytest.raises(CcertError, match="the client's end"):
        ccert.peer(pair.client.tls)


def test_peer_of_a_context_detached_before_the_handshake(host, clique):
    """An object made while attached, but shaking hands afterwards, has no verdict of ours."""
    context = host.context(clique.root.pem)
    pair = pairs.begin(context, host.client())
    ccert.detach(context)
    pairs.finish(pair)
    with pytest.raises(CcertError, match="not attached to the context when"):
        ccert.peer(pair.server.tls)


def test_peer_of_something_else():
    """What is no TLS object is a TypeError that tells where to find one."""
    with pytest.raises(TypeError, match=r'get_extra_info\("ssl_object"\)'):
        ccert.peer(object())


def test_peer_outlives_everything(host, clique):
    """The connection outlives its context, and the verdict outlives the connection."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    pair = pairs.handshake(context, host.client(clique.leaf()))
    del context
    gc.collect()
    peer = ccert.peer(pair.server.tls)
    del pair
    gc.collect()
    assert peer.trusted_as_server
    assert peer.subject == "mx.example"
    with pytest.raises(AttributeError):
        peer.trust = Trust.ANONYMOUS


def test_peer_after_a_switch_from_a_collected_context(host, clique):
    """An sni_callback may leave the attached context behind for good; its verdict holds."""
    other = host.context(clique.root.pem, trust_server_ccerts=True)
    context = host.context(clique.root.pem, trust_server_ccerts=True)

    def switch(tls, _name, _context) -> None:
        tls.context = other

    context.sni_callback = switch
    pair = pairs.handshake(context, host.client(clique.leaf()))
    context.sni_callback = None
    del context, switch
    gc.collect()
    assert ccert.peer(pair.server.tls).trusted_as_server


def test_a_connection_keeps_its_own_mode(host, clique, version):
    """One that was made while a certificate was required does not go on with a stranger's."""
    stranger = host.client(clique.leaf(eku=[pki.EMAIL]))
    stranger.minimum_version = stranger.maximum_version = version
    context = host.context(clique.root.pem, client_certs="require")
    made_before = pairs.begin(context, stranger)
    ccert.attach(context, client_certs="ask")
    assert not pairs.finish(made_before).server.done
    assert pairs.handshake(context, stranger).completed
