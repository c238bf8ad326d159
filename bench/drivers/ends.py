"""Servers' ends of handshakes in memory, driven from Python: ssl's and pyOpenSSL's.

The client's end is ssl's own in either case, on the system's OpenSSL, so that servers are compared.
An end is made by ``new()``, takes octets by ``step()``, and afterwards tells what it thinks of its
peer by ``trusts()``; no more than that is within any timer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
import time
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL

import ccert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "Handshakes",
    "SslEnd",
    "StuckError",
    "forgives",
    "new_pyopenssl",
    "new_ssl",
    "pyopenssl",
]

STEPS = 10
PURPOSE = 26  # X509_V_ERR_INVALID_PURPOSE


class StuckError(AssertionError):
    """The handshake did not come to an end within the bound."""


class SslEnd:
    """An end of Python's ``ssl``, with ccert or without."""

    def __init__(self, context: ssl.SSLContext, **kwargs: Any) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, **kwargs)
        self.done = False

    def step(self, octets: bytes) -> bytes:
        """Take what the other end has sent; return what is for it."""
        self._incoming.write(octets)
        try:
            self.tls.do_handshake()
            self.done = True
        except ssl.SSLWantReadError:
            pass
        return self._outgoing.read()

    def receive(self, octets: bytes) -> None:
        """Take what comes after the handshake: tickets."""
        self._incoming.write(octets)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.read(1)

    def trusts(self) -> bool:
        """Tell what ccert says; without it a handshake with an untrusted one fails."""
        if not hasattr(self.tls.context, "_ccert_attachment"):
            return self.tls.getpeercert() is not None
        return ccert.peer(self.tls).trust is ccert.Trust.TRUSTED


class PyOpenSslEnd:
    """An end of pyOpenSSL."""

    def __init__(self, context: SSL.Context) -> None:
        self._tls = SSL.Connection(context, None)
        self._tls.set_accept_state()
        self.done = False

    def step(self, octets: bytes) -> bytes:
        """See SslEnd."""
        if octets:
            self._tls.bio_write(octets)
        try:
            self._tls.do_handshake()
            self.done = True
        except SSL.WantReadError:
            pass
        try:
            return self._tls.bio_read(65536)
        except SSL.WantReadError:
            return b""

    def trusts(self) -> bool:
        """Tell what the verify callback has said: else the handshake has failed."""
        return self._tls.get_peer_certificate() is not None


def new_ssl(context: ssl.SSLContext) -> Callable[[], SslEnd]:
    """Return a function that makes a server's end."""
    return lambda: SslEnd(context, server_side=True)


def new_pyopenssl(context: SSL.Context) -> Callable[[], PyOpenSslEnd]:
    """Return a function that makes a server's end."""
    return lambda: PyOpenSslEnd(context)


def forgives(_connection, _certificate, error: int, _depth: int, ok: int) -> bool:
    """Ignore the wrong purpose, as several programs do; code signing's certificates pass, too."""
    return bool(ok) or error == PURPOSE


def pyopenssl(directory: Path, callback: Callable[..., bool] | None) -> SSL.Context:
    """Make a server's context of pyOpenSSL, with a verify callback in Python or without."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(str(directory / "server.pem"))
    context.use_privatekey_file(str(directory / "server.pem"))
    context.load_verify_locations(str(directory / "root.pem"))
    context.set_session_id(b"bench")
    context.set_verify(SSL.VERIFY_PEER, callback)
    return context


@dataclasses.dataclass
class Handshakes:
    """Handshakes, one after the other, in this thread.

    Attributes:
        new: makes the server's end.
        client: the client's context.
        resume: each but the first resumes the session of the one before, whose end was just freed,
            as most servers close.
        seconds: that they took.
        server_seconds: of these, in the server's end.
        last: the server's end of the last one.
    """

    new: Callable[[], SslEnd | PyOpenSslEnd]
    client: ssl.SSLContext
    resume: bool = False
    seconds: float = 0.0
    server_seconds: float = 0.0
    last: Any = None
    session: ssl.SSLSession | None = None

    def run(self, count: int) -> None:
        """Shake hands so often; assert that the server trusts all its peers."""
        ends = []
        start = time.perf_counter()
        for _ in range(count):
            end = self._one()
            if not self.resume:
                ends.append(end)
        self.seconds += time.perf_counter() - start
        assert all(end.trusts() for end in ends)
        self.last = end

    def _one(self) -> SslEnd | PyOpenSslEnd:
        begin = time.perf_counter()
        server = self.new()
        self.server_seconds += time.perf_counter() - begin
        client = SslEnd(self.client, server_hostname="mx.example", session=self.session)
        octets = b""
        for _ in range(STEPS):
            octets = client.step(octets)
            begin = time.perf_counter()
            octets = server.step(octets)
            self.server_seconds += time.perf_counter() - begin
            if client.done and server.done:
                if self.resume:
                    self._take_session(client, octets)
                return server
        raise StuckError

    def _take_session(self, client: SslEnd, octets: bytes) -> None:
        assert client.tls.session_reused or self.session is None
        client.receive(octets)
        self.session = client.tls.session
