"""The programs and configurations of the how-to pages do what the pages say."""

import contextlib
import json
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
from ccert.postfix.restrictions import Restrictions

IDENTIFY = "docs/howto/identify.md"


def test_by_name(example, files, host, clique):
    """Listed hosts are let in; another member of the CA, a stranger and nobody are not."""
    (files / "relay_clientnames").write_text(block(IDENTIFY, "names") + "mx.example OK\n")
    with example(block(IDENTIFY, "aiosmtpd")) as server:
        for name, code in (
            ("mx.example", 250),
            ("mx.partner.example", 250),
            ("a.b.other.example", 250),
            ("*.partner.example", 250),
            ("mx.elsewhere.example", 554),
            ("other.example", 554),
        ):
            assert server.reply_to(host.client(clique.leaf(names=[name]))) == code, name
        assert (
            server.reply_to(host.client(clique.leaf(eku=[pki.EMAIL], names=["mx.example"]))) == 554
        )
        assert server.reply_to(None) == 530
        server.process.terminate()
        log = server.process.stderr.read()
    assert server.delivered() == 4
    lines = re.findall(r"^Trusted TLS connection established from .*$", log, re.MULTILINE)
    group = re.compile(r"key-exchange \S+")  # its name depends on OpenSSL's age
    assert group.sub("", lines[0]) == group.sub("", block("docs/howto/log.md", "summary").strip())
    shown = block("docs/howto/log.md", "subject").strip()
    assert re.search(re.escape(shown).replace("…", "[0-9A-F:]{95}"), log)


def test_matches(host, clique):
    """The condition holds for the partner that it names, and not with the setting off."""
    code = block(IDENTIFY, "matches").replace("...", "found.append(peer)")
    chain = clique.leaf(names=["mx.partner.example"])
    for setting in (False, True):
        pair = pairs.handshake(host.context(chain, trust_server_ccerts=setting), host.client(chain))
        names = {"ccert": ccert, "connection": pair.server.tls, "found": []}
        exec(code, names)
        assert bool(names["found"]) is setting


def test_new_key(tmp_path, host, clique, caplog):
    """The line about a new key names the old one and the new one; a known key gives none."""
    chain = clique.leaf(names=["mx.partner.example"])
    context = host.context(chain, trust_server_ccerts=True)
    peer = ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)
    (tmp_path / "names").write_text("mx.partner.example OK\n")
    old = ":".join(["AB"] * 32)
    for key in (old, peer.pubkey_fingerprint):
        (tmp_path / "keys").write_text(f"{key} mx.partner.example\n")
        Restrictions(
            relay_clientcerts=ccert.AccessTable(tmp_path / "keys"),
            relay_clientnames=ccert.NameTable(tmp_path / "names"),
        ).log_new_key(peer)
    (line,) = (record.getMessage() for record in caplog.records)
    shown = block(IDENTIFY, "new_key").strip()
    assert line == shown.replace("4F:0C:…:A1", old).replace("9B:77:…:02", peer.pubkey_fingerprint)


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
    """Observed, listed, switched on: the partners of the log are let in, a stranger is not."""
    partner = host.client(clique.leaf(names=["mx.partner.example"]))
    many = [f"mx{number}.many.example" for number in range(10, 22)]
    others = [
        host.client(clique.leaf(eku=[pki.CLIENT], names=["mx.old.example"])),  # Trusted already
        host.client(clique.leaf(names=many)),
        host.client(clique.leaf(eku=[pki.CLIENT], names=many)),
    ]
    config = block("docs/howto/observe.md", "serve")
    (files / "ccert.cf").write_text(config)
    options = ("--config", "ccert.cf", "--listen", "127.0.0.1:0")
    with mail_server(files / "maildir", *options) as server:
        for client in (partner, *others):
            with server.client(client) as smtp:
                send(smtp)
        with server.client() as smtp:  # names in whatever else it says are not in the list
            smtp.docmd("EHLO trust_server_ccerts would make x Trusted: names .com, x")
            smtp.docmd('MAIL FROM:<"Trusted: names .com, x"@a.example>')
            smtp.docmd('RCPT TO:<"Trusted: names .com, x"@a.example>')
            smtp.data(b"x")
        told = server.wait_for("trust_server_ccerts would make .*")[0]
        server.wait_for("trust=None, .* delivered as ")
        assert len(server.messages()) == 5
        (files / "ccert.log").write_text("".join(server.lines))
    for page in ("docs/howto/observe.md", "docs/howto/log.md"):
        shown = block(page, "observed").strip()
        assert re.fullmatch(re.escape(shown).replace("4F:0C:…", "[0-9A-F:]{95}"), told)
    subprocess.run(block("docs/howto/observe.md", "names"), shell=True, check=True)
    listed = sorted(["mx.partner.example", "mx.old.example", *many[:10]])
    assert (files / "relay_clientnames").read_text() == "".join(f"{name} OK\n" for name in listed)
    on = block("docs/howto/observe.md", "on")
    (files / "ccert.cf").write_text(config.replace("tls_trust_server_ccerts = observe\n", on))
    with mail_server(files / "maildir", *options) as server:
        for client in (partner, *others):
            with server.client(client) as smtp:
                smtp.ehlo("client.example")
                send(smtp)
        for page in ("docs/howto/observe.md", "docs/howto/log.md"):
            shown = block(page, "permitted").strip()
            assert any(re.search(re.escape(shown), line) for line in server.lines) or (
                server.wait_for(re.escape(shown))
            )
        shown = re.escape(block("docs/howto/log.md", "delivered").strip())
        for example, pattern in (
            ("C5E9F3E20B48", "[0-9A-F]{12}"),
            ("1764424181", "[0-9]+"),
            (r"…\.mx", r"[0-9a-f]{32}\."),
        ):
            assert example in shown
            shown = shown.replace(example, pattern)
        assert any(re.search(shown, line) for line in server.lines) or server.wait_for(shown)
        with server.client(host.client(clique.leaf(names=["mx.stranger.example"]))) as smtp:
            smtp.ehlo("x")
            smtp.mail("a@stranger.example")
            assert smtp.rcpt("b@mx.example")[0] == 554


