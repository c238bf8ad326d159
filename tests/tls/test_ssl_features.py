"""What ssl can do on its contexts still works on ours."""

import contextlib
import ssl

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


def test_getpeercert_means_something_else_with_ask(host, clique):
    """The documented danger: with "ask", ssl's own accessors return untrusted certificates."""
    context = host.context(clique.root.pem)
    pair = pairs.handshake(context, host.client(clique.leaf(eku=[pki.EMAIL])))
    assert ccert.peer(pair.server.tls).trust is Trust.UNTRUSTED
    assert pair.server.tls.getpeercert()["subject"] == ((("commonName", "mx.example"),),)


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
