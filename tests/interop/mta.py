"""mta - Debian's Postfix, with directories of its own, started and stopped by the test.

No message can leave the machine: the only way out is the transport table, which has nothing but
127.0.0.1, every default transport is "error", and the clients bind to loopback.  Nothing but an
smtpd that takes no mail listens, there as well.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from clients import environment
from conftest import require_program, unavailable
from mailserver import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAIN = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = /dev/stdout
myhostname = client.example
mydestination =
mynetworks =
alias_maps =
local_recipient_maps =
inet_interfaces = loopback-only
inet_protocols = ipv4
disable_dns_lookups = yes
smtp_host_lookup = native
smtp_bind_address = 127.0.0.1
smtp_connection_cache_on_demand = no
smtp_tls_loglevel = 1
smtp_tls_session_cache_database = btree:$data_directory/sessions
transport_maps = texthash:{directory}/conf/transport
default_transport = error:5.1.2 there is no way out
relay_transport = $default_transport
local_transport = $default_transport
virtual_transport = $default_transport
smtpd_recipient_restrictions = reject
"""

# Until we close its input, or die.  "postfix stop" uses force after five seconds.
RUN = '"$0" -c "$1" start-fg & cat; kill $!; "$0" -c "$1" stop; wait'

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

Settings = dict[str, str | Path]


@dataclasses.dataclass(frozen=True)
class Transport:
    """An SMTP client for one port of 127.0.0.1, with settings as in main.cf."""

    port: int
    settings: Settings


class Postfix:
    """A running Postfix: what it logs, the port of its smtpd, and a way to hand it messages."""

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self._conf = directory / "conf"
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

    def all(self, pattern: str, since: int) -> list[str]:
        """Return what the group of each line's match is, from ``since`` on."""
        with self._changed:
            return [m[1] for line in self._lines[since:] if (m := re.search(pattern, line))]

    def now(self) -> int:
        """Return what :meth:`wait_for` takes to look at later lines only."""
        with self._changed:
            return len(self._lines)

    def send(self, transport: str, message: str) -> None:
        """Hand in a message that one of the transports is to deliver."""
        subprocess.run(
            [
                require_program("sendmail"), "-C", self._conf, "-oi",
                "-f", "a@sender.invalid", f"b@{transport}.example",
            ],
            input=message, text=True, env=environment(), check=True, timeout=TIMEOUT,
        )  # fmt: skip

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        process = subprocess.Popen(
            ["sh", "-c", RUN, require_program("postfix"), self._conf],
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


def _service(line: str, settings: Settings) -> str:
    options = "".join(f"\n  -o {{{name} = {value}}}" for name, value in settings.items())
    return f"{line}{options}\n"


@contextlib.contextmanager
def postfix(transports: Mapping[str, Transport], server: Settings) -> Iterator[Postfix]:
    """Run a Postfix until the block ends; its smtpd has the settings of ``server``."""
    require_program("postfix")
    if os.geteuid() != 0:
        unavailable("only root may start Postfix")
    # Not in pytest's directory, which the user "postfix" could not enter.
    with tempfile.TemporaryDirectory(prefix="ccert-postfix-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        master = MASTER + _service(f"127.0.0.1:{port} inet n - n - - smtpd", server)
        table = ""
        for key, transport in transports.items():
            master += _service(f"{key} unix - - n - - smtp", transport.settings)
            table += f"{key}.example {key}:[127.0.0.1]:{transport.port}\n"
        for subdirectory in ("conf", "data", "queue"):
            (directory / subdirectory).mkdir()
        shutil.chown(directory / "data", "postfix")
        (directory / "conf/main.cf").write_text(MAIN.format(directory=directory))
        (directory / "conf/master.cf").write_text(master)
        (directory / "conf/transport").write_text(table)
        mta = Postfix(directory, port)
        with mta.running():
            yield mta
