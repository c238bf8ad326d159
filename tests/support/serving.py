"""``ccert serve`` in a process of its own, as an operator starts it, and what its log says."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import re
import resource
import signal
import smtplib
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from programs import COMMAND, children_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30  # seconds for whatever must happen
BOTH = ["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]
MESSAGE = b"From: <a@client.example>\r\nSubject: x\r\n\r\nHello.\r\n"


@dataclasses.dataclass
class Server:
    """A running server; ``wait_for`` reads its log on, ``lines`` is what has been read."""

    process: subprocess.Popen[str]
    maildir: Path
    unread: queue.Queue[str | None]
    lines: list[str] = dataclasses.field(default_factory=list)
    ports: list[int] = dataclasses.field(default_factory=list)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the first match in what has not been read; fail if the log ends, or in time."""
        end = time.monotonic() + PATIENCE
        while (left := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                line = self.unread.get(timeout=left)
                if line is None:
                    break
                self.lines.append(line)
                if match := re.search(pattern, line):
                    return match
        raise AssertionError(f"no {pattern!r} in\n" + "".join(self.lines))

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def finish(self) -> int:
        """Return the exit status, once there is one; read the log to its end."""
        status = self.process.wait(PATIENCE)
        while (line := self.unread.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
        return status

    def workers(self) -> set[int]:
        return children_of(self.process.pid)

    def client(self, tls: ssl.SSLContext | None = None, *, implicit: bool = False) -> smtplib.SMTP:
        """Connect, with TLS if there is a context for it; implicit TLS is on the last port."""
        if implicit:
            return smtplib.SMTP_SSL("localhost", self.ports[-1], timeout=PATIENCE, context=tls)
        smtp = smtplib.SMTP("localhost", self.ports[0], timeout=PATIENCE)
        if tls:
            smtp.starttls(context=tls)
        return smtp

    def messages(self) -> list[bytes]:
        new = self.maildir / "new"
        return [path.read_bytes() for path in sorted(new.iterdir(), key=os.path.getmtime)]


def send(smtp: smtplib.SMTP, message: bytes = MESSAGE) -> None:
    smtp.sendmail("a@client.example", ["b@mx.example"], message)


@contextlib.contextmanager
def serving(
    maildir: Path, *options: object, files: int | None = None, **environment: str
) -> Iterator[Server]:
    """Start a server, on a free port unless the options say where; stop it at the end.

    Args:
        files: how many file descriptors a process may have.
    """
    words = [str(option) for option in options]
    if not any(word in {"--listen", "--tls-listen"} for word in words):
        words += ["--listen", "127.0.0.1:0"]
    words += ["--maildir", str(maildir), "--hostname", "mx.example"]

    process = subprocess.Popen(
        [COMMAND, "serve", *words],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        start_new_session=True,
    )
    if files:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (files, files))
    server = Server(process, maildir, queue.Queue())
    reader = threading.Thread(target=_read, args=(process, server.unread))
    reader.start()
    try:
        ready = server.wait_for("ready: .*")
        server.ports = [int(port) for port in re.findall(r":(\d+) \(", ready[0])]
        yield server
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):  # none of them is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            reader.join()
            process.stderr.close()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    for line in process.stderr:
        lines.put(line)
    lines.put(None)


def begin(smtp: smtplib.SMTP, *, data: bool = False) -> smtplib.SMTP:
    """Open a transaction."""
    smtp.ehlo("client.example")
    smtp.docmd("MAIL FROM:<a@client.example>")
    smtp.docmd("RCPT TO:<b@mx.example>")
    if data:
        smtp.docmd("DATA")
        smtp.send(MESSAGE)
    return smtp


def replies_until_closed(smtp: smtplib.SMTP) -> list[int]:
    """Return the codes of what the server still says."""
    codes = []
    with contextlib.suppress(smtplib.SMTPServerDisconnected):
        while True:
            codes.append(smtp.getreply()[0])
    return codes


def raw(smtp: smtplib.SMTP, command: str) -> int:
    """Send what smtplib would not."""
    smtp.send(command.encode("latin-1") + b"\r\n")
    code, text = smtp.getreply()
    assert text.decode("ascii").isprintable()
    return code
