"""``ccert check`` of more files than one process would like."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pki
import pytest
from programs import COMMAND, children_of


@pytest.fixture(scope="module")
def peers(host, clique, tmp_path_factory):
    """A directory of 300 chains, with trusted ones, others, and files that are none."""
    directory = tmp_path_factory.mktemp("jobs")
    (directory / "cas.pem").write_bytes(clique.root.pem)
    peers = directory / "peers"
    peers.mkdir()
    made = {
        name: b"".join(c.pem for c in clique.leaf(eku=[usage]).sent)
        for name, usage in (("good", pki.SERVER), ("bad", pki.EMAIL))
    }
    made["none"] = b"nothing"
    for number in range(300):
        name = ("good", "bad", "none")[0 if number % 10 else 1 + number % 20 // 10]
        (peers / f"{number:03}-{name}.pem").write_bytes(made[name])
    (peers / ".hidden").write_text("")
    (peers / "directory").mkdir()
    assert host
    return directory


def _check(directory, *options) -> subprocess.CompletedProcess:
    words = [COMMAND, "check", "--cafile", "cas.pem", "--trust-server-ccerts", *options]
    return subprocess.run(
        words, cwd=directory, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("form", ["--json", "--strict"])
def test_jobs_print_the_same(peers, form):
    """Whatever the number of processes, the output, its order and the exit status are the same."""
    one, three = (_check(peers, form, "--jobs", jobs, "peers") for jobs in ("1", "3"))
    assert (three.stdout, three.stderr, three.returncode) == (one.stdout, one.stderr, 2)
    assert one.stderr.count("no PEM certificate found") == 15
    if form == "--json":
        reports = [json.loads(line) for line in one.stdout.splitlines()]
        assert [report["file"] for report in reports] == sorted(r["file"] for r in reports)
        assert sum(report["trust"] == "Trusted" for report in reports) == 270
        assert len(reports) == 285


def test_number_of_jobs(peers):
    """A number it must be."""
    for jobs in ("0", "-1", "x", "²"):
        done = _check(peers, "--jobs", jobs, "peers")
        assert done.returncode == 2
        assert "is not a number of processes" in done.stderr


def test_a_process_that_is_killed(peers):
    """It is an error in words, not a summary that lacks something."""
    hook = peers / "hook"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(
        "import os, sys\nif 'spawn_main' in ' '.join(sys.orig_argv):\n    os._exit(9)\n"
    )
    done = subprocess.run(
        [COMMAND, "check", "--cafile", "cas.pem", "--jobs", "2", "peers"],
        cwd=peers, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(hook)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "check: a process was killed" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nobody_outlives_the_command(peers, number):
    """However it ends, its processes end, too."""
    words = [COMMAND, "check", "--cafile", "cas.pem", "--jobs", "2", *["peers"] * 200]
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup(1) ignores it, for children, too
    try:
        done = subprocess.Popen(words, cwd=peers, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGHUP, before)
    with done:
        done.stdout.readline()  # they work
        children = children_of(done.pid)
        assert len(children) >= 2
        done.send_signal(number)
        done.communicate(timeout=60)  # who lives on would hold the pipes
    deadline = time.monotonic() + 20
    while alive := [pid for pid in children if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--name", "", "peers"], "'' is no host name"),
        ([""], "the name of a file is empty"),
        (["peers/directory"], "there is no file in this directory"),
    ],
)
def test_nothing_to_check(peers, words, problem):
    """An unset variable of a script is no success."""
    done = _check(peers, *words)
    assert done.returncode == 2
    assert problem in done.stderr


def test_closed_output(peers):
    """It is said, and is no verdict."""
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", COMMAND, "check", "--cafile", "cas.pem", "peers"],
        cwd=peers, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "ccert: standard output is closed\n")
