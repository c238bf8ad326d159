"""Resumption never carries a verdict to where it does not hold.

Strategy: earn a session, change one thing, offer the session again.  That it resumes when nothing
changed shows each time that the test could fail.
"""

import datetime
import ssl
import time

import pairs
import pki
import pytest
from sessions import NO_TICKET, NameChanger, resume, resumed

import ccert
from ccert import Trust


@pytest.mark.parametrize("usages", [[pki.SERVER], [pki.CLIENT]], ids=["server", "client"])
@pytest.mark.parametrize("mode", ["ask", "optional", "require"])
def test_resumption_brings_the_same_verdict(host, clique, pin, keep, mode, usages):
    """Where nothing changed a session resumes, whatever the mode, and says what it said."""
    server = host.context(clique.root.pem, client_certs=mode, trust_server_ccerts=True)
    keep(server)
    client = host.client(clique.leaf(eku=usages))
    pin(client)
    first = pairs.handshake(server, client)
    told = ccert.peer(first.server.tls)
    again = resume(server, client, first)
    assert resumed(again)
    retold = ccert.peer(again.server.tls)
    assert (told.resumed, retold.resumed) == (False, True)
    assert retold.trust is told.trust is Trust.TRUSTED
    assert retold.trusted_as_server is told.trusted_as_server is (usages == [pki.SERVER])
    assert (retold.fingerprint, retold.subject) == (told.fingerprint, told.subject)
    assert ccert.stats(server).verified == 1


def test_anonymous_session(host, clique, pin, keep):
    """A client without a certificate resumes, and stays anonymous."""
    server = host.context(clique.root.pem)
    keep(server)
    client = host.client()
    pin(client)
    again = resume(server, client, pairs.handshake(server, client))
    assert resumed(again)
    assert ccert.peer(again.server.tls).trust is Trust.ANONYMOUS


@pytest.mark.parametrize("trusted", [True, False])
def test_untrusted_certificate_leaves_no_session(host, clique, member, keep, trusted):
    """Strangers cannot fill the memory with their chains, nor resume; the trusted do."""
    server = host.context(clique.root.pem, trust_server_ccerts=trusted)
    keep(server)
    first = pairs.handshake(server, member)
    stateful = server.options & NO_TICKET
    assert server.session_stats()["number"] == (1 if trusted and stateful else 0)
    if session := first.client.tls.session:
        again = pairs.handshake(server, member, session=session)
        assert resumed(again) is trusted


@pytest.mark.parametrize("extra", [3, 9])
def test_large_chain_leaves_no_session(host, clique, keep, pin, extra):
    """Not even a trusted client fills the memory with what it sends along."""
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(server)
    chain = clique.leaf()
    chain.sent.extend([clique.root] * extra)
    client = host.client(chain)
    pin(client)
    first = pairs.handshake(server, client)
    assert ccert.peer(first.server.tls).trust is Trust.TRUSTED
    again = resume(server, client, first)
    assert resumed(again) == (extra == 3)


def test_policy_change_ends_sessions(host, clique, member, keep):
    """A session that the setting let in does not resume once the setting is off."""
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(server)
    first = pairs.handshake(server, member)
    assert resumed(resume(server, member, first))
    assert (server.session_stats()["number"] > 0) == bool(server.options & NO_TICKET)
    ccert.attach(server, trust_server_ccerts=False)
    assert server.session_stats()["number"] == 0
    again = resume(server, member, first)
    assert not resumed(again)
    assert ccert.peer(again.server.tls).error_code == 26


def test_other_anchors_end_sessions(host, clique, member):
    """Attaching anew after another CA was loaded ends the sessions made before, tickets too."""
    server = host.stock(clique.root.pem)
    ccert.attach(server, client_certs="ask", trust_server_ccerts=True)
    server.options &= ~NO_TICKET
    first = pairs.handshake(server, member)
    assert resumed(resume(server, member, first))
    server.load_verify_locations(cadata=pki.issue("Other Root", ca=True).der)
    ccert.attach(server, trust_server_ccerts=True)
    assert not resumed(resume(server, member, first))


def test_attaching_anew_ends_sessions(host, clique, member, keep):
    """Even with equal settings: CRLs and CAs may have changed since, which no digest sees."""
    server = host.stock(clique.root.pem)
    ccert.attach(server, client_certs="ask", trust_server_ccerts=True)
    keep(server)
    first = pairs.handshake(server, member)
    assert resumed(resume(server, member, first))
    ccert.attach(server, client_certs="ask", trust_server_ccerts=True)
    assert not resumed(resume(server, member, first))


