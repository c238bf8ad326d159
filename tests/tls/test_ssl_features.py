"""What ssl can do on its contexts still works on ours."""

import contextlib
import ssl
import sys

import pairs
import pki
import pytest

import ccert
from ccert import Trust


@pytest.mark.parametrize("mode", ["ask", "require"])
def test_revocation_lists(host, clique, mode, version):
    """CRL checks by verify_flags refuse a revoked member, as a server's chain, too."""
    good, revoked = clique.leaf(), clique.leaf()
    context = host.context(clique.root.pem, client_certs=mode, trust_server_ccerts=True)
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(host.write("crl.pem", pki.crl(clique.ca, revoked.sent[0])))
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    assert ccert.peer(pairs.handshake(context, host.client(good)).server.tls).trusted_as_server
    pair = pairs.handshake(context, host.client(revoked))
    assert pair.completed == (mode == "ask")
    if pair.completed:
        peer = ccert.peer(pair.server.tls)
        assert (peer.trust, peer.error_code) == (Trust.UNTRUSTED, 23)


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize("mode", ["ask", "optional", "require"])
def test_post_handshake_authentication(host, clique, setting, mode):
    """A certificate asked for after the handshake gets the same verdict.

    "ask" does not go on here: the verify mode is not plain, so an untrusted certificate ends it.
    """
    context = host.context(clique.root.pem, client_certs=mode, trust_server_ccerts=setting)
    context.post_handshake_auth = True
    client = host.client(clique.leaf())
    client.post_handshake_auth = True
    pair = pairs.handshake(context, client)
    assert pair.completed
    assert ccert.peer(pair.server.tls).trust is Trust.ANONYMOUS
    pair.server.tls.verify_client_post_handshake()
    if setting:
        pair.round_trip()
        assert ccert.peer(pair.server.tls).trusted_as_server
        return
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        pair.round_trip()


def test_alpn(host, clique):
    """ALPN is negotiated as ever."""
    context = host.context(clique.root.pem)
    client = host.client(clique.leaf())
    context.set_alpn_protocols(["lmtp", "smtp"])
    client.set_alpn_protocols(["smtp"])
    pair = pairs.handshake(context, client)
    assert pair.server.tls.selected_alpn_protocol() == "smtp"


def test_keylog(host, clique, tmp_path):
    """keylog_filename still gets the secrets."""
    context = host.context(clique.root.pem)
    context.keylog_filename = str(tmp_path / "keys.log")
    pairs.handshake(context, host.client(clique.leaf()))
    assert "SERVER_HANDSHAKE_TRAFFIC_SECRET" in (tmp_path / "keys.log").read_text()


@pytest.mark.parametrize("again", [False, True], ids=["full", "resumed"])
def test_getpeercert_means_verified(host, clique, version, again):
    """As Python documents: a certificate that is returned is trusted; an untrusted one is {}."""
    for usages, trusted in (([pki.CLIENT], True), ([pki.SERVER], False), ([pki.EMAIL], False)):
        chain = clique.leaf(eku=usages)
        context, client = host.context(clique.root.pem), host.client(chain)
        client.minimum_version = client.maximum_version = version
        pair = pairs.handshake(context, client)
        if again:
            pair = pairs.handshake(context, client, session=pair.client.tls.session)
            assert pair.client.tls.session_reused is trusted
        tls, leaf = pair.server.tls, chain.sent[0].der
        assert (ccert.peer(tls).trust is Trust.TRUSTED) is trusted
        assert ccert.peer(tls).chain[0] == leaf
        assert tls.getpeercert(binary_form=True) == (leaf if trusted else None)
        subject = ((("commonName", "mx.example"),),)
        assert tls.getpeercert().get("subject") == (subject if trusted else None)
        if sys.version_info >= (3, 13):
            assert bool(tls.get_verified_chain()) is (trusted and not again)
            assert tls.get_unverified_chain()[0] == leaf


@pytest.mark.parametrize("way", ["name", "assigned", "attached late", "attached again"])
def test_getpeercert_of_an_object_of_ssl(host, clique, version, way):
    """Where Python's object is none of ours, "ask" does not go on with a stranger: it fails."""
    stock = host.stock(clique.leaf(eku=[pki.CLIENT]))
    stock.verify_mode = ssl.CERT_OPTIONAL
    asking = host.context(clique.root.pem)
    if way == "attached again":
        ccert.attach(stock, client_certs="ask")
        ccert.detach(stock)
    if way == "name":
        stock.sni_callback = lambda tls, _name, _context: setattr(tls, "context", asking)
    for usages, completes in (([pki.CLIENT], True), ([pki.EMAIL], False)):
        client = host.client(clique.leaf(eku=usages))
        client.minimum_version = client.maximum_version = version
        pair = pairs.begin(stock, client)
        if way == "assigned":
            pair.server.tls.context = asking
        elif "attached" in way:
            ccert.attach(stock, client_certs="ask")
        pairs.finish(pair)
        assert pair.server.done is completes
        if "attached" in way:
            ccert.detach(stock)


@pytest.mark.parametrize("again", [False, True], ids=["once", "again"])
def test_getpeercert_of_an_application_s_class(host, clique, again):
    """A class that an application gives a ServerContext afterwards keeps the promise, too."""

    class Own(ssl.SSLObject):
        pass

    context = host.context(clique.root.pem)
    context.sslobject_class = Own
    if again:
        context.sslobject_class = context.sslobject_class
    pair = pairs.handshake(context, host.client(clique.leaf(eku=[pki.EMAIL])))
    assert isinstance(pair.server.tls, Own)
    assert pair.server.tls.getpeercert() == {}


def test_getpeercert_of_nobody(host, clique):
    """Without a certificate it is None, as with stock ssl."""
    pair = pairs.handshake(host.context(clique.root.pem), host.client())
    assert pair.server.tls.getpeercert() is None


def test_renegotiation_is_refused(host, clique):
    """ServerContext forbids a TLS 1.2 client to renegotiate; it may not change its certificate."""
    context = host.context(clique.root.pem)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    pair = pairs.handshake(context, host.foreign(clique.leaf()))
    assert pair.completed
    pair.client.tls.connection.renegotiate()
    with pytest.raises(ssl.SSLError):
        _talk_until_an_error(pair)


def _talk_until_an_error(pair: pairs.Pair) -> None:
    for _ in range(pairs.STEPS):
        with contextlib.suppress(ssl.SSLWantReadError):
            pair.client.tls.do_handshake()
        pair.server.incoming.write(pair.client.outgoing.read())
        with contextlib.suppress(ssl.SSLWantReadError):
            pair.server.tls.read(1)
        pair.client.incoming.write(pair.server.outgoing.read())
