"""A process that holds many of one thing, so that its memory tells what one takes.

Usage: see process.py.  Settings: ``directory`` of the certificates, ``variant``.  Questions, each
answered with the memory afterwards (footprint.py); every handshake must end with a known peer:

- ``connections``: accept so many on the port that was said first, exchange an octet, keep them.
- ``contexts``: make so many of the server's, keep them.
- ``full``, ``handshakes``: so many in memory, of the latter every second one resumed; keep nothing.
  Each is ended as TLS wants it, or its session would not be kept.  The client resumes one session
  many times: to read ``SSLObject.session`` leaks some 6 kB (CPython 3.11, with ccert or without).
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import sys
from pathlib import Path

import pairs
from footprint import footprint
from process import questions, raise_file_limit, say
from variants import VARIANTS, Variant

TIMEOUT = 30  # seconds, for a connection
RESUMPTIONS = 2000  # of handshakes until the next session is taken; the cache keeps 2048 (ccert)


class Holder:
    """What it holds, and how it comes by it."""

    def __init__(self, directory: Path, variant: Variant) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.listener.settimeout(TIMEOUT)
        self._directory, self._variant = directory, variant
        self._context, self._client = variant.server(directory), variant.peer(directory)
        self._held = []

    def connections(self, count: int) -> None:
        for _ in range(count):
            plain, _ = self.listener.accept()
            plain.settimeout(TIMEOUT)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = self._context.wrap_socket(plain, server_side=True)
            tls.sendall(tls.recv(1))
            assert self._variant.knows(tls)
            self._held.append(tls)

    def contexts(self, count: int) -> None:
        self._held += (self._variant.server(self._directory) for _ in range(count))

    def full(self, count: int) -> None:
        for _ in range(count):
            self._handshake()

    def handshakes(self, count: int) -> None:
        session = None
        for number in range(count):
            pair = self._handshake(session if number % 2 else None)
            if number % RESUMPTIONS == 0:
                session = pair.client.tls.session

    def _handshake(self, session: ssl.SSLSession | None = None) -> pairs.Pair:
        pair = pairs.handshake(self._context, self._client, session=session)
        assert pair.server.tls.session_reused == (session is not None)
        assert self._variant.knows(pair.server.tls)
        _part(pair)
        return pair


def _part(pair: pairs.Pair) -> None:
    """Let the client say that it leaves, and the server answer."""
    with contextlib.suppress(ssl.SSLWantReadError):
        pair.client.tls.unwrap()
    pair.server.incoming.write(pair.client.outgoing.read())
    pair.server.tls.unwrap()


def connect(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Be a holder's client."""
    plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    tls = context.wrap_socket(plain, server_hostname="mx.example")
    tls.sendall(b"x")
    assert tls.recv(1) == b"x"
    return tls


def main() -> None:
    settings = json.loads(sys.argv[1])
    raise_file_limit()
    holder = Holder(Path(settings["directory"]), VARIANTS[settings["variant"]])
    say(port=holder.listener.getsockname()[1])
    for question in questions():
        ((thing, count),) = question.items()
        getattr(holder, thing)(count)
        say(**footprint())


if __name__ == "__main__":
    main()
