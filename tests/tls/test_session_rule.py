"""A session resumes only where a full handshake would be judged alike; what attackers tried.

Strategy: each test earns a session where a client is let in, then changes where the name leads, or
when, or which process answers, and offers the session again.  The contrast is the full handshake
of the same client at that moment: it is refused, or has another verdict.
"""

import datetime
import os
import ssl
import subprocess
import time
from pipes import client_over_pipes, shake_over_pipes

import pairs
import pki
import pytest
from sessions import NAME, NO_TICKET, OTHER, resume, resumed, route, trusted

import ccert
from ccert import Trust


@pytest.fixture(params=["require", "off", "stock"])
def strict(request, host):
    """Where the name comes to lead: a context that refuses the member, or calls it Untrusted."""
    other = pki.issue("Other Root", ca=True)
    if request.param == "stock":
        context = host.stock(other.pem)
        context.verify_mode = ssl.CERT_REQUIRED
        return context
    mode = "require" if request.param == "require" else "ask"
    return host.context(other.pem, client_certs=mode, trust_server_ccerts=request.param != "off")


@pytest.mark.parametrize("through", ["itself", "stock"])
def test_a_name_that_comes_to_lead_elsewhere(host, clique, member, keep, strict, through):
    """A session of the context that a name led to does not resume where it leads now.

    Resumption is decided before the sni_callback is asked, so the connection is closed; the next
    one shakes hands in full, even if the client offers its ticket again.
    """
    lax = host.context(clique.root.pem, trust_server_ccerts=True)
    listening = lax if through == "itself" else host.stock()
    listening.verify_mode = ssl.CERT_OPTIONAL  # what counts on the connections that it makes
    keep(lax)
    table = {} if through == "itself" else {NAME: lax}
    route(listening, table)
    first = pairs.handshake(listening, member, name=NAME)
    assert trusted(first)
    assert resumed(resume(listening, member, first, name=NAME)) is (through == "itself")
    table[NAME] = strict
    again = resume(listening, member, first, name=NAME)
    assert not trusted(again)
    assert not resumed(again) or pairs.is_closed(again.server.tls)
    third = resume(listening, member, first, name=NAME)
    assert not resumed(third)
    assert not trusted(third)


def test_a_closed_connection_tells_nothing(host, clique, member, keep):
    """Of a connection that ccert has closed, ssl shows no certificate, and peer() says why."""
    lax = host.context(clique.root.pem, client_certs="optional", trust_server_ccerts=True)
    keep(lax)
    table = {}
    route(lax, table)
    first = pairs.handshake(lax, member, name=NAME)
    assert first.server.tls.getpeercert()
    table[NAME] = host.context(clique.root.pem, client_certs="require")
    again = resume(lax, member, first, name=NAME)
    assert pairs.is_closed(again.server.tls)
    assert again.server.tls.getpeercert() == {}
    assert again.server.tls.getpeercert(True) is None
    with pytest.raises(ccert.CcertError, match="has closed the TLS connection: its session must"):
        ccert.peer(again.server.tls)


@pytest.mark.parametrize("kind", ["leaf", "ca"])
@pytest.mark.parametrize("how", ["sni_callback", "assigned"])
def test_no_session_outlives_its_chain_elsewhere(host, clique, pin, keep, kind, how):
    """A connection that ends in another context than it was made of leaves no session.

    Nobody would watch over its deadline: the hooks that do are those of the first.
    """
    attached = host.context(clique.root.pem, trust_server_ccerts=True)
    stock = host.stock(clique.root.pem)
    stock.verify_mode = ssl.CERT_OPTIONAL
    keep(attached)
    soon = datetime.timedelta(seconds=60)
    low = pki.issue("Short-lived CA", clique.root, ca=True, end=soon)
    eku = [pki.SERVER] if how == "assigned" else [pki.CLIENT]
    chain = clique.leaf(eku=eku, end=soon) if kind == "leaf" else clique.below(low, eku=eku)
    client = host.client(chain)
    pin(client)
    listening, ends = (attached, stock) if how == "sni_callback" else (stock, attached)
    if how == "sni_callback":
        route(listening, {NAME: ends})

    def shake(session=None) -> pairs.Pair:
        pair = pairs.begin(listening, client, session=session)
        if how == "assigned":
            pair.server.tls.context = ends
        pairs.finish(pair)
        assert pair.completed, pair.server.error
        pair.round_trip()
        return pair

    first = shake()
    again = shake(first.client.tls.session)
    assert not resumed(again)
    assert ends is stock or trusted(again)


