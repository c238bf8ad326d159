"""The command: it teaches, it tells, and its exit status can be relied on."""

import argparse
import os
import ssl
import subprocess
import sys

import pytest
from programs import COMMAND, run_python
from rich.console import Console

import ccert
from ccert.cli import demo, main


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


def test_doctor_where_it_cannot_work(another_libssl):
    """With another libssl it says so, what still works, and what to do; exit status 1."""
    done = run_python(
        "import sys; from ccert.cli import main; sys.exit(main(['doctor']))",
        PYTHONPATH=str(another_libssl),
        LD_LIBRARY_PATH=str(another_libssl),
    )
    assert done.returncode == 1, done.stderr
    for expected in ("will NOT work", "libssl.so.Z", "/usr/bin/python3", "ChainVerifier and"):
        assert expected in done.stdout


def test_usage(capsys):
    """No command, or an unknown one, is a usage error: 2."""
    for words in ([], ["frobnicate"]):
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert exit_.value.code == 2
        assert "usage: ccert" in capsys.readouterr().err


def test_errors_are_one_line(capsys, monkeypatch):
    """An error of ours is a line and exit status 2, not a traceback."""

    def refuse(_arguments) -> int:
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
    assert done.stdout.count(" Trusted TLS connection established from unknown[127.0.0.1]: ") == 7
    assert done.stdout.count("554 5.7.1 <b@mx.example>: Relay access denied") == 3
    assert Console().width


def test_demo_in_process(capsys, monkeypatch):
    """A client that is not judged as it should be makes the demo fail."""
    monkeypatch.setattr(demo.logging, "basicConfig", lambda **_: None)
    arguments = argparse.Namespace(keep=None)
    assert demo.run(arguments) == 0
    monkeypatch.setattr(ccert, "ServerContext", _ignoring_the_setting(ccert.ServerContext))
    assert demo.run(arguments) == 1
    assert capsys.readouterr().out.count("trust_server_ccerts off and on") == 2


def _ignoring_the_setting(context):
    def make(*args, trust_server_ccerts, **kwargs):
        del trust_server_ccerts
        return context(*args, **kwargs)

    return make


def test_broken_pipe():
    """Whoever reads no further gets no traceback: `ccert demo | head -1`."""
    done = subprocess.run(
        f"{COMMAND} demo | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--help", "doctor"])
def test_output_that_nobody_reads(words, unbuffered):
    """A reader that has gone, or a full disk, is no traceback; nor is a full disk success."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    gone, full = (
        subprocess.run(
            f"{COMMAND} {words} {where}",
            shell=True, capture_output=True, text=True, check=False, env=environment,
        )
        for where in ("| true", ">/dev/full")
    )  # fmt: skip
    assert gone.stderr == ""
    told = (full.returncode, full.stderr)
    swallowed = words == "--help" and told == (0, "")  # by argparse, from Python 3.12 on
    assert swallowed or told == (2, "ccert: cannot write: No space left on device\n")


def test_interrupted(monkeypatch):
    """Ctrl-C ends it without a traceback, with the status that shells expect."""

    def interrupt() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ccert.cli.doctor.run", interrupt)
    assert main(["doctor"]) == 130


def test_module():
    """python -m ccert is the command."""
    done = subprocess.run(
        [sys.executable, "-m", "ccert", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"ccert {ccert.__version__}\n"
