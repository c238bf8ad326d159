"""The command: it teaches, it tells, and its exit status can be relied on."""

import asyncio
import datetime
import json
import ssl
import subprocess
import sys
from pathlib import Path

import pki
import pytest
from aiosmtpd.smtp import SMTP
from cryptography.hazmat.primitives.asymmetric import ed25519
from rich.console import Console
from test_runtime import another_libssl, run_python  # noqa: F401 - a fixture

import ccert
from ccert.cli import demo, main

COMMAND = Path(sys.executable).with_name("ccert")


def test_help_teaches(capsys):
    """Each command says what it does and how it ends."""
    for words, expected in ((["--help"], "demo"), (["demo", "--help"], "Exit status: 0 if")):
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert exit_.value.code == 0
        assert expected in capsys.readouterr().out


def test_doctor(capsys):
    """Here contexts can be attached, and it says how that was found."""
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for expected in (
        ssl.OPENSSL_VERSION,
        "libssl.so",
        "one copy:",
        "ServerContext and attach() work",
    ):
        assert expected in out


def test_doctor_where_it_cannot_work(another_libssl):  # noqa: F811
    """With another libssl it says so, what still works, and what to do; exit status 1."""
    done = run_python(
        "import sys; from ccert.cli import main; sys.exit(main(['doctor']))",
        PYTHONPATH=str(another_libssl),
        LD_LIBRARY_PATH=str(another_libssl),
    )
    assert done.returncode == 1, done.stderr
    for expected in ("will NOT work", "libssl.so.Z", "/usr/bin/python3", "ChainVerifier and"):
        assert expected in done.stdout


# -- check --


@pytest.fixture
def peers(host, clique, tmp_path) -> dict[str, str]:
    """Chain files of peers, by kind, and the clique's trust file."""
    chains = {
        "server": clique.leaf(),
        "client": clique.leaf(eku=[pki.CLIENT]),
        "email": clique.leaf(eku=[pki.EMAIL]),
        "expired": clique.leaf(start=-9 * pki.DAY, end=-2 * pki.DAY),
        "malformed": clique.leaf(eku=pki.eku_der(pki.SERVER)[:-1]),
        "strange": clique.leaf(issuer=pki.issue("Strange Root", ca=True)),
        "ca-email": clique.below(pki.issue("Mail CA", clique.root, ca=True, eku=[pki.EMAIL])),
    }
    files = {"cafile": str(host.anchors(clique.root.pem))}
    for name, chain in chains.items():
        path = tmp_path / f"{name}.pem"
        path.write_bytes(b"".join(certificate.pem for certificate in chain.sent))
        files[name] = str(path)
    return files


@pytest.mark.parametrize(
    ("kind", "off", "on", "advice"),
    [
        ("server", "Untrusted at depth 0: unsuitable", "Trusted   as a server's", "rescues it"),
        ("client", "Trusted   as a client's", "Trusted   as a client's", ""),
        ("email", "Untrusted at depth 0", "Untrusted at depth 0", "lists clientAuth or serverAuth"),
        ("expired", "Untrusted at depth 0: unsuit", "Untrusted at depth 0: cert", "to renew it"),
        ("malformed", "Untrusted at depth 0", "Untrusted at depth 0", "send its intermediates"),
        ("strange", "Untrusted at depth 0", "Untrusted at depth 0", "ask the peer to send"),
        ("ca-email", "Untrusted at depth 0", "Untrusted at depth 1", "CA at depth 1 may not"),
    ],
)
def test_check(peers, capsys, kind, off, on, advice):
    """Each chain is shown, judged off and on, explained, and followed by what to do."""
    status = main(["check", "--cafile", peers["cafile"], peers[kind]])
    out = capsys.readouterr().out
    assert status == (0 if off.startswith("T") else 1)
    assert f"  off  {off}" in out
    assert f"  on   {on}" in out
    assert ("  ->   " in out) == bool(advice)
    assert advice in out
    assert "0 leaf" in out
    assert "\x1b" not in out  # no colour but on a terminal


