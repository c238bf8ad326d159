"""Debian's Postfix beside ours, for reference: an smtpd on loopback whose mail goes to discard(8).

It has configuration, queue and log of its own, in a directory of its own, and is started and
stopped here.  Where it differs from what it is compared with: a process for each session, and each
message is in the queue, on disk, before "250" is said.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
TIMEOUT = 20  # seconds

MAIN = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file_prefixes = {directory}
maillog_file = {directory}/log
myhostname = mx.example
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = loopback-only
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
default_transport = discard
local_transport = discard
relay_transport = discard
virtual_transport = discard
mynetworks = 127.0.0.0/8
smtpd_client_event_limit_exceptions = static:all
in_flow_delay = 0
smtpd_tls_security_level = may
smtpd_tls_ask_ccert = yes
smtpd_tls_loglevel = 1
smtpd_tls_cert_file = {certificates}/server.pem
smtpd_tls_key_file = {certificates}/server.pem
smtpd_tls_CAfile = {certificates}/root.pem
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""


def missing() -> str:
    """Return why there can be no Postfix here; "": there can."""
    if not shutil.which("postfix", path=PATH):
        return "Postfix is not installed"
    return "" if os.geteuid() == 0 else "only root may start Postfix"


class Postfix:
    """A running Postfix: its port, and what its log says."""

    def __init__(self, directory: Path, certificates: Path) -> None:
        self._conf, self._log = directory / "conf", directory / "log"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        for name in ("conf", "data", "queue"):
            (directory / name).mkdir()
        shutil.chown(directory / "data", "postfix")
        main = MAIN.format(directory=directory, certificates=certificates)
        (self._conf / "main.cf").write_text(main)
        (self._conf / "master.cf").write_text(MASTER.format(port=self.port))

    @property
    def version(self) -> str:
        words = [shutil.which("postconf", path=PATH), "-d", "-h", "mail_version"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    def start(self) -> None:
        self._run("start")
        self.wait_for("daemon started", 1)

    def stop(self) -> None:
        self._run("stop")

    def kill(self) -> None:
        """End its process group, however ill it is."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._conf.parent / "queue/pid/master.pid").read_text())
            os.killpg(pid, signal.SIGKILL)

    def wait_for(self, pattern: str, count: int) -> None:
        """Wait until the log has so many lines with the pattern, and not one more."""
        deadline = time.monotonic() + TIMEOUT
        while (found := self._count(pattern)) < count:
            assert time.monotonic() < deadline, f"{found} instead of {count} lines: {pattern}"
            time.sleep(0.1)
        assert found == count, pattern

    def _count(self, pattern: str) -> int:
        return len(re.findall(pattern, self._log.read_text())) if self._log.exists() else 0

    def _run(self, command: str) -> None:
        program = shutil.which("postfix", path=PATH)
        words = [program, "-c", self._conf, command]
        subprocess.run(words, check=True, capture_output=True, timeout=TIMEOUT)


@contextlib.contextmanager
def postfix(certificates: Path) -> Iterator[Postfix]:
    """Run a Postfix until the block ends.

    Args:
        certificates: the directory as in contexts.py.
    """
    # Not pytest's directory, which the user "postfix" could not enter.
    with tempfile.TemporaryDirectory(prefix="ccert-bench-postfix-") as name:
        Path(name).chmod(0o755)
        mta = Postfix(Path(name), certificates)
        try:
            mta.start()
            yield mta
            mta.stop()
        except BaseException:
            mta.kill()
            raise
