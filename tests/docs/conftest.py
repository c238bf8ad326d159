"""The files that the pages speak of, and servers that are made of their code."""

import contextlib
import dataclasses
import re
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.fixture
def files(host, clique, tmp_path, monkeypatch) -> Path:
    """A directory with the files that the pages speak of, to work in."""
    (tmp_path / "mx.pem").write_bytes(host.certfile.read_bytes() + host.keyfile.read_bytes())
    for name in ("clique-cas.pem", "partner-cas.pem"):
        (tmp_path / name).write_bytes(clique.root.pem)
    leaf = clique.leaf().sent[0]
    (tmp_path / "partner.pem").write_bytes(leaf.pem + leaf.key_pem)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclasses.dataclass
class Program:
    """A page's program, running."""

    port: int
    process: subprocess.Popen
    directory: Path

    def reply_to(self, context: ssl.SSLContext | None) -> int:
        """Send a message; return 250, or the reply that ended it."""
        try:
            with smtplib.SMTP("localhost", self.port, timeout=10) as smtp:
                if context:
                    smtp.starttls(context=context)
                smtp.ehlo_or_helo_if_needed()
                for command, argument in (
                    (smtp.mail, "a@client.example"),
                    (smtp.rcpt, "b@mx.example"),
                    (smtp.data, "Subject: hello\n\n"),
                ):
                    code = command(argument)[0]
                    if code >= 400:
                        break
                return code
        except (smtplib.SMTPHeloError, smtplib.SMTPDataError) as error:
            return error.smtp_code

    def delivered(self) -> int:
        """Return how many messages there are in the Maildir."""
        return len(list((self.directory / "maildir" / "new").iterdir()))


@pytest.fixture
def example(files, unused_port):
    """Run a page's program with another port; wait until it listens."""

    @contextlib.contextmanager
    def run(code: str):
        script = files / "example.py"
        script.write_text(re.sub(r"\b(8025|4433)\b", str(unused_port), code))
        process = subprocess.Popen(
            [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            try:
                _wait_for(unused_port, process)
                yield Program(unused_port, process, files)
            finally:
                process.terminate()

    return run


def _wait_for(port: int, process: subprocess.Popen) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on {port}")
