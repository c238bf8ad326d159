"""The bare C loop (handshake.c) between two of Python's TLS contexts, whose settings it shares."""

from __future__ import annotations

import ctypes
import ssl
import time
from typing import TYPE_CHECKING, Any

from ccert._openssl.library import ffi, lib

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Library", "Loop", "UnexpectedError"]

NAME = b"mx.example"


class UnexpectedError(Exception):
    """A handshake failed, or was not resumed when it should have been, or the other way round."""


class Library:
    """handshake.c, compiled as a shared library for the libssl that this Python uses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._c = ctypes.CDLL(str(path))
        self._c.handshake_new.restype = ctypes.c_void_p
        self._c.handshake_server_ns.restype = ctypes.c_int64

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a function whose result must not be 0; without the GIL."""
        result = getattr(self._c, f"handshake_{function}")(*arguments)
        if not result:
            raise UnexpectedError(function)
        return result

    def server_ns(self, handshakes: ctypes.c_void_p) -> int:
        """Return for how long the server's side has been at work, in ns."""
        return self._c.handshake_server_ns(handshakes)

    def expect_servers(self, context: ssl.SSLContext) -> None:
        """Have stock OpenSSL verify all clients as servers."""
        self.call("expect_servers", _ssl_ctx(context))

    def make_deterministic(self) -> None:
        """Give all of the process the same random numbers in each run."""
        self.call("make_deterministic")


class Loop:
    """Handshakes of the bare loop; all assert that both ends' certificates were trusted."""

    def __init__(
        self, library: Library, server: ssl.SSLContext, client: ssl.SSLContext, *, resume: bool
    ) -> None:
        self._library = library
        self._contexts = server, client  # borrowed by C
        self.seconds = 0.0  # that run() took
        new = library.call("new", _ssl_ctx(server), _ssl_ctx(client), NAME)
        self._handshakes = ctypes.c_void_p(new)
        if resume:
            library.call("begin_session", self._handshakes)

    def run(self, count: int) -> None:
        """Shake hands so often."""
        start = time.perf_counter()
        self._library.call("loop", self._handshakes, count)
        self.seconds += time.perf_counter() - start

    def counted(self, count: int, name: str) -> None:
        """Shake hands so often, as a part of callgrind's profile that has this name."""
        self._library.call("counted", self._handshakes, count, name.encode())

    @property
    def server_seconds(self) -> float:
        """How long the server's side has taken so far."""
        return self._library.server_ns(self._handshakes) / 1e9


def _ssl_ctx(context: ssl.SSLContext) -> ctypes.c_void_p:
    is_server = context.protocol is ssl.PROTOCOL_TLS_SERVER
    name = None if is_server else NAME.decode()
    throw_away = context.wrap_bio(
        ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=is_server, server_hostname=name
    )
    address = id(throw_away._sslobj)  # noqa: SLF001 - what OpenSSL points at
    since = lib.ccert_probe_count()
    del throw_away
    ssl_ctx = lib.ccert_probe_get0_ctx(since, address)
    return ctypes.c_void_p(int(ffi.cast("uintptr_t", ssl_ctx)))
