"""Debian's Postfix at the other end: as the client of a server of ours, and as the judge of one.

Strategy: one Postfix for all tests, with an SMTP client for each kind of certificate: a message to
member.example is delivered by the one that is a member.
"""

import asyncio
import dataclasses
import logging

import pki
import pytest
from clients import Errand, Identity, s_client
from mailserver import on_each_loop, reserved_port, serving
from transports import Transport, postfix, send

import ccert
from ccert import Trust

MESSAGE = "Subject: hello\n\nHow are you?\n"


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO, "ccert")
    return caplog


@pytest.fixture(scope="module")
def identities(host, clique) -> dict[str, Identity]:
    """Who may come."""
    chains = {
        "member": clique.leaf(),
        "client": clique.leaf(eku=[pki.CLIENT]),
        "email": clique.leaf(eku=[pki.EMAIL]),
        "stranger": clique.anchored(pki.issue("Stranger Root", ca=True)),
    }
    return {name: Identity.write(host, chain) for name, chain in chains.items()}


@pytest.fixture(scope="module")
def ports():
    """Where our server is to listen: Postfix must know before."""
    with reserved_port() as port, reserved_port() as tls_port:
        yield port, tls_port


@pytest.fixture(scope="module")
def mta(host, clique, identities, ports):
    port, tls_port = ports
    encrypt = {"smtp_tls_security_level": "encrypt"}
    verify = {
        "smtp_tls_security_level": "verify",
        "smtp_tls_verify_cert_match": "mx.example",
        "smtp_tls_CAfile": host.cafile,
    }
    settings = {
        name: encrypt
        | {"smtp_tls_cert_file": identity.everything, "smtp_tls_key_file": identity.everything}
        for name, identity in identities.items()
    }
    member = settings["member"]
    settings |= {
        "nobody": encrypt,
        "strict": member | verify,
        "old": member | {"smtp_tls_mandatory_protocols": "<=TLSv1.2"},
        "implicit": member | {"smtp_tls_wrappermode": "yes"},
    }
    transports = {
        name: Transport(tls_port if name == "implicit" else port, options)
        for name, options in settings.items()
    }
    server = {
        "smtpd_peername_lookup": "no",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_cert_file": host.certfile,
        "smtpd_tls_key_file": host.keyfile,
        "smtpd_tls_ask_ccert": "yes",
        "smtpd_tls_CAfile": host.write("clique.pem", clique.root.pem),
        "smtpd_tls_loglevel": "summary,untrusted",
    }
    with postfix(transports, server) as running:
        yield running


def deliver(mta, transport: str) -> str:
    """Let Postfix deliver a message; return its verdict on our server."""
    start = mta.now()
    send(mta, transport, MESSAGE)
    mta.wait_for(rf"to=<b@{transport}\.example>.* status=sent", start)
    return mta.wait_for(r"(\w+) TLS connection established to 127\.0\.0\.1", start)[1]


def test_no_way_out(mta):
    """A message to anybody else bounces at once: nothing that the tests do leaves the machine."""
    start = mta.now()
    send(mta, "elsewhere", MESSAGE)
    mta.wait_for(r"to=<b@elsewhere\.example>, relay=none, .* status=bounced \(there is no", start)


@on_each_loop
@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize("transport", ["member", "old", "implicit", "strict"])
def test_server_only(host, clique, mta, ports, new_loop, log, transport, setting):
    """A Postfix that lists serverAuth only is Trusted with the setting on; no mail is lost."""
    context = host.context(clique.root.pem, trust_server_ccerts=setting)
    with serving(context, new_loop, ports) as server:
        level = deliver(mta, transport)
        (delivery,) = server.deliveries()
    assert level == ("Verified" if transport == "strict" else "Untrusted")
    assert delivery.peer.trust is (Trust.TRUSTED if setting else Trust.UNTRUSTED)
    assert delivery.peer.trusted_as_server is setting
    assert delivery.peer.protocol == ("TLSv1.2" if transport == "old" else "TLSv1.3")
    assert delivery.peer.policy_attributes()["ccert_subject"] == ("mx.example" if setting else "")
    assert delivery.message.endswith(b"\r\n\r\nHow are you?\r\n")
    word = "Trusted" if setting else "Untrusted"
    assert f"{word} TLS connection established from unknown[127.0.0.1]: TLSv1." in log.text


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize(
    ("transport", "trust"),
    [
        ("client", Trust.TRUSTED),
        ("email", Trust.UNTRUSTED),
        ("stranger", Trust.UNTRUSTED),
        ("nobody", Trust.ANONYMOUS),
    ],
)
def test_others(host, clique, mta, ports, transport, trust, setting):
    """The setting changes nothing for anybody else, nor does any of them lose a message."""
    context = host.context(clique.root.pem, trust_server_ccerts=setting)
    with serving(context, asyncio.new_event_loop, ports) as server:
        deliver(mta, transport)
        (delivery,) = server.deliveries()
    assert (delivery.peer.trust, delivery.peer.trusted_as_server) == (trust, False)


@on_each_loop
@pytest.mark.parametrize("transport", ["member", "old", "implicit"])
def test_resumption(host, clique, mta, ports, new_loop, transport):
    """Postfix resumes its session for the next message, Trusted as before, until we attach anew."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    with serving(context, new_loop, ports) as server:
        for _ in range(2):
            deliver(mta, transport)
        server.deliveries(2)
        ccert.attach(context, trust_server_ccerts=True, client_certs="ask")
        deliver(mta, transport)
        deliveries = server.deliveries(3)
    assert [delivery.peer.resumed for delivery in deliveries] == [False, True, False]
    assert {delivery.peer.trust for delivery in deliveries} == {Trust.TRUSTED}
    assert len({delivery.peer.fingerprint for delivery in deliveries}) == 1


@pytest.mark.parametrize(
    ("who", "times"), [("member", 1), ("client", 2), ("email", 1), ("stranger", 1), ("nobody", 2)]
)
def test_smtpd_logs_the_same(host, clique, mta, identities, log, version, who, times, tmp_path):
    """Postfix's own server logs of a client what ours does with the setting off, to the byte.

    The second time the client resumes.  The untrusted come once: from us they get no session.
    Postfix has groups of its own, without those of OpenSSL 3.5, so the client names some.
    """
    errand = Errand(
        0, host.cafile, identity=identities.get(who), version=version, dialogue="QUIT\n"
    )

    def connect(port: int) -> None:
        session = tmp_path / f"{port}.pem"
        earlier = ["-sess_in", session] if session.exists() else []
        options = ["-groups", "X25519:P-256", "-sess_out", session, *earlier]
        s_client(dataclasses.replace(errand, port=port), *options)

    with serving(host.context(clique.root.pem), asyncio.new_event_loop) as server:
        for time in range(times):
            start = mta.now()
            connect(mta.port)
            theirs = mta.wait_for(r"smtpd.*: (\w+ TLS connection established from .*)", start)[1]
            reasons = mta.all(r"smtpd.*?: (.*certificate verification failed .*)", start)
            # Before Postfix 3.10: what kind of key it was, not the group's name ...
            theirs = theirs.replace("key-exchange X25519", "key-exchange x25519")
            if time == 1:  # ... and keys of which a resumption makes no use
                theirs = theirs.partition(" server-signature ")[0]
            log.clear()
            connect(server.port)
            ours = [line for line in log.messages if "subject_CN=" not in line]  # loglevel 2
            assert ours == [*reasons, theirs]
