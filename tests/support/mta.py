"""Debian's Postfix in directories of its own, started and stopped here.

Nothing of it listens anywhere but on 127.0.0.1, and the caller's main.cf says where mail goes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
TIMEOUT = 20  # seconds, for whatever should take none

MAIN = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = /dev/stdout
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = loopback-only
inet_protocols = ipv4
disable_dns_lookups = yes
"""

MASTER = """
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
anvil unix - - n - 1 anvil
error unix - - n - - error
retry unix - - n - - error
"""

# Until we close its input, or die.  "postfix stop" uses force after five seconds.
RUN = '"$0" -c "$1" start-fg & cat; kill $!; "$0" -c "$1" stop; wait'


def missing() -> str:
    """Return why there can be no Postfix here; "": there can."""
    if not shutil.which("postfix", path=PATH):
        return "postfix is not installed"
    return "" if os.geteuid() == 0 else "only root may start Postfix"


def environment() -> dict[str, str]:
    """Return ours without the sanitizers, which are for our process only."""
    return {k: v for k, v in os.environ.items() if k not in {"LD_PRELOAD", "ASAN_OPTIONS"}}


class Postfix:
    """A running Postfix: what it logs, the port of its smtpd, and its configuration's directory."""

    def __init__(self, conf: Path, port: int) -> None:
        self.conf = conf
        self.port = port
        self._lines: list[str] = []
        self._changed = threading.Condition()

    def wait_for(self, pattern: str, since: int = 0) -> re.Match[str]:
        """Return the first line that matches, from ``since`` on; fail if none comes."""

        def matching() -> re.Match[str] | None:
            found = (re.search(pattern, line) for line in self._lines[since:])
            return next(filter(None, found), None)

        with self._changed:
            found = self._changed.wait_for(matching, TIMEOUT)
            assert found, f"not logged: {pattern}\n{''.join(self._lines[since:])}"
        return found

    def wait_for_all(self, pattern: str, count: int) -> None:
        """Wait until so many lines match, and not one more."""

        def found() -> int:
            return sum(bool(re.search(pattern, line)) for line in self._lines)

        with self._changed:
            self._changed.wait_for(lambda: found() >= count, TIMEOUT)
            assert found() == count, f"{found()} instead of {count} lines: {pattern}"

    def all(self, pattern: str, since: int) -> list[str]:
        """Return what the group of each line's match is, from ``since`` on."""
        with self._changed:
            return [m[1] for line in self._lines[since:] if (m := re.search(pattern, line))]

    def now(self) -> int:
        """Return what :meth:`wait_for` takes to look at later lines only."""
        with self._changed:
            return len(self._lines)

    def version(self) -> str:
        """Return Postfix's, such as "3.7.11"."""
        words = [shutil.which("postconf", path=PATH), "-d", "-h", "mail_version"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        process = subprocess.Popen(
            ["sh", "-c", RUN, shutil.which("postfix", path=PATH), self.conf],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=environment(), text=True, start_new_session=True,
        )  # fmt: skip
        reader = threading.Thread(target=self._read, args=[process.stdout])
        reader.start()
        try:
            self.wait_for("daemon started")
            yield
        finally:
            process.stdin.close()
            process.wait(TIMEOUT)
            reader.join(TIMEOUT)
            process.stdout.close()

    def _read(self, stream: Iterable[str]) -> None:
        for line in stream:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()


def service(line: str, settings: Mapping[str, str | Path]) -> str:
    """Return a service of master.cf, with settings as in main.cf."""
    options = "".join(f"\n  -o {{{name} = {value}}}" for name, value in settings.items())
    return f"{line}{options}\n"


@contextlib.contextmanager
def running(
    main: str, services: str, smtpd: Mapping[str, str | Path], files: Mapping[str, str]
) -> Iterator[Postfix]:
    """Run a Postfix until the block ends.

    Args:
        main: what main.cf has besides ``MAIN``; "{directory}" is replaced.
        services: what master.cf has besides ``MASTER`` and an smtpd on a free port.
        smtpd: settings of that.
        files: others beside main.cf.
    """
    # Not in pytest's directory, which the user "postfix" could not enter.
    with tempfile.TemporaryDirectory(prefix="ccert-postfix-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        for subdirectory in ("conf", "data", "queue"):
            (directory / subdirectory).mkdir()
        shutil.chown(directory / "data", "postfix")
        master = MASTER + services + service(f"127.0.0.1:{port} inet n - n - - smtpd", smtpd)
        written = {"main.cf": (MAIN + main).format(directory=directory), "master.cf": master}
        for file, text in (written | dict(files)).items():
            (directory / "conf" / file).write_text(text)
        mta = Postfix(directory / "conf", port)
        with mta._running():
            yield mta