def test_stricter_mode_ends_sessions(host, clique, member, keep):
    """What was let in under "ask" comes in anew after verify_mode = CERT_REQUIRED."""
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(server)
    first = pairs.handshake(server, member)
    assert resumed(resume(server, member, first))
    server.verify_mode = ssl.CERT_REQUIRED
    again = resume(server, member, first)
    assert not resumed(again)
    assert ccert.peer(again.server.tls).trusted_as_server


@pytest.mark.parametrize("change", ["depth", "flags", "level"])
def test_connection_made_before_the_change(host, clique, member, keep, change):
    """A connection keeps the depth, flags and level that it was made with; so does its session.

    Made before the context became stricter and finished afterwards, it is verified by the old
    ones: its session must not open the door to connections made later.
    """
    server = host.stock(clique.root.pem)
    ccert.attach(server, client_certs="ask", trust_server_ccerts=True)
    keep(server)
    member.load_cert_chain(host.write("deep.pem", _deep_member(clique)))
    early = pairs.begin(server, member)
    if change == "flags":
        server.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    elif change == "level":
        server.set_ciphers("DEFAULT:@SECLEVEL=4")  # wants 192 bits, P-256 has 128
    ccert.attach(server, trust_server_ccerts=True, verify_depth=0 if change == "depth" else 9)
    pairs.finish(early).round_trip()
    assert ccert.peer(early.server.tls).trust is Trust.TRUSTED
    late = resume(server, member, early)
    assert not resumed(late)
    assert not late.completed or ccert.peer(late.server.tls).trust is Trust.UNTRUSTED


def _deep_member(clique) -> bytes:
    low = pki.issue("Low CA", clique.ca, ca=True)
    leaf = pki.issue("mx.example", low, eku=[pki.SERVER])
    return leaf.pem + low.pem + clique.ca.pem + leaf.key_pem


def test_detaching_ends_sessions(host, clique, member, keep):
    """What ccert let in does not resume on the stock context that is left."""
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(server)
    first = pairs.handshake(server, member)
    assert resumed(resume(server, member, first))
    ccert.detach(server)
    assert not resume(server, member, first).completed


def test_two_contexts_share_no_session(host, clique, member, keep):
    """A session of one context does not resume at another of the same settings."""
    servers = [host.context(clique.root.pem, trust_server_ccerts=True) for _ in range(2)]
    for server in servers:
        keep(server)
    first = pairs.handshake(servers[0], member)
    assert resumed(resume(servers[0], member, first))
    again = resume(servers[1], member, first)
    assert not resumed(again)
    assert ccert.peer(again.server.tls).trust is Trust.TRUSTED


# -- names: an sni_callback that switches contexts --


def _switching(first: ssl.SSLContext, other: ssl.SSLContext) -> ssl.SSLContext:
    def switch(tls, name, _context) -> None:
        if name == "mx2.example":
            tls.context = other

    first.sni_callback = switch
    return first


def test_stock_contexts_do_resume_across_names(host, clique, member):
    """The contrast: CPython's contexts alone resume a lax name's session at a strict name."""
    lax, strict = host.stock(clique.leaf(eku=[pki.CLIENT]).anchors), host.stock()
    client = host.client(clique.leaf(eku=[pki.CLIENT]))
    client.minimum_version = client.maximum_version = member.maximum_version
    for context in (lax, strict):
        context.verify_mode = ssl.CERT_OPTIONAL
    _switching(lax, strict)
    first = pairs.handshake(lax, client, name="mx.example")
    assert resumed(resume(lax, client, first, name="mx2.example"))


def test_name_of_a_strict_stock_context(host, clique, member, keep):
    """A session for one name does not resume at a name whose context is strict stock OpenSSL."""
    strict = host.stock(clique.root.pem)
    strict.verify_mode = ssl.CERT_REQUIRED
    server = host.context(clique.root.pem, client_certs="optional", trust_server_ccerts=True)
    keep(server)
    _switching(server, strict)
    first = pairs.handshake(server, member, name="mx.example")
    assert resumed(resume(server, member, first, name="mx.example"))
    again = resume(server, member, first, name="mx2.example")
    assert not again.completed
    assert again.server.error.verify_code == 26


