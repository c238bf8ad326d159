"""``ccert serve`` with tables and a policy service: the parameters reach those who decide."""

import contextlib
import email
import hashlib
import signal
import smtplib
import socketserver
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from serving import PATIENCE, send, serving

from ccert.cli import main


def colons(octets: bytes) -> str:
    return hashlib.sha256(octets).digest().hex(":").upper()


def fingerprints(chain) -> tuple[str, str]:
    """Return the fingerprints of the certificate and of its key."""
    key = x509.load_der_x509_certificate(chain.sent[0].der).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return colons(chain.sent[0].der), colons(key.public_bytes(serialization.Encoding.DER, form))


@pytest.fixture
def start(host, tmp_path):
    """Return a function that starts a server, without any CA; parameters go into a file."""
    with contextlib.ExitStack() as stack:

        def start(*options, **parameters):
            config = tmp_path / "main.cf"
            config.write_text("".join(f"{name} = {value}\n" for name, value in parameters.items()))
            words = ["--cert", host.certfile, "--key", host.keyfile, "--config", config, *options]
            return stack.enter_context(serving(tmp_path / "Mail", *words))

        yield start


@pytest.fixture
def member(clique):
    return clique.leaf()


@pytest.fixture
def stranger(clique):
    return clique.leaf()


def test_relay_clientcerts(start, host, member, stranger, tmp_path):
    """Whose key is listed may send, and nobody else, whatever any CA says."""
    table = tmp_path / "keys"
    table.write_text(f"# partners\n{fingerprints(member)[1]} mx.partner.example\n")
    server = start("--relay-clientcerts", table)
    with server.client(host.client(member)) as smtp:
        send(smtp)
    for context in (host.client(stranger), host.client(), None):
        with server.client(context) as smtp:
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                send(smtp)
            assert refused.value.recipients["b@mx.example"] == (
                554,
                b"5.7.1 <b@mx.example>: Relay access denied",
            )
        server.wait_for("reject: RCPT from unknown.127.0.0.1.: 554 5.7.1")
    assert len(server.messages()) == 1


def test_reload_table(start, host, member, tmp_path):
    """SIGHUP reads tables; a bad one is reported with its line, and the old one stays."""
    table = tmp_path / "keys"
    table.write_text(f"{fingerprints(member)[1]} yes\n")
    server = start(relay_clientcerts=f"texthash:{table}")
    table.write_text("\nnonsense\n")
    server.tell(signal.SIGHUP)
    server.wait_for(f"not reloaded, the old state is kept: {table}, line 2")
    with server.client(host.client(member)) as smtp:
        send(smtp)
        table.write_text("")
        server.tell(signal.SIGHUP)
        server.wait_for("INFO: reloaded")
        with pytest.raises(smtplib.SMTPRecipientsRefused):  # in an old session, too
            send(smtp)


def test_check_ccert_access(start, host, member, stranger, tmp_path):
    """Actions are carried out: the certificate's before the key's, as Postfix looks them up."""
    table = tmp_path / "access"
    certificate, key = fingerprints(member)
    table.write_text(
        f"{certificate} PREPEND X-Partner: yes\n{key} PREPEND X-Partner: no\n"
        f"{fingerprints(stranger)[1]} REJECT Not you\n"
    )
    server = start("--check-ccert-access", table)
    with server.client(host.client(member)) as smtp:
        send(smtp)
    with (
        server.client(host.client(stranger)) as smtp,
        pytest.raises(smtplib.SMTPRecipientsRefused, match="Not you"),
    ):
        send(smtp)
    (message,) = server.messages()
    headers = list(email.message_from_bytes(message).items())
    assert [name for name, _ in headers[:4]] == [
        "Return-Path", "Delivered-To", "X-Partner", "Received",
    ]  # fmt: skip
    assert headers[2][1] == "yes"


@contextlib.contextmanager
def policy_service(answer: str, *, delay: float = 0):
    """Run a policy service; yields its endpoint, and a list that its requests go to."""
    requests = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self):
            request = {}
            for line in self.rfile:
                name, _, value = line.decode().rstrip("\n").partition("=")
                if name:
                    request[name] = value
                    continue
                requests.append(request)
                request = {}
                time.sleep(delay)
                self.wfile.write(f"action={answer}\n\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as service:
        service.daemon_threads = True
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        try:
            yield f"inet:127.0.0.1:{service.server_address[1]}", requests
        finally:
            service.shutdown()
            thread.join(PATIENCE)


def test_policy_service(start, host, member):
    """The service is asked about each recipient, and its answer is what the client gets."""
    refused = pytest.raises(smtplib.SMTPRecipientsRefused, match=r"450, b'4.7.1 Later'")
    with policy_service("450 4.7.1 Later") as (endpoint, requests):
        server = start("--policy-service", endpoint)
        with server.client(host.client(member)) as smtp, refused:
            smtp.sendmail("a@client.example", ["b@mx.example", "c@mx.example"], b"")
    assert [request["recipient"] for request in requests] == ["b@mx.example", "c@mx.example"]
    assert requests[0]["ccert_pubkey_fingerprint"] == fingerprints(member)[1]
    assert requests[0]["server_port"] == str(server.ports[0])


def test_policy_service_of_a_bounce(start):
    """The sender of a bounce is empty there, not "<>"."""
    with policy_service("DUNNO") as (endpoint, requests):
        server = start("--policy-service", endpoint)
        with server.client() as smtp:
            smtp.sendmail("", ["b@mx.example"], b"")
    assert requests[0]["sender"] == ""


def test_slow_policy_service(start):
    """A service may take longer than a client may: the client has said its part."""
    with policy_service("DUNNO", delay=2.5) as (endpoint, _):
        server = start("--policy-service", endpoint, smtpd_timeout="1s")
        with server.client() as smtp:
            send(smtp)


def test_absent_policy_service(start, unused_port):
    """Where no service answers, the default action does."""
    parameters = {
        "check_policy_service": f"inet:127.0.0.1:{unused_port}",
        "smtpd_policy_service_timeout": "1s",
        "smtpd_policy_service_default_action": "450 4.3.5 Ask again",
    }
    server = start(**parameters)
    with server.client() as smtp, pytest.raises(smtplib.SMTPRecipientsRefused, match="Ask again"):
        send(smtp)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--relay-clientcerts", "/nowhere"], "/nowhere: No such file"),
        (["--policy-service", "smtp:25"], "policy service 'smtp:25': not unix:PATH, inet:HOST"),
    ],
)
def test_unusable(host, tmp_path, capsys, options, expected):
    """A table or an endpoint that is no good is an error at start, exit status 2."""
    identity = ["--cert", str(host.certfile), "--key", str(host.keyfile)]
    assert main(["serve", *identity, "--maildir", str(tmp_path / "Mail"), *options]) == 2
    assert expected in capsys.readouterr().err


def test_unusable_actions(host, tmp_path, capsys):
    """So is a table with an action that there is not: the error names its line."""
    table = tmp_path / "access"
    table.write_text(f"{colons(b'')} HOLD\n")
    identity = ["--cert", str(host.certfile), "--key", str(host.keyfile)]
    words = ["--maildir", str(tmp_path / "Mail"), "--check-ccert-access", str(table)]
    assert main(["serve", *identity, *words]) == 2
    assert f"ccert: {table}, line 1: action 'HOLD'" in capsys.readouterr().err
