"""Programs that people use carry a message to a server of ours, and its verdict is right.

Strategy: each client speaks STARTTLS and TLS at once, TLS 1.2 and 1.3, to a server on asyncio and
on uvloop.  The setting off and on is the contrast; the message arrives either way.
"""

import asyncio
import logging

import clients
import pki
import pytest
from clients import CLIENTS, MESSAGE, Errand, Identity
from mailserver import on_each_loop, serving

from ccert import Trust


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO, "ccert")
    return caplog


def _chain(client, clique, **deviation):
    chain = clique.leaf(**deviation)
    return clique.anchored(clique.root, **deviation) if client is clients.swaks else chain


@on_each_loop
@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("client", CLIENTS)
def test_server_only(host, clique, new_loop, log, client, implicit, version, setting):
    """Listing serverAuth only is Trusted with the setting on; the mail arrives on or off."""
    identity = Identity.write(host, _chain(client, clique))
    context = host.context(clique.root.pem, trust_server_ccerts=setting)
    with serving(context, new_loop) as server:
        port = server.tls_port if implicit else server.port
        transcript = client(Errand(port, host.cafile, implicit, identity, version))
        assert "221 Bye" in transcript, transcript
        (delivery,) = server.deliveries()
    peer = delivery.peer
    assert peer.trust is (Trust.TRUSTED if setting else Trust.UNTRUSTED)
    assert peer.trusted_as_server is setting
    assert peer.error_code == (0 if setting else 26)
    assert peer.policy_attributes()["ccert_subject"] == ("mx.example" if setting else "")
    assert peer.protocol.replace(".", "_") == version.name
    assert delivery.message.decode().strip() == MESSAGE.strip()
    word = "Trusted" if setting else "Untrusted"
    assert f"{word} TLS connection established from unknown[127.0.0.1]: TLSv1." in log.text


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize(
    ("who", "trust"),
    [
        ("client", Trust.TRUSTED),
        ("email", Trust.UNTRUSTED),
        ("stranger", Trust.UNTRUSTED),
        ("nobody", Trust.ANONYMOUS),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_others(host, clique, client, who, trust, setting):
    """The setting changes nothing for anybody else, nor does any of them lose a message."""
    context = host.context(clique.root.pem, trust_server_ccerts=setting)
    # Who else has a CA of the clique's name: gnutls-cli sends no certificate of any other.
    impostor = pki.issue("Clique Root", ca=True)
    chain = {
        "client": _chain(client, clique, eku=[pki.CLIENT]),
        "email": _chain(client, clique, eku=[pki.EMAIL]),
        "stranger": clique.anchored(impostor),
        "nobody": None,
    }[who]
    identity = Identity.write(host, chain) if chain else None
    with serving(context, asyncio.new_event_loop) as server:
        transcript = client(Errand(server.port, host.cafile, identity=identity))
        assert "221 Bye" in transcript, transcript
        (delivery,) = server.deliveries()
    assert (delivery.peer.trust, delivery.peer.trusted_as_server) == (trust, False)