@pytest.mark.parametrize("mode", ["ask", "optional"])
def test_name_changed_after_a_retry(host, clique, mode):
    """A client that changes the name after a HelloRetryRequest is cut off.

    The second ClientHello meets the context that the first one's name led to, and that one may be
    without ccert: the session would be filed under a name that it was not made for.
    """
    strict = host.stock(clique.root.pem)
    strict.verify_mode = ssl.CERT_REQUIRED
    server = host.context(clique.root.pem, client_certs=mode, trust_server_ccerts=True)
    server.set_ecdh_curve("secp384r1")  # not the share that clients send at first

    def switch(tls, name, _context) -> None:
        tls.context = strict if name == "mx2.example" else server

    server.sni_callback = switch
    changer = NameChanger(host, clique.leaf())
    honest = changer.shake(server, "mx.example", "mx.example")
    assert ccert.peer(honest.server.tls).trusted_as_server
    session = honest.client.tls.connection.get_session()
    again = changer.shake(server, "mx.example", "mx.example", session)
    assert again.completed
    assert ccert.peer(again.server.tls).resumed
    for names in (("mx2.example", "mx.example"), ("mx.example", "mx2.example")):
        for offered in (None, session):
            changed = changer.shake(server, *names, offered)
            assert not changed.completed or pairs.is_closed(changed.server.tls), names


def test_no_session_across_attached_contexts(host, clique, member, keep):
    """Where the name's context has a policy of its own, sessions would depend on both: none."""
    other = host.context(clique.root.pem, trust_server_ccerts=True)
    server = host.context(clique.root.pem)
    keep(server)
    _switching(server, other)
    first = pairs.handshake(server, member, name="mx2.example")
    assert ccert.peer(first.server.tls).trusted_as_server
    if session := first.client.tls.session:
        again = pairs.handshake(server, member, name="mx2.example", session=session)
        assert not resumed(again)
        assert ccert.peer(again.server.tls).trusted_as_server


def test_no_session_from_stock_to_attached(host, clique, member, version):
    """Nor where a stock context answers the ClientHello and switches to an attached one."""
    attached = host.context(clique.root.pem, client_certs="optional", trust_server_ccerts=True)
    server = host.stock(clique.root.pem)
    server.verify_mode = ssl.CERT_OPTIONAL
    _switching(server, attached)
    first = pairs.handshake(server, member, name="mx2.example")
    assert first.completed
    assert version in ssl.TLSVersion
    if session := first.client.tls.session:
        again = pairs.handshake(server, member, name="mx.example", session=session)
        assert not again.completed


# -- expiry --


def _lifetimes(clique, kind: str, seconds: int):
    soon = datetime.timedelta(seconds=seconds)
    if kind == "leaf":
        return clique.leaf(end=soon)
    return clique.below(pki.issue("Short-lived CA", clique.root, ca=True, end=soon))


@pytest.mark.parametrize("kind", ["leaf", "ca"])
def test_no_session_outlives_its_certificate(host, clique, pin, keep, kind):
    """No chain of resumptions goes on after a certificate of the session's chain expired."""
    seconds = 3
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    keep(server)
    chain = _lifetimes(clique, kind, seconds)
    expiry = time.time() + seconds
    client = host.client(chain)
    pin(client)
    last = pairs.handshake(server, client)
    assert ccert.peer(last.server.tls).trust is Trust.TRUSTED
    reused = 0
    while time.time() <= expiry:  # TLS 1.3 hands out a new ticket each time
        last = resume(server, client, last)
        assert last.completed, last.server.error
        reused += resumed(last)
        time.sleep(0.1)
    assert reused > 3
    after = resume(server, client, last)
    assert not resumed(after)
    assert after.completed, (after.server.error, after.client.error)
    assert ccert.peer(after.server.tls).error_code == 10


# -- what a user may choose --


def test_sessions_can_be_switched_off(host, clique, member):
    """num_tickets = 0 leaves TLS 1.3 without sessions, as without ccert."""
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    server.num_tickets = 0
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    member.maximum_version = ssl.TLSVersion.TLSv1_3
    first = pairs.handshake(server, member)
    session = first.client.tls.session
    assert session is None or not session.has_ticket


def test_attaching_does_not_turn_sessions_on(host):
    """A context that hands out no tickets still hands out none."""
    server = host.stock()
    server.num_tickets = 0
    ccert.attach(server, client_certs="ask")
    assert server.num_tickets == 0


def test_attaching_again_keeps_the_users_choice(host):
    """Only the first attach chooses stateful sessions."""
    server = host.context()
    server.options &= ~NO_TICKET
    server.num_tickets = 2
    ccert.attach(server)
    assert not server.options & NO_TICKET
    assert server.num_tickets == 2
