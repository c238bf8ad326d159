"""services - who answers policy requests: Debian's daemons, or whatever the test wants to say."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import socket
import socketserver
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from mailserver import TIMEOUT
from mta import environment
from programs import require_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def postgrey(endpoint: str, database: Path) -> Iterator[None]:
    """Run Postgrey, which has an event loop and keeps connections; it delays for a second."""
    kind, _, address = endpoint.partition(":")
    process = subprocess.Popen(
        [
            require_program("postgrey"), f"--{kind}={address}", f"--dbdir={database}",
            f"--user={pwd.getpwuid(os.getuid()).pw_name}",
            f"--group={grp.getgrgid(os.getgid()).gr_name}", "--delay=1",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(), text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + TIMEOUT
        while not _accepts(kind, address):  # what it says before that depends on who starts it
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield
    finally:
        process.kill()  # asked to leave, it waits for its clients
        process.communicate(timeout=TIMEOUT)


def _accepts(kind: str, address: str) -> bool:
    """Tell whether somebody listens there."""
    host, _, port = address.rpartition(":")
    family, peer = (
        (socket.AF_UNIX, address) if kind == "unix" else (socket.AF_INET, (host, int(port)))
    )
    with socket.socket(family) as client:
        return client.connect_ex(peer) == 0


@contextlib.contextmanager
def spawning(program: str) -> Iterator[str]:
    """Run a program for each connection, its standard input and output, as spawn(8) does."""
    command = require_program(program)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            subprocess.run(
                [command], stdin=self.request, stdout=self.request, env=environment(),
                timeout=TIMEOUT, check=True,
            )  # fmt: skip

    with _serving(Handler) as port:
        yield f"inet:127.0.0.1:{port}"


@contextlib.contextmanager
def answering(answer: Callable[[str], str], *, end: str) -> Iterator[int]:
    """Answer each request that ends with ``end``; yields the port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = ""
            for line in self.rfile:
                request += line.decode()
                if request.endswith(end):
                    self.wfile.write(answer(request).encode())
                    request = ""

    with _serving(Handler) as port:
        yield port


@contextlib.contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True  # clients may keep connections

    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(TIMEOUT)
