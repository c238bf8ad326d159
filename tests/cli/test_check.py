"""``ccert check``: what it says of each chain, and that it survives what strangers put into one."""

import contextlib
import dataclasses
import datetime
import json
import os
import pty
import subprocess
import sys
import threading

import pki
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from programs import COMMAND, unavailable

from ccert.cli import main


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
    chains["reversed"] = dataclasses.replace(chains["server"], sent=chains["server"].sent[::-1])
    nameless = pki.issue(
        x509.Name([]), clique.ca, eku=[pki.SERVER], names=[f"mx{n}.example" for n in range(5)]
    )
    chains["nameless"] = dataclasses.replace(chains["server"], sent=[nameless, clique.ca])
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
        ("reversed", "Untrusted", "Untrusted", "the order is wrong"),
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
    main(["check", "--cafile", peers["cafile"], peers["nameless"]])
    names = "0 leaf         DNS:mx0.example, DNS:mx1.example, DNS:mx2.example and 2 more  |  server"
    assert names in capsys.readouterr().out


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
        "issuer", "names", "fingerprint", "pubkey_fingerprint", "days_left",
        "valid_for_host", "certificates",
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
    assert "trusted only with trust_server_ccerts off" in out
    assert "Duplicate" in out
    assert "cannot be decoded" in out


def test_check_without_its_libraries(capsys, monkeypatch):
    """Without the extra it says how to get it."""
    monkeypatch.delitem(sys.modules, "ccert.cli.check", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["check", "x"]) == 2
    assert "pip install 'ccert[cli]'" in capsys.readouterr().err


def _run(words: list[str], *, terminal: str) -> tuple[bytes, bytes]:
    """Run ccert check with a terminal for its "stdout" or "stderr"; return what each gets."""
    try:
        main_end, command_end = pty.openpty()
    except OSError as error:
        unavailable(f"there is no terminal: {error}")
    seen = {"terminal": b""}

    def watch() -> None:
        with contextlib.suppress(OSError):  # Linux says so when the other end is closed
            while chunk := os.read(main_end, 65536):
                seen["terminal"] += chunk

    watcher = threading.Thread(target=watch)
    watcher.start()
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, terminal: command_end}
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        [COMMAND, "check", *words], stdin=subprocess.DEVNULL, env=environment, **streams
    )
    os.close(command_end)
    out, err = process.communicate(timeout=60)
    watcher.join(60)
    os.close(main_end)
    return out or seen["terminal"], err or seen["terminal"]


def test_progress_on_a_terminal(peers):
    """With many files a bar runs on the terminal, and JSON goes where it belongs, line by line."""
    words = ["--cafile", peers["cafile"], *[peers["server"]] * 60]
    out, err = _run(["--json", *words], terminal="stderr")
    assert [json.loads(line)["trust"] for line in out.splitlines()] == ["Untrusted"] * 60
    assert b"checking" in err
    assert b"checking" not in _run(words[:5], terminal="stderr")[1]  # few files need none


def test_colour_on_a_terminal(peers):
    """The verdict has a colour there, and no bar runs through the report."""
    out, _ = _run(["--cafile", peers["cafile"], *[peers["server"]] * 60], terminal="stdout")
    assert b"\x1b[33mUntrusted" in out
    assert b"\x1b[32mTrusted" in out
    assert b"checking" not in out


def _with_version(version: int):
    return lambda tbs: tbs.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01" + bytes([version]))


def test_what_cryptography_cannot_read(host, clique, capsys):
    """A certificate that OpenSSL trusts and the report cannot read in full is no end of it all."""
    subject_alternative_name, tls_feature = "2.5.29.17", "1.3.6.1.5.5.7.1.24"
    deviations = [
        {"patch": _with_version(3)},
        {
            "extensions": [
                (pki.extension(subject_alternative_name, bytes.fromhex("3004a3023000")), False)
            ]
        },
        {"extensions": [(pki.extension(tls_feature, bytes.fromhex("3003020109")), False)]},
    ]
    files = []
    for number, deviation in enumerate(deviations):
        chain = clique.leaf(**deviation)
        files.append(str(host.write(f"odd-{number}.pem", b"".join(c.pem for c in chain.sent))))
    cafile = str(host.anchors(clique.root.pem))
    words = ["check", "--trust-server-ccerts", "--auth-level", "0", "--cafile", cafile]
    assert main([*words, *files]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("  on   Trusted") == len(files)
    assert captured.err == ""
    assert main([*words, "--json", *files]) == 0
    reports = [json.loads(line)["certificates"][0] for line in capsys.readouterr().out.splitlines()]
    assert all(report["problem"] for report in reports)
    assert [report["subject"] for report in reports[1:]] == ["CN=mx.example"] * 2


EVIL = "\x1b[31m\x9b32m\u202e\u2028\x7f"


def test_nothing_for_the_terminal_to_obey(host, clique, capsys, tmp_path):
    """Neither names in certificates nor those of files or hosts get there as they are."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, EVIL)])
    leaf = pki.issue(name, clique.ca, eku=[pki.SERVER])
    path = tmp_path / f"{EVIL}.pem"
    path.write_bytes(leaf.pem + clique.ca.pem)
    cafile = str(host.anchors(clique.root.pem))
    for words in ([str(path)], ["--json", str(path)], [f"{path}.gone"], ["--connect", EVIL]):
        main(["check", "--cafile", cafile, *words])
        captured = capsys.readouterr()
        text = (captured.out + captured.err).replace("\n", "")
        assert text
        assert text.isprintable()


def test_file_name_that_is_no_text(clique, host, tmp_path):
    """A name in no encoding is shown as well as it can be, even to a strict output."""
    path = tmp_path / os.fsdecode(b"\xff\xfe.pem")
    path.write_bytes(clique.leaf().sent[0].pem)
    for more in ([], ["--json"]):
        done = subprocess.run(
            [COMMAND, "check", *more, "--cafile", host.anchors(clique.root.pem), path],
            capture_output=True, check=False,
            env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, b"")


def test_chain_through_a_pipe(peers):
    """A chain may come through a pipe; a trust file, which OpenSSL reads again, may not."""
    shell = "{command} check --cafile {cafile} <(cat {chain})"
    shell = shell.format(command=COMMAND, cafile=peers["cafile"], chain=peers["client"])
    assert subprocess.run(["bash", "-c", shell], capture_output=True, check=False).returncode == 0
    shell = "{command} check --cafile <(cat {cafile}) {chain}"
    shell = shell.format(command=COMMAND, cafile=peers["cafile"], chain=peers["client"])
    done = subprocess.run(["bash", "-c", shell], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"a pipe can be read but once" in done.stderr


def test_usage_errors(peers, capsys):
    """What makes no sense is said in the user's words."""
    words = ["check", "--cafile", peers["cafile"]]
    assert main([*words, "--starttls", "smtp", peers["server"]]) == 2
    assert "--starttls is for --connect and --peers" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--at", "tomorrow", peers["server"]])
    assert "'tomorrow' is not like 2026-11-23T20:00:00Z" in capsys.readouterr().err
