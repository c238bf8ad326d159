"""Real clients resume their sessions with a server of ours, as far as the verdict holds.

Strategy: the same errand three times: to earn a session, to resume it, and to offer it in vain
once the context is attached anew.
"""

import dataclasses
import logging

import pytest
from clients import Errand, Identity, gnutls_cli, posttls_finger, s_client
from mailserver import on_each_loop, serving

import ccert
from ccert import Trust


@pytest.fixture
def errand(host, clique, version):
    """On behalf of a member that lists serverAuth only; the port is still to be set."""
    identity = Identity.write(host, clique.leaf())
    return Errand(0, host.cafile, identity=identity, version=version)


@pytest.fixture
def context(host, clique):
    return host.context(clique.root.pem, trust_server_ccerts=True)


def _told(delivery) -> tuple[bool, Trust, bool]:
    return delivery.peer.resumed, delivery.peer.trust, delivery.peer.trusted_as_server


@on_each_loop
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
def test_s_client(context, new_loop, errand, implicit, setting, tmp_path):
    """A resumed session is Trusted as the first was; attaching ends it, whatever the setting."""
    session = tmp_path / "session.pem"
    with serving(context, new_loop) as server:
        port = server.tls_port if implicit else server.port
        errand = dataclasses.replace(errand, port=port, implicit=implicit)
        s_client(errand, "-sess_out", session)
        s_client(errand, "-sess_in", session, "-sess_out", session)
        first, second = server.deliveries(2)
        ccert.attach(context, trust_server_ccerts=setting, client_certs="ask")
        s_client(errand, "-sess_in", session)
        *_, third = server.deliveries(3)
    assert _told(first) == (False, Trust.TRUSTED, True)
    assert _told(second) == (True, Trust.TRUSTED, True)
    assert _told(third) == (False, Trust.TRUSTED if setting else Trust.UNTRUSTED, setting)
    assert second.peer.fingerprint == first.peer.fingerprint
    assert second.peer.policy_attributes() == first.peer.policy_attributes()


@on_each_loop
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_gnutls_cli(context, new_loop, errand, implicit):
    """gnutls-cli says that it resumed, so does the verdict, and the message arrives."""
    with serving(context, new_loop) as server:
        port = server.tls_port if implicit else server.port
        transcript = gnutls_cli(dataclasses.replace(errand, port=port, implicit=implicit), "-r")
        (delivery,) = server.deliveries()
    assert "This is a resumed session" in transcript
    assert _told(delivery) == (True, Trust.TRUSTED, True), transcript


@on_each_loop
def test_posttls_finger(host, clique, context, new_loop, tmp_path, caplog):
    """Postfix's client, which verifies our certificate, too, resumes and stays Trusted."""
    identity = Identity.write(host, clique.leaf())
    with serving(context, new_loop) as server, caplog.at_level(logging.INFO, "ccert"):
        transcript = posttls_finger(Errand(server.port, host.cafile, identity=identity), tmp_path)
    assert "Reusing old session" in transcript, transcript
    assert transcript.count("Verified TLS connection established to 127.0.0.1") == 2
    first, second = (line for line in caplog.messages if line.startswith("Trusted"))
    assert first.startswith("Trusted TLS connection established from unknown[127.0.0.1]: TLSv1.3")
    assert second == first.partition(" server-signature ")[0]
