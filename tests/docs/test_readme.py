"""The README's code runs, and its commands exist."""

import contextlib
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pairs
import pki
import pytest
from cases import Clique
from programs import COMMAND, ROOT
from serving import send
from serving import serving as mail_server
from smtp_sessions import connected, serving

import ccert

README = (ROOT / "README.md").read_text(encoding="utf-8")


def _block(name: str) -> str:
    return re.search(rf"<!-- tested: {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)[1]


@pytest.fixture
def files(host, clique, tmp_path, monkeypatch) -> Path:
    """A directory with the files that the README speaks of."""
    (tmp_path / "mx.pem").write_bytes(host.certfile.read_bytes() + host.keyfile.read_bytes())
    (tmp_path / "clique-cas.pem").write_bytes(clique.root.pem)
    (tmp_path / "partner.pem").write_bytes(clique.leaf().sent[0].pem)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_python_block_is_tested():
    """No code stands there untested: each has a name, and a test that asks for it."""
    named = re.findall(r"<!-- tested: (\w+) -->\n```", README)
    assert README.count("```python") == len(re.findall(r"<!-- tested: \w+ -->\n```python", README))
    tests = Path(__file__).read_text(encoding="utf-8")
    assert all(f'_block("{name}")' in tests for name in named), named


def test_aiosmtpd_example(files, host, clique, unused_port):
    """The example serves, accepts mail of a serverAuth-only member, and prints the line shown."""
    script = files / "server.py"
    script.write_text(_block("aiosmtpd").replace("8025", str(unused_port)))
    with subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True) as server:
        try:
            _wait_for(unused_port)
            _send(unused_port, host.client(clique.leaf(names=["mx.example"])))
            line = server.stderr.readline().strip()
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                _send(unused_port, host.client(clique.leaf(eku=[pki.EMAIL])))
            with pytest.raises(smtplib.SMTPSenderRefused):
                _send(unused_port, None)
        finally:
            server.terminate()
    assert len(list((files / "maildir" / "new").iterdir())) == 1
    shown = re.search(r"^Trusted TLS connection established from .*$", README, re.MULTILINE)[0]
    group = re.compile(r"key-exchange \S+")  # its name depends on OpenSSL's age
    assert group.sub("", line) == group.sub("", shown)


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on {port}")


def _send(port: int, context: ssl.SSLContext | None) -> None:
    with smtplib.SMTP("localhost", port, timeout=10) as smtp:
        if context:
            smtp.starttls(context=context)
        smtp.sendmail("a@client.example", ["b@mx.example"], "Subject: hello\n\n")


def test_attach_example(files, host, clique):
    """A context of one's own trusts a serverAuth-only client."""
    assert files.exists()
    names = {}
    exec(_block("attach"), names)
    pair = pairs.handshake(names["context"], host.client(clique.leaf()))
    assert ccert.peer(pair.server.tls).trusted_as_server


def test_table_example(files: Path, host, clique: Clique):
    """The command prints the fingerprint that the table of the example lets in, untrusted."""
    chain = clique.leaf()
    (files / "partner.pem").write_bytes(chain.sent[0].pem)
    done = subprocess.run(
        _block("openssl"), shell=True, capture_output=True, text=True, check=True, cwd=files
    )
    row = re.search(r"^4F:0C:.*$", README, re.MULTILINE)[0]
    table = row.replace("4F:0C:…:A1", done.stdout.strip())
    (files / "relay_clientcerts").write_text(table + "\n")
    names = {}
    exec(_block("table"), names)
    context = host.context()
    for chain_sent, code in ((chain, 250), (clique.leaf(), 554)):
        with (
            serving(names["handler"], context) as port,
            connected(port, host.client(chain_sent), implicit=False) as smtp,
        ):
            smtp.ehlo()
            smtp.mail("a@client.example")
            assert smtp.rcpt("b@mx.example")[0] == code


def test_serve_example(files: Path, host, clique: Clique):
    """The configuration observes: the log has the line shown, and mail comes in."""
    (files / "ccert.cf").write_text(_block("serve"))
    options = ("--config", "ccert.cf", "--listen", "127.0.0.1:0")
    with mail_server(files / "maildir", *options) as server:
        with server.client(host.client(clique.leaf())) as smtp:
            send(smtp)
        told = server.wait_for("trust_server_ccerts would make .*")[0]
        assert len(server.messages()) == 1
    shown = re.search(r"^trust_server_ccerts would make .*$", README, re.MULTILINE)[0]
    pattern = re.escape(shown).replace("4F:0C:…", "[0-9A-F:]{95}")
    assert re.fullmatch(pattern.replace(r"mx\.partner\.example", r"mx\.example"), told)


def test_make_targets_exist():
    """Every make target that the README names is in the Makefile."""
    assert shutil.which("make")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {
        word
        for words in re.findall(r"^make ([a-z ]+)$|`make ([a-z ]+)", README, re.MULTILINE)
        for word in " ".join(words).split()
    }
    assert named
    assert named <= targets, named - targets


def test_demo_table_is_current():
    """The table shown is the one that make demo prints."""
    done = subprocess.run([COMMAND, "demo"], capture_output=True, text=True, check=True, timeout=60)
    rows = [line.rstrip() for line in done.stdout.splitlines() if "yes" in line]
    assert rows
    for row in rows:
        assert row in README, row