def test_forked_workers_that_attach_anew(host, clique, member):
    """Two workers with a CRL each share their tickets' key, but no session: nothing is counted."""
    good, revoked = clique.leaf(), clique.leaf()
    server = host.stock(clique.root.pem)
    ccert.attach(server, client_certs="ask", trust_server_ccerts=True)
    server.options &= ~NO_TICKET
    client = host.client(revoked)
    client.minimum_version = client.maximum_version = member.maximum_version

    def attach_with(list_of: pki.Certificate) -> None:
        server.load_verify_locations(
            host.write(f"crl-{os.getpid()}.pem", pki.crl(clique.ca, list_of))
        )
        server.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        ccert.attach(server, trust_server_ccerts=True)

    parent, child = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:  # the worker that knows better
        status = 1
        try:
            attach_with(revoked.sent[0])
            pair = shake_over_pipes(server, parent[0], child[1])
            status = 0 if ccert.peer(pair).error_code == 23 else 2
        finally:
            os._exit(status)
    attach_with(good.sent[0])
    first = pairs.handshake(server, client)
    assert trusted(first)
    tls = client_over_pipes(client, child[0], parent[1], first.client.tls.session)
    assert not tls.session_reused
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("loaded", ["file", "directory"])
def test_a_crl_ends_sessions(host, clique, keep, pin, loaded, tmp_path):
    """A revoked member's session ends with the load of the CRL into a ServerContext."""
    chain = clique.leaf()
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(server)
    server.load_verify_locations(host.write("crl.pem", pki.crl(clique.ca, age=2 * pki.DAY)))
    server.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    client = host.client(chain)
    pin(client)
    first = pairs.handshake(server, client)
    assert resumed(resume(server, client, first))
    path = tmp_path / "crl.pem"
    path.write_bytes(pki.crl(clique.ca, chain.sent[0]))
    if loaded == "file":
        server.load_verify_locations(path)
    else:
        (tmp_path / "ca.pem").write_bytes(clique.ca.pem)
        subprocess.run(["openssl", "rehash", tmp_path], check=True)
        server.load_verify_locations(capath=tmp_path)
    again = resume(server, client, first)
    assert not resumed(again)
    assert ccert.peer(again.server.tls).error_code == 23


@pytest.mark.parametrize("change", ["attach", "crl", "flags", "mode", "detach"])
def test_changed_while_the_client_takes_its_time(host, clique, member, keep, change):
    """A resumption that is under way when the policy changes does not come to an end."""
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(server)
    first = pairs.handshake(server, member)
    slow = pairs.begin(server, member, session=first.client.tls.session)
    slow.client.step()
    slow.server.incoming.write(slow.client.outgoing.read())
    slow.server.step()
    assert slow.server.tls.session_reused
    {
        "attach": lambda: ccert.attach(server, trust_server_ccerts=False),
        "crl": lambda: server.load_verify_locations(cadata=pki.issue("Another", ca=True).der),
        "flags": lambda: setattr(server, "verify_flags", ssl.VERIFY_CRL_CHECK_LEAF),
        "mode": lambda: setattr(server, "verify_mode", ssl.CERT_REQUIRED),
        "detach": lambda: ccert.detach(server),
    }[change]()
    slow.client.incoming.write(slow.server.outgoing.read())
    pairs.finish(slow)
    assert pairs.is_closed(slow.server.tls)
    assert not trusted(slow)


def test_expired_while_the_client_takes_its_time(host, clique, keep, pin):
    """A resumption that is under way when the certificate expires does not come to an end."""
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(server)
    client = host.client(clique.leaf(end=datetime.timedelta(seconds=3)))
    pin(client)
    expiry = time.time() + 3
    first = pairs.handshake(server, client)
    slow = pairs.begin(server, client, session=first.client.tls.session)
    slow.client.step()
    slow.server.incoming.write(slow.client.outgoing.read())
    slow.server.step()
    assert slow.server.tls.session_reused
    slow.client.incoming.write(slow.server.outgoing.read())
    while time.time() < expiry + 1.5:
        time.sleep(0.1)
    pairs.finish(slow)
    assert pairs.is_closed(slow.server.tls)


