"""The README's code runs, and its commands exist."""

import re
import shutil
import smtplib
import subprocess
from pathlib import Path

import pairs
import pytest
from cases import Clique
from test_cli import COMMAND
from test_runtime import ROOT

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
    """No code stands there untested."""
    assert README.count("```python") == README.count("<!-- tested: ") - 1


def test_aiosmtpd_example(files, host, clique, capsys, unused_port):
    """The example serves, trusts a serverAuth-only client, and prints the line shown."""
    assert files.exists()
    names = {}
    exec(_block("aiosmtpd").replace("8025", str(unused_port)), names)
    try:
        with smtplib.SMTP("localhost", unused_port, timeout=10) as smtp:
            smtp.starttls(context=host.client(clique.leaf()))
            smtp.noop()
    finally:
        names["controller"].stop()
    shown = re.search(r"^Trusted TLS connection established from .*$", README, re.MULTILINE)[0]
    group = re.compile(r"key-exchange \S+")  # its name depends on OpenSSL's age
    assert group.sub("", capsys.readouterr().out.strip()) == group.sub("", shown)


def test_attach_example(files, host, clique):
    """A context of one's own trusts a serverAuth-only client."""
    assert files.exists()
    names = {}
    exec(_block("attach"), names)
    pair = pairs.handshake(names["context"], host.client(clique.leaf()))
    assert ccert.peer(pair.server.tls).trusted_as_server


def test_fingerprint_example(files: Path, host, clique: Clique):
    """The command prints the fingerprint that the code looks up."""
    chain = clique.leaf()
    (files / "partner.pem").write_bytes(chain.sent[0].pem)
    done = subprocess.run(
        _block("openssl"), shell=True, capture_output=True, text=True, check=True, cwd=files
    )
    fingerprint = done.stdout.strip().rpartition(" ")[2]
    names = {}
    exec(_block("fingerprint").replace("4F:0C:…", fingerprint), names)
    peer = ccert.peer(pairs.handshake(host.context(), host.client(chain)).server.tls)
    assert peer.trust is ccert.Trust.UNTRUSTED
    assert names["partner"](peer) == "mx.partner.example"


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
