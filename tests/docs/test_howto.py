"""The programs and configurations of the how-to pages do what the pages say."""

import contextlib
import re
import socket
import subprocess

import pairs
import pki
import pytest
from pages import block
from serving import send
from serving import serving as mail_server
from smtp_sessions import connected, serving

import ccert

IDENTIFY = "docs/howto/identify.md"


def test_by_name(example, host, clique):
    """A member is let in by its name; another member, a stranger and nobody are not."""
    code = block(IDENTIFY, "aiosmtpd")
    with example(code) as server:
        assert server.reply_to(host.client(clique.leaf(names=["mx.example"]))) == 250
        assert server.reply_to(host.client(clique.leaf(names=["mx.other.example"]))) == 550
        assert server.reply_to(host.client(clique.leaf(eku=[pki.EMAIL]))) == 550
        assert server.reply_to(None) == 530
        server.process.terminate()
        log = server.process.stderr.read()
    assert server.delivered() == 1
    lines = re.findall(r"^Trusted TLS connection established from .*$", log, re.MULTILINE)
    group = re.compile(r"key-exchange \S+")  # its name depends on OpenSSL's age
    assert group.sub("", lines[0]) == group.sub("", block("docs/howto/log.md", "summary").strip())
    shown = block("docs/howto/log.md", "subject").strip()
    assert re.search(re.escape(shown).replace("…", "[0-9A-F:]{95}"), log)


def test_by_public_key(files, host, clique):
    """The command prints the fingerprint that the table lets in, untrusted."""
    done = subprocess.run(
        block(IDENTIFY, "openssl"), shell=True, capture_output=True, text=True, check=True
    )
    listed = host.client()
    listed.load_cert_chain(files / "partner.pem")
    table = block(IDENTIFY, "table").replace("4F:0C:…:A1", done.stdout.strip())
    (files / "relay_clientcerts").write_text(table)
    names = {}
    exec(block(IDENTIFY, "table_code"), names)
    for client, code in ((listed, 250), (host.client(clique.leaf()), 554)):
        with (
            serving(names["handler"], names["context"]) as port,
            connected(port, client, implicit=False) as smtp,
        ):
            smtp.ehlo()
            smtp.mail("a@client.example")
            assert smtp.rcpt("b@mx.example")[0] == code


def test_attach(files, host, clique):
    """A context of one's own trusts a serverAuth-only client, and goes on with a stranger."""
    assert files.exists()
    names = {}
    exec(block("docs/howto/attach.md", "attach"), names)
    for chain, trusted in ((clique.leaf(), True), (clique.leaf(eku=[pki.EMAIL]), False)):
        pair = pairs.handshake(names["context"], host.client(chain))
        assert ccert.peer(pair.server.tls).trusted_as_server is trusted


def test_observe(files, host, clique):
    """The configuration observes: the log has the line shown, and mail comes in."""
    (files / "ccert.cf").write_text(block("docs/howto/observe.md", "serve"))
    options = ("--config", "ccert.cf", "--listen", "127.0.0.1:0")
    with mail_server(files / "maildir", *options) as server:
        with server.client(host.client(clique.leaf())) as smtp:
            send(smtp)
        told = server.wait_for("trust_server_ccerts would make .*")[0]
        assert len(server.messages()) == 1
    for page in ("docs/howto/observe.md", "docs/howto/log.md"):
        shown = block(page, "observed").strip()
        pattern = re.escape(shown).replace("4F:0C:…", "[0-9A-F:]{95}")
        assert re.fullmatch(pattern.replace(r"mx\.partner\.example", r"mx\.example"), told)


@pytest.mark.parametrize("name", ["asyncio", "uvloop", "trio", "threads"])
def test_frameworks(example, host, clique, name):
    """Each program prints the verdict and the subject, also after a stranger."""
    with example(block("docs/howto/frameworks.md", name)) as server:
        for chain in (clique.leaf(eku=[pki.EMAIL]), clique.leaf()):
            with (
                socket.create_connection(("127.0.0.1", server.port), 10) as plain,
                host.client(chain).wrap_socket(plain, server_hostname="localhost") as client,
                contextlib.suppress(OSError),  # an end without close_notify, or a reset
            ):
                assert client.recv(1) == b""
        for expected in ("Untrusted \n", "Trusted mx.example\n"):
            line = server.process.stdout.readline()
            while "went away" in line:  # whoever only looked whether it listens
                line = server.process.stdout.readline()
            assert line == expected


def test_unit(tmp_path):
    """systemd finds no fault with the unit, where there is a systemd to ask."""
    unit = block("docs/howto/serve.md", "unit")
    assert "ExecStart=/opt/mx/bin/ccert serve --config /etc/ccert/ccert.cf" in unit
    path = tmp_path / "ccert.service"
    path.write_text(unit.replace("/opt/mx/bin/ccert", "/bin/true").replace("User=ccert\n", ""))
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return
    assert str(path.name) not in done.stderr
