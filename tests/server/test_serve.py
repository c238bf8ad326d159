"""``ccert serve``: the real command in a process of its own, clients on loopback.

Who is trusted, and what becomes of a message.  How the processes live: test_serve_processes.py.
"""

import email
import email.policy
import smtplib
import socket
import subprocess
import sys

import pki
import pytest
from programs import require_ipv6
from serving import BOTH, COMMAND, MESSAGE, PATIENCE, send, serving

from ccert.cli import main

TRUST = {  # by kind of certificate: the log's word, with the setting no, observe and yes
    "server": ["Untrusted", "Untrusted", "Trusted"],
    "client": ["Trusted", "Trusted", "Trusted"],
    "self-signed": ["Untrusted", "Untrusted", "Untrusted"],
    "none": ["Anonymous", "Anonymous", "Anonymous"],
}


@pytest.fixture(scope="module")
def chains(clique) -> dict:
    return {
        "server": clique.leaf(),
        "client": clique.leaf(eku=[pki.CLIENT]),
        "self-signed": clique.leaf(issuer=pki.issue("Strange Root", ca=True)),
        "none": None,
    }


@pytest.fixture(scope="module", params=["no", "observe", "yes"])
def setting(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def of_setting(setting, host, clique, identity, tmp_path_factory):
    """A server with the setting."""
    maildir = tmp_path_factory.mktemp("serve") / "Mail"
    words = ["--cafile", host.anchors(clique.root.pem), "--trust-server-ccerts", setting, *BOTH]
    with serving(maildir, *identity, *words) as server:
        yield server


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("kind", TRUST)
def test_trust(of_setting, setting, host, chains, kind, implicit):
    """Each kind of client is logged, and its message marked, as it deserves; all may deliver."""
    server = of_setting
    before = len(server.messages())
    with server.client(host.client(chains[kind]), implicit=implicit) as smtp:
        send(smtp)
    expected = TRUST[kind][["no", "observe", "yes"].index(setting)]
    server.wait_for(f"{expected} TLS connection established from unknown.127.0.0.1.: TLSv1.3 with")
    if setting == "observe" and kind == "server":
        server.wait_for("trust_server_ccerts would make unknown.127.0.0.1. Trusted: no names, ")
    server.wait_for(f": client=unknown.127.0.0.1., trust={expected}, from=<a@client.example>, to=")
    *_, message = server.messages()
    assert len(server.messages()) == before + 1
    received = email.message_from_bytes(message)["Received"]
    names = '"mx.example", Issuer "Clique CA"' if expected == "Trusted" else '"", Issuer ""'
    verified = "verified OK" if expected == "Trusted" else "not verified"
    client = "did not present a certificate" if kind == "none" else f"CN {names} ({verified})"
    assert f"(Client {client})" in received


def test_observe_changes_nothing(of_setting, setting, host, chains):
    """Only "observe" tells what "yes" would do, and only of clients for whom it would matter."""
    for chain in chains.values():
        with of_setting.client(host.client(chain)) as smtp:
            send(smtp)
        of_setting.wait_for("delivered as")
    would = sum("trust_server_ccerts would make" in line for line in of_setting.lines)
    assert (would > 0) == (setting == "observe")


def test_no_auth(server, host):
    """AUTH is neither offered nor there, with or without TLS: there is nobody to log in."""
    with server.client(host.client()) as smtp:
        assert b"AUTH" not in smtp.ehlo()[1]
        assert smtp.docmd("AUTH PLAIN")[0] == 500
        assert smtp.docmd("STARTTLS")[0] == 503


def test_order_of_commands(server, host):
    """Commands out of order, or with words too many, are refused, and the session goes on."""
    with server.client(host.client()) as smtp:
        assert smtp.docmd("MAIL FROM:<a@b>")[0] == 503
        assert smtp.docmd("DATA")[0] == 503
        smtp.ehlo("x")
        assert smtp.docmd("RCPT TO:<b@mx.example>")[0] == 503
        assert smtp.docmd("MAIL FROM:<a@b>")[0] == 250
        assert smtp.docmd("DATA")[0] == 503
        assert smtp.docmd("RCPT TO:<>")[0] == 501
        assert smtp.docmd("RCPT TO:<b@mx.example>")[0] == 250
        assert smtp.docmd("DATA x")[0] == 501
        assert smtp.docmd("STARTTLS x")[0] == 501
        assert smtp.data(MESSAGE)[0] == 250


def test_too_large(identity, tmp_path):
    """A message beyond message_size_limit is refused, when announced and after it came."""
    config = tmp_path / "main.cf"
    config.write_text("message_size_limit = 1000\n")
    with serving(tmp_path / "Mail", *identity, "--config", config) as server:
        with server.client() as smtp:
            smtp.ehlo("x")
            assert smtp.esmtp_features["size"] == "1000"
            assert smtp.docmd("MAIL FROM:<a@b> SIZE=1001")[0] == 552
            for size, expected in ((1001, 552), (1000, 250)):
                smtp.docmd("MAIL FROM:<a@b>")
                smtp.docmd("RCPT TO:<b@mx.example>")
                assert smtp.data(b"x" * (size - 2) + b"\r\n")[0] == expected
        assert len(server.messages()) == 1
        assert list((server.maildir / "tmp").iterdir()) == []


def test_too_many_recipients(server):
    """The thousand-and-first recipient is put off, not lost: RFC 5321, 4.5.3.1.10."""
    with server.client() as smtp:
        smtp.ehlo("x")
        smtp.docmd("MAIL FROM:<a@b>")
        smtp.send("RCPT TO:<b@mx.example>\r\n" * 1001)
        replies = [smtp.getreply()[0] for _ in range(1001)]
    assert replies == [250] * 1000 + [452]


def test_failed_delivery(identity, tmp_path):
    """What cannot be stored is put off with 451 and logged; the session and the server go on."""
    with serving(tmp_path / "Mail", *identity) as server, server.client() as smtp:
        for name in ("new", "tmp"):
            (server.maildir / name).rename(server.maildir / "away")
            for message in (MESSAGE, MESSAGE * 10_000):
                with pytest.raises(smtplib.SMTPDataError, match="451"):
                    send(smtp, message)
                server.wait_for("(not delivered|cannot write to .*): .*No such file")
            (server.maildir / "away").rename(server.maildir / name)
        send(smtp)
        assert len(server.messages()) == 1


def test_require_trusted(host, clique, identity, tmp_path):
    """--require-trusted takes mail from the trusted only, with TLS or without."""
    words = [
        "--cafile",
        host.anchors(clique.root.pem),
        "--require-trusted",
        "--trust-server-ccerts",
    ]
    ports = ["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]
    with serving(tmp_path / "Mail", *identity, *ports, *words, "yes") as server:
        for context, refused in (
            (None, r"MAIL .*: 530 .*; from=<a@client.example> "),
            (host.client(), "STARTTLS .*: 554 "),
        ):
            with server.client(context) as smtp, pytest.raises(smtplib.SMTPException):
                send(smtp)
            server.wait_for(f"reject: {refused}.*proto=")
        with (
            server.client(host.client(), implicit=True) as smtp,
            pytest.raises(smtplib.SMTPException),
        ):
            send(smtp)
        server.wait_for("reject: HELO from unknown.127.0.0.1.: 554 .*helo=<.+>")
        with server.client(host.client(clique.leaf())) as smtp:
            send(smtp)
        assert len(server.messages()) == 1


def test_require(host, clique, identity, tmp_path):
    """--client-certs require ends the handshake of the others, and the session of those without."""
    words = ["--cafile", host.anchors(clique.root.pem), "--client-certs", "require"]
    with serving(tmp_path / "Mail", *identity, *words, "--trust-server-ccerts", "yes") as server:
        with server.client() as smtp:
            smtp.ehlo("x")
            assert smtp.docmd("MAIL FROM:<a@b>")[0] == 530
        with pytest.raises((OSError, smtplib.SMTPException)), server.client(host.client()) as smtp:
            send(smtp)
        server.wait_for("TLS handshake with unknown.127.0.0.1. failed: .*certificate")
        with server.client(host.client(clique.leaf())) as smtp:
            send(smtp)
        assert len(server.messages()) == 1


def test_not_asked(host, clique, identity, tmp_path):
    """smtpd_tls_ask_ccert = no asks nobody, and the header says so."""
    config = tmp_path / "main.cf"
    config.write_text("smtpd_tls_ask_ccert = no\n")
    with serving(tmp_path / "Mail", *identity, "--config", config) as server:
        with server.client(host.client(clique.leaf())) as smtp:
            send(smtp)
        server.wait_for("Anonymous TLS connection established")
        assert b"\t(No client certificate requested)\n" in server.messages()[0]


def test_not_one_more(identity, tmp_path, unused_port):
    """A port that somebody serves already is not shared, but refused, exit status 2."""
    command = [COMMAND, "serve", *identity, "--maildir", tmp_path / "Mail", "--listen"]
    with (
        serving(tmp_path / "Mail", *identity) as server,
        socket.create_server(("127.0.0.1", unused_port)),
    ):
        for port in (server.ports[0], unused_port):
            words = [*command, f"127.0.0.1:{port}"]
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, timeout=PATIENCE
            )
            assert done.returncode == 2
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr


def test_ipv6(identity, tmp_path):
    """An IPv6 address is listened to and written as RFC 5321, 4.1.3, wants it."""
    require_ipv6()
    with serving(tmp_path / "Mail", *identity, "--listen", "[::1]:0") as server:
        port = int(server.lines[-1].rpartition("[::1]:")[2].split()[0])
        with smtplib.SMTP("::1", port, timeout=PATIENCE) as smtp:
            send(smtp)
        assert b"(unknown [IPv6:::1])\n" in server.messages()[0]


def test_maildir_is_private(server):
    """Nobody else reads the mail."""
    with server.client() as smtp:
        send(smtp)
    paths = [server.maildir, *server.maildir.rglob("*")]
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths)


def test_help_teaches(capsys):
    """--help has examples and says how it ends."""
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    out = capsys.readouterr().out
    assert "--trust-server-ccerts observe" in out
    assert "Exit status: 0 if it was stopped" in out


def test_names_what_it_needs(capsys, monkeypatch):
    """Without the extra it says how to get it."""
    for name in [
        name for name in sys.modules if name.startswith(("ccert.server", "ccert.cli.serve"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "ccert.aiosmtpd", raising=False)
    monkeypatch.setitem(sys.modules, "aiosmtpd", None)
    monkeypatch.setitem(sys.modules, "aiosmtpd.smtp", None)
    assert main(["serve", "--cert", "x"]) == 2
    assert "pip install 'ccert[aiosmtpd]'" in capsys.readouterr().err