@pytest.mark.parametrize("name", ["asyncio", "uvloop", "anyio", "threads"])
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


def test_service(files, host, clique):
    """The configuration lets in the partner of its table, and no other member of its CAs."""
    config = block("docs/howto/serve.md", "service").replace("/etc/ccert", ".")
    (files / "mx.key").write_bytes(host.keyfile.read_bytes())
    (files / "relay_clientnames").write_text("mx.partner.example OK\n")
    (files / "ccert.cf").write_text(config)
    options = ("--config", "ccert.cf", "--listen", "127.0.0.1:0")
    with mail_server(files / "maildir", *options) as server:
        for name, code in (("mx.partner.example", 250), ("mx.stranger.example", 554)):
            with server.client(host.client(clique.leaf(names=[name]))) as smtp:
                smtp.ehlo("client.example")
                smtp.mail("a@client.example")
                assert smtp.rcpt("b@mx.example")[0] == code


def test_deploy_hook(tmp_path):
    """The hook copies what certbot has renewed, not readable by others, and then reloads."""
    (tmp_path / "systemctl").write_text('#!/bin/sh\necho "$@" >reloaded\n')
    (tmp_path / "systemctl").chmod(0o755)
    for name in ("fullchain.pem", "privkey.pem"):
        (tmp_path / name).write_text(name)
    hook = block("docs/howto/serve.md", "hook").replace("/etc/ccert", ".")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RENEWED_LINEAGE": "."}
    command = hook.replace("-o root -g ccert", "")  # who are not everywhere
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "mx.pem").read_text() == "fullchain.pem"
    assert (tmp_path / "mx.key").read_text() == "privkey.pem"
    assert (tmp_path / "mx.key").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "reloaded").read_text() == "reload ccert\n"


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


def test_batch(files, clique, capsys):
    """The chain that is not trusted is printed as JSON, then the counts."""
    (files / "peers").mkdir()
    for name, usage in (("good", pki.SERVER), ("bad", pki.EMAIL)):
        chain = b"".join(c.pem for c in clique.leaf(eku=[usage]).sent)
        (files / "peers" / f"{name}.pem").write_bytes(chain)
    exec(block("docs/howto/check.md", "batch"), {})
    refused, counts = map(json.loads, capsys.readouterr().out.splitlines())
    assert (refused["file"], refused["error_code"]) == ("bad.pem", 26)
    assert counts == {"Trusted": 1, "Untrusted": 1}
