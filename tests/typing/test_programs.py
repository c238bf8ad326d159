"""Users' programs: they work, and type checkers have nothing to say about them."""

import contextlib
import http.client
import json
import os
import re
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pki
import pytest
from pages import PAGES, blocks

HERE = Path(__file__).parent
MANY = 100 if "CCERT_SANITIZE" in os.environ else 1000


@pytest.fixture
def start(host, clique, tmp_path, monkeypatch):
    """Return a function that starts a program in a directory with the files that it needs."""
    (tmp_path / "mx.pem").write_bytes(host.certfile.read_bytes() + host.keyfile.read_bytes())
    (tmp_path / "clique-cas.pem").write_bytes(clique.root.pem)
    (tmp_path / "relay_clientnames").write_text("mx.partner.example OK\n")
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str) -> int:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            words = [sys.executable, HERE / f"{name}.py", str(port), *arguments]
            process = stack.enter_context(subprocess.Popen(words))
            stack.callback(process.terminate)
            _wait_for(port, process)
            return port

        yield start


def _wait_for(port: int, process: subprocess.Popen) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on {port}")


@pytest.fixture
def clients(host, clique) -> dict[str, ssl.SSLContext]:
    """The partner, another member, and a stranger under the partner's name."""
    partner = ["mx.partner.example"]
    return {
        "partner": host.client(clique.leaf(names=partner)),
        "other": host.client(clique.leaf(names=["mx.other.example"])),
        "stranger": host.client(clique.leaf(eku=[pki.EMAIL], names=partner)),
    }


def test_webhook(start, clients):
    """Only the partner may post."""
    port = start("webhook")
    for who, status in (("partner", 200), ("other", 403), ("stranger", 403)):
        connection = http.client.HTTPSConnection("localhost", port, context=clients[who])
        connection.request("POST", "/", "hello")
        assert connection.getresponse().status == status, who
        connection.close()


def test_echo(start, clients):
    """Each client is told what it is; the greeting's first word is a bool."""
    port = start("echo")
    for who, begin in (
        ("partner", "True mx.partner.example \n"),
        ("stranger", "False  unsuitable certificate purpose\n"),
    ):
        with (
            socket.create_connection(("localhost", port)) as raw,
            clients[who].wrap_socket(raw, server_hostname="localhost") as tls,
            tls.makefile("rw") as file,
        ):
            assert file.readline() == begin
            file.write("hello\n")
            file.flush()
            assert file.readline() == "hello\n"


@pytest.mark.parametrize("setting", ["off", "on"])
def test_mail_and_policy(start, clients, setting, tmp_path):
    """The table lets the partner in, the policy service the other one, nobody the stranger."""
    port = start("mail", setting, str(start("policy")))
    for who, code in (("partner", 250), ("other", 250), ("stranger", 554)):
        with smtplib.SMTP("localhost", port, timeout=20) as smtp:
            smtp.starttls(context=clients[who])
            smtp.ehlo()
            smtp.mail("a@client.example")
            assert smtp.rcpt("b@mx.example")[0] == (code if setting == "on" else 554), who
            if setting == "on" and code == 250:
                assert smtp.data(f"Subject: {who}\n\n")[0] == 250
    messages = "".join(path.read_text() for path in (tmp_path / "maildir" / "new").iterdir())
    found = sorted(re.findall(r"X-Client: Trusted (\S+)", messages))
    assert found == (["mx.other.example", "mx.partner.example"] if setting == "on" else [])


def test_batch(start, clique, tmp_path):
    """Ten thousand chains; the summary is JSON as it is."""
    del start
    for name, usage in (("good", pki.SERVER), ("bad", pki.EMAIL)):
        chain = clique.leaf(eku=[usage])
        (tmp_path / f"{name}.pem").write_bytes(b"".join(c.pem for c in chain.sent))
    (tmp_path / "none.pem").write_text("none")
    done = subprocess.run(
        [sys.executable, HERE / "batch.py"],
        input="good.pem " * (7 * MANY) + "bad.pem " * (3 * MANY) + "none.pem",
        capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    summary = json.loads(done.stdout)
    assert summary["trust"] == {"Trusted": 7 * MANY, "Untrusted": 3 * MANY}
    assert summary["refused"][0]["error_code"] == 26
    assert summary["unreadable"] == ["chain file none.pem: no PEM certificate found"]


WRONG = """
import ccert
verifier = ccert.ChainVerifier(cafile="x", trust_server_ccerts="yes")
verifier.verify(1)
ccert.attach(verifier)
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory) -> Path:
    """A directory with the programs of this folder and of all pages, and a faulty one."""
    directory = tmp_path_factory.mktemp("typing")
    for path in HERE.glob("[a-s]*.py"):
        (directory / path.name).write_text(path.read_text())
    for page in PAGES:
        for number, (marker, language, code) in enumerate(blocks(page)):
            if language == "python" and marker == "tested" and "import ccert" in code:
                (directory / f"page_{page.stem}_{number}.py").write_text(code)
    (directory / "wrong.py").write_text(WRONG)
    return directory


def test_mypy(checked):
    """``mypy --strict`` is content with all but the faulty one."""
    cache = f"--cache-dir={checked / 'cache'}"  # not in the directory where the tests run
    words = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--config-file=",
        cache,
    ]
    right = [str(path) for path in checked.glob("*.py") if path.name != "wrong.py"]
    assert len(right) > 8
    done = subprocess.run([*words, *right], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)
    done = subprocess.run(
        [*words, checked / "wrong.py"], capture_output=True, text=True, check=False
    )
    assert done.stdout.count("error:") == 3


def test_pyright(checked):
    """So is pyright, strict."""
    settings = {"typeCheckingMode": "strict", "include": ["*.py"]}
    (checked / "pyrightconfig.json").write_text(json.dumps(settings))
    words = [Path(sys.executable).with_name("basedpyright"), "-p", checked, "--outputjson"]
    words += ["--pythonpath", sys.executable]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    errors = [
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1, found["message"])
        for found in json.loads(done.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    ]
    assert [error for error in errors if error[0] != "wrong.py"] == []
    assert len([error for error in errors if error[0] == "wrong.py"]) == 3