def test_check_shows_certificates(peers, capsys):
    """Role, subject, usages, key and lifetime of each certificate."""
    main(["check", "--cafile", peers["cafile"], peers["server"], peers["expired"]])
    out = capsys.readouterr().out
    assert "0 leaf         CN=mx.example  |  serverAuth  |  EC 256  |  expires in 29 days" in out
    assert "1 intermediate CN=Clique CA  |  any use  |  EC 256  |  expires in" in out
    assert "EXPIRED" in out


def test_check_exit_status_follows_the_setting(peers, capsys):
    """0 only if every chain is trusted as asked; 2 if one cannot be used, the others are shown."""
    words = ["check", "--cafile", peers["cafile"], peers["server"], peers["client"]]
    assert main(words) == 1
    assert main([*words, "--trust-server-ccerts"]) == 0
    capsys.readouterr()
    assert main([*words, "/nowhere.pem"]) == 2
    captured = capsys.readouterr()
    assert "ccert: chain file /nowhere.pem: No such file" in captured.err
    assert captured.out.count("0 leaf") == 2
    assert main(["check", "--cafile", peers["cafile"]]) == 2
    assert main(["check", peers["server"]]) == 2


def test_check_json(peers, capsys):
    """One object for each chain, with the verdict's fields and the certificates."""
    words = ["check", "--json", "--trust-server-ccerts", "--cafile", peers["cafile"]]
    main([*words, peers["server"], peers["email"]])
    server, email = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert list(server) == [
        "file", "trust", "trusted_as_server", "error", "error_code", "error_depth", "subject",
        "issuer", "fingerprint", "pubkey_fingerprint", "certificates",
    ]  # fmt: skip
    assert (server["trust"], server["trusted_as_server"]) == ("Trusted", True)
    assert server["certificates"][0]["usages"] == ["serverAuth"]
    assert server["certificates"][0]["fingerprint"] == server["fingerprint"]
    assert (email["trust"], email["error_code"], email["error_depth"]) == ("Untrusted", 26, 0)


def test_check_at_another_time(peers, capsys):
    """--at judges for that moment; without a zone it is UTC."""
    words = ["check", "--cafile", peers["cafile"], peers["client"]]
    assert main([*words, "--at", "2001-01-01"]) == 1
    assert "certificate is not yet valid" in capsys.readouterr().out
    now = datetime.datetime.now(datetime.timezone.utc)
    assert main([*words, "--at", now.isoformat()]) == 0


def test_check_warns_of_many_cas(peers, capsys, host):
    """The warning about a trust file that is no clique's is one line."""
    roots = b"".join(pki.issue(f"Root {n}", ca=True).pem for n in range(21))
    main(["check", "--cafile", str(host.anchors(roots)), peers["server"]])
    assert capsys.readouterr().err.count("ccert: warning: trust_server_ccerts with 21") == 1


@pytest.mark.parametrize("starttls", [False, True], ids=["tls", "smtp"])
def test_check_connect(host, clique, capsys, starttls):
    """--connect judges what a live server presents, with STARTTLS or without."""
    chain = clique.leaf(names=["localhost"])
    pem = b"".join(c.pem for c in chain.sent) + chain.sent[0].key_pem
    context = ccert.ServerContext(host.write("live.pem", pem))
    words = ["check", "--cafile", str(host.anchors(clique.root.pem)), "--trust-server-ccerts"]

    async def serve() -> int:
        loop = asyncio.get_running_loop()
        kind = {"tls_context": context} if starttls else {}
        server = await loop.create_server(
            lambda: SMTP(object(), hostname="mx.example", **kind),
            "127.0.0.1",
            0,
            ssl=None if starttls else context,
        )
        port = server.sockets[0].getsockname()[1]
        more = ["--starttls", "smtp"] if starttls else []
        async with server:
            return await asyncio.to_thread(main, [*words, "--connect", f"127.0.0.1:{port}", *more])

    assert asyncio.run(serve()) == 0
    assert "  on   Trusted   as a server's chain" in capsys.readouterr().out


def test_check_connect_to_nobody(capsys, unused_port, peers):
    """Nobody there is a line and exit status 2."""
    words = ["check", "--cafile", peers["cafile"], "--connect", f"127.0.0.1:{unused_port}"]
    assert main(words) == 2
    assert "Connection refused" in capsys.readouterr().err


