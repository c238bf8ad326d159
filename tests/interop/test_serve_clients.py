"""The programs that people use carry their mail to ``ccert serve``, a process of its own.

What its log says, and the Received header in the Maildir, are what an operator has of it.
"""

from __future__ import annotations

import pki
import pytest
from clients import CLIENTS, MESSAGE, Errand, Identity
from serving import serving
from transports import Transport, postfix, send

VERDICTS = {"no": "Untrusted", "observe": "Untrusted", "yes": "Trusted"}


@pytest.fixture(scope="module", params=VERDICTS)
def setting(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def server(host, clique, setting, tmp_path_factory):
    with serving(
        tmp_path_factory.mktemp("serve") / "Mail",
        *("--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"),
        *("--cert", host.certfile, "--key", host.keyfile),
        *("--cafile", host.anchors(clique.root.pem), "--trust-server-ccerts", setting),
    ) as server:
        yield server


@pytest.fixture(scope="module")
def identity(host, clique) -> Identity:
    """Of a member that lists serverAuth only, directly below the root: swaks sends the leaf."""
    return Identity.write(host, clique.anchored(clique.root))


def check(server, setting: str) -> None:
    """Read the log on, and the message: the verdict is that of the setting, in both."""
    word = VERDICTS[setting]
    server.wait_for(rf"INFO: {word} TLS connection established from unknown.127.0.0.1.: TLSv1.3 ")
    if setting == "observe":
        server.wait_for("trust_server_ccerts would make unknown.127.0.0.1. Trusted: no names, ")
    server.wait_for(rf"client=unknown.127.0.0.1., trust={word}, from=<a@.*, delivered as ")
    *_, message = server.messages()
    verified = 'CN "mx.example", Issuer "Clique Root" (verified OK)'
    client = verified if setting == "yes" else 'CN "", Issuer "" (not verified)'
    assert f"(Client {client})".encode() in message
    assert b"\nSubject: hello\n" in message
    assert b"\n\nHow are you?\n" in message


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("client", CLIENTS)
def test_clients(host, server, identity, client, implicit, setting):
    """Listing serverAuth only is Trusted with "yes"; the mail arrives whatever the setting."""
    errand = Errand(server.ports[implicit], host.cafile, implicit, identity)
    transcript = client(errand)
    assert "221 " in transcript, transcript
    check(server, setting)


def test_postfix(server, identity, setting):
    """So does Postfix's, over either port."""
    options = {
        "smtp_tls_security_level": "encrypt",
        "smtp_tls_cert_file": identity.everything,
        "smtp_tls_key_file": identity.everything,
    }
    transports = {
        "starttls": Transport(server.ports[0], options),
        "implicit": Transport(server.ports[1], options | {"smtp_tls_wrappermode": "yes"}),
    }
    with postfix(transports, {}) as mta:
        for name in transports:
            send(mta, name, MESSAGE.replace("\r\n", "\n"))
            mta.wait_for(rf"to=<b@{name}\.example>.* status=sent \(250 2.0.0 Ok: delivered as ")
            check(server, setting)


@pytest.mark.parametrize("client", CLIENTS)
def test_strangers(host, clique, server, client):
    """Nobody else is Trusted by the setting: not for mail, nor below another CA of the name."""
    before = len(server.lines)
    for chain in (
        clique.anchored(clique.root, eku=[pki.EMAIL]),
        clique.anchored(pki.issue("Clique Root", ca=True)),
    ):
        client(Errand(server.ports[0], host.cafile, identity=Identity.write(host, chain)))
        server.wait_for("trust=Untrusted, ")
    assert not any("would make" in line for line in server.lines[before:])