def test_anonymous_clients_of_a_stock_listener(host, clique, pin, keep):
    """Where a stock context hands over to an attached one, clients without a certificate come in.

    Each time in full: a session of the stock context is none of the attached one's.
    """
    attached = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(attached)
    stock = host.stock()
    stock.verify_mode = ssl.CERT_OPTIONAL
    table = {NAME: attached}
    route(stock, table)
    client = host.client()
    pin(client)
    first = pairs.handshake(stock, client, name=NAME)
    again = pairs.handshake(stock, client, name=NAME, session=first.client.tls.session)
    for pair in (first, again):
        assert ccert.peer(pair.server.tls).trust is Trust.ANONYMOUS
        assert not resumed(pair)
    elsewhere = pairs.handshake(stock, client, name=OTHER)
    table[OTHER] = attached
    brought = pairs.handshake(stock, client, name=OTHER, session=elsewhere.client.tls.session)
    assert resumed(brought)
    assert pairs.is_closed(brought.server.tls)


def test_observing_behind_a_context_that_is_off(host, clique, version):
    """The dry run is told where the context that listens is off and the name's observes."""
    off = host.context(clique.root.pem)
    observing = host.context(clique.root.pem, trust_server_ccerts="observe")
    route(off, {NAME: observing})
    off.minimum_version = off.maximum_version = version
    peer = ccert.peer(pairs.handshake(off, host.client(clique.leaf()), name=NAME).server.tls)
    assert peer.trust is Trust.UNTRUSTED
    assert peer.would_trust_as_server
    other = ccert.peer(pairs.handshake(off, host.client(clique.leaf()), name=OTHER).server.tls)
    assert not other.would_trust_as_server


def test_authenticated_anew_after_a_resumption(host, clique):
    """After post-handshake authentication the verdict is fresh, and so is the signature."""
    context = host.context(clique.root.pem, client_certs="optional", trust_server_ccerts=True)
    context.post_handshake_auth = True
    client = host.client(clique.leaf())
    client.post_handshake_auth = True
    first = pairs.handshake(context, client)
    again = pairs.handshake(context, client, session=first.client.tls.session)
    before = ccert.peer(again.server.tls)
    assert (before.resumed, before.client_signature) == (True, None)
    again.server.tls.verify_client_post_handshake()
    again.round_trip()
    after = ccert.peer(again.server.tls)
    assert after.trusted_as_server
    assert not after.resumed
    assert after.client_signature.name == "ECDSA"
    assert after.server_signature is None  # the server made none in a resumed handshake


def test_assigned_to_a_stock_context(host, clique, pin, keep):
    """Where none of our callbacks sees the handshake, the context that listens keeps no session.

    The contrast: between stock contexts there is one.
    """
    attached, stock = host.context(clique.root.pem), host.stock(clique.root.pem)
    keep(attached)
    client = host.client()
    pin(client)

    def shake(listening: ssl.SSLContext, session=None) -> pairs.Pair:
        pair = pairs.begin(listening, client, session=session)
        pair.server.tls.context = stock
        pairs.finish(pair).round_trip()
        return pair

    for listening in (attached, host.stock()):
        first = shake(listening)
        again = shake(listening, first.client.tls.session)
        assert resumed(again) is (listening is not attached)


@pytest.mark.parametrize("how", ["list of the leaf's issuer", "of all"])
def test_a_crl_that_ends(host, clique, keep, pin, how):
    """When the CRL's time is over a full handshake is refused, so a session ends before."""
    chain = clique.leaf()
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(server)
    pin(server)
    soon = datetime.timedelta(seconds=3)
    crls = pki.crl(clique.ca, end=soon) + pki.crl(clique.root)
    server.load_verify_locations(host.write("soon.pem", crls))
    flag = ssl.VERIFY_CRL_CHECK_LEAF if "leaf" in how else ssl.VERIFY_CRL_CHECK_CHAIN
    server.verify_flags |= flag
    client = host.client(chain)
    first = pairs.handshake(server, client)
    assert trusted(first)
    assert resumed(resume(server, client, first))
    time.sleep(3.2)
    assert not trusted(pairs.handshake(server, client))
    again = resume(server, client, first)
    assert not resumed(again)
    assert not trusted(again)


def test_half_a_file_ends_sessions(host, clique, member, keep):
    """A file that is broken behind its CRL is an error; sessions end all the same."""
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(server)
    first = pairs.handshake(server, member)
    assert resumed(resume(server, member, first))
    broken = pki.crl(clique.ca) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with pytest.raises(ccert.ConfigError, match=r"half\.pem: certificate 1"):
        server.load_verify_locations(host.write("half.pem", broken))
    assert not resumed(resume(server, member, first))