def test_usage(capsys):
    """No command, or an unknown one, is a usage error: 2."""
    for words in ([], ["frobnicate"]):
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert exit_.value.code == 2
        assert "usage: ccert" in capsys.readouterr().err


def test_errors_are_one_line(capsys, monkeypatch):
    """An error of ours is a line and exit status 2, not a traceback."""

    def refuse() -> int:
        raise ccert.ConfigError("CA file x: no certificate found")

    monkeypatch.setattr("ccert.cli.demo.run", refuse)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == "ccert: CA file x: no certificate found\n"


def test_demo_names_what_it_needs(capsys, monkeypatch):
    """Without the demo's own dependencies it says how to get them."""
    monkeypatch.delitem(sys.modules, "ccert.cli.demo", raising=False)
    monkeypatch.setitem(sys.modules, "aiosmtpd.smtp", None)
    assert main(["demo"]) == 2
    assert "pip install 'ccert[aiosmtpd,cli]'" in capsys.readouterr().err


def test_demo():
    """The main job, in a process of its own: the log's words and the table, off and on."""
    done = subprocess.run(
        [COMMAND, "demo"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines()[-12:] if "ed " in line]
    assert [row[-6:] for row in rows if row[0] == "serverAuth"] == [
        ["only", "Untrusted", "yes", "Trusted", "yes", "yes"]
    ]
    assert done.stdout.count("Trusted TLS connection established from localhost[127.0.0.1]: ") == 6
    assert Console().width


def test_demo_in_process(capsys, monkeypatch):
    """A client that is not judged as it should be makes the demo fail."""
    monkeypatch.setattr(demo.logging, "basicConfig", lambda **_: None)
    assert demo.run() == 0
    monkeypatch.setattr(ccert, "ServerContext", _ignoring_the_setting(ccert.ServerContext))
    assert demo.run() == 1
    assert capsys.readouterr().out.count("trust_server_ccerts off and on") == 2


def _ignoring_the_setting(context):
    def make(*args, trust_server_ccerts, **kwargs):
        del trust_server_ccerts
        return context(*args, **kwargs)

    return make


def test_check_odd_certificates(host, clique, capsys, tmp_path):
    """Other keys, usages and trust settings are shown and explained, too."""
    root = pki.issue("Odd Root", ca=True, key=pki.rsa_key(2048, 1))
    odd = pki.issue(
        "odd.example", root, eku=[pki.PRIVATE], key=ed25519.Ed25519PrivateKey.generate()
    )
    own = pki.issue("own.example", eku=[pki.SERVER])
    trusted = pki.with_trust(own, "-addtrust", "clientAuth", directory=tmp_path)
    twice = clique.leaf(second_eku=[pki.CLIENT])
    files = [
        host.write("odd.pem", odd.pem + root.pem),
        host.write("own.pem", own.pem),
        host.write("twice.pem", twice.sent[0].pem),
        host.write("rubbish.pem", pki.to_pem(b"rubbish")),
    ]
    cafile = host.anchors(root.pem + trusted)
    assert main(["check", "--cafile", str(cafile), *map(str, files)]) == 1
    out = capsys.readouterr().out
    assert f"0 leaf         CN=odd.example  |  {pki.PRIVATE}  |  Ed25519" in out
    assert "1 root         CN=Odd Root  |  any use  |  RSA 2048" in out
    assert "takes its trust away" in out
    assert "Duplicate" in out
    assert "cannot be decoded" in out


def test_check_without_its_libraries(capsys, monkeypatch):
    """Without the extra it says how to get it."""
    monkeypatch.delitem(sys.modules, "ccert.cli.check", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["check", "x"]) == 2
    assert "pip install 'ccert[cli]'" in capsys.readouterr().err


def test_broken_pipe():
    """Whoever reads no further gets no traceback: `ccert demo | head -1`."""
    done = subprocess.run(
        f"{COMMAND} demo | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_module():
    """python -m ccert is the command."""
    done = subprocess.run(
        [sys.executable, "-m", "ccert", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"ccert {ccert.__version__}\n"
