"""A process that serves a limited number of clients at a time, until it is told to stop.

The master sends it signals: TERM, to end after the open transactions; HUP, to reload certificates,
CAs and tables.  If the master dies, the worker notices the end of the socket between them.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import gc
import logging
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

from ccert.server.smtp import SMTP
from ccert.server.tls_protocol import TLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccert.server.config import Config
    from ccert.server.files import Files

__all__ = ["READY", "Worker"]

_log = logging.getLogger("ccert")

READY = b"ready\n"

_TOO_MANY = "421 4.7.0 Error: too many connections from"
_PAUSE = 1  # seconds until there may be room again
_WARN_EVERY = 1000  # seconds, as Postfix's master does


class Worker:
    """Serves clients on its own sockets.

    Args:
        config: the configuration.
        files: what was read already.
        listeners: bound sockets for STARTTLS; they are closed here.
        tls_listeners: the same for implicit TLS.
        control: a socket connected to the master.
    """

    def __init__(
        self,
        config: Config,
        files: Files,
        listeners: Sequence[socket.socket],
        tls_listeners: Sequence[socket.socket],
        control: socket.socket,
    ) -> None:
        self._config = config
        self._listeners = {**dict.fromkeys(listeners, False), **dict.fromkeys(tls_listeners, True)}
        self._control = control
        self._files = files
        self._sessions: dict[asyncio.Task[None], SMTP | None] = {}
        self._connections: collections.Counter[str] = collections.Counter()  # by address
        self._next_warning = 0.0

    def run(self) -> None:
        """Serve until told to stop, then until open transactions have ended."""
        os.umask(0o077)  # for messages
        gc.freeze()  # permanent objects: full collections skip them and so run more often
        with self._files.handler.deliveries.running():
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_note)
        self._going = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, self._going.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the master blocked them before the fork
        loop.add_reader(self._control, self._master_is_gone)
        self._places = asyncio.Semaphore(self._config.default_process_limit)
        acceptors = []
        for listener, tls in self._listeners.items():
            listener.setblocking(False)  # noqa: FBT003 - socket's
            listener.listen(socket.SOMAXCONN)
            acceptors.append(asyncio.create_task(self._accept(listener, tls=tls)))
        self._control.sendall(READY)
        await self._going.wait()
        for acceptor in acceptors:
            acceptor.cancel()
        await asyncio.wait(acceptors)
        for listener in self._listeners:
            listener.close()
        await self._finish()
        await self._files.handler.close()

    def _master_is_gone(self) -> None:
        """Note the end of the control connection: the master never writes to it."""
        asyncio.get_running_loop().remove_reader(self._control)
        _log.error("the master is gone: finishing")
        self._going.set()

    def _reload(self) -> None:
        """Read files again, and log the result; if a file is unusable, keep its old content.

        New connections, and STARTTLS in old ones, use the new context.  Sessions of the old context
        do not resume in the new one, because each context keeps its own.
        """
        reloaded, errors = self._files.reload(warn=True)
        for name, error in errors.items():
            _log.error("%s: not reloaded, the old state is kept: %s", name, error)
        if reloaded:
            _log.info("reloaded: %s", ", ".join(reloaded))

    async def _accept(self, listener: socket.socket, *, tls: bool) -> None:
        """Accept clients up to the process limit; the others wait, as with Postfix."""
        while True:
            try:
                connection, address = await _next_client(listener)
            except ConnectionAbortedError:
                continue
            except OSError as error:  # above all, too many open files
                _log.warning("cannot accept: %s", error.strerror)
                await asyncio.sleep(_PAUSE)
                continue
            if self._has_enough(address[0]):
                with connection, contextlib.suppress(OSError):
                    if not tls:
                        connection.send(f"{_TOO_MANY} {address[0]}\r\n".encode())
                continue
            self._connections[address[0]] += 1
            if self._places.locked():
                self._warn_of_limit()
            try:
                await self._places.acquire()
            except asyncio.CancelledError:
                connection.close()
                raise
            session = asyncio.create_task(self._talk(connection, address, tls=tls))
            self._sessions[session] = None
            session.add_done_callback(functools.partial(self._forget, address[0]))

    def _has_enough(self, address: str) -> bool:
        """Return, and log, whether an address has reached its connection limit."""
        limit = self._config.smtpd_client_connection_count_limit
        if not limit or self._connections[address] < limit:
            return False
        _log.warning("connection count %d exceeded by unknown[%s]", limit, address)
        return True

    def _warn_of_limit(self) -> None:
        now = time.monotonic()
        if now >= self._next_warning:
            self._next_warning = now + _WARN_EVERY
            _log.warning(
                "default_process_limit %d is reached: new clients may experience delays",
                self._config.default_process_limit,
            )

    def _forget(self, address: str, session: asyncio.Task[None]) -> None:
        self._connections[address] -= 1
        if not self._connections[address]:
            del self._connections[address]
        del self._sessions[session]
        self._places.release()

    async def _talk(
        self, connection: socket.socket, address: tuple[str, int], *, tls: bool
    ) -> None:
        """Serve one client from accept to the end."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for mypy
        smtp = SMTP(
            self._files.handler,
            self._config,
            spool=self._files.maildir.tmp,
            context=None if tls else lambda: self._files.context,
        )
        self._sessions[task] = smtp
        try:
            if tls:
                below = TLS(smtp, self._files.context, self._config.smtpd_starttls_timeout)
                await _connect(connection, below)
                if not await below.shake_hands(f"unknown[{address[0]}]"):
                    return
            else:
                await _connect(connection, smtp)
            await smtp.ended()
        finally:
            smtp.untie()

    async def _finish(self) -> None:
        """End the sessions: idle ones at once, others after their transactions."""
        for session, smtp in list(self._sessions.items()):
            if smtp is None or smtp.transport is None:  # during the handshake of implicit TLS
                session.cancel()
                continue
            try:
                smtp.leave()
            except Exception:  # noqa: BLE001 - must not affect other sessions
                _log.exception("cutting off a session that cannot be ended")
                smtp.abort()
        if not self._sessions:
            return
        _, left = await asyncio.wait(self._sessions, timeout=self._config.shutdown_timeout)
        if left:
            _log.warning("cutting off %d sessions after shutdown_timeout", len(left))


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log asyncio's errors, with a traceback unless a client can cause them."""
    error = context.get("exception")
    ours = not isinstance(error, OSError | ValueError)
    _log.error("%s: %r", context["message"], error, exc_info=error if ours else None)


async def _connect(connection: socket.socket, protocol: asyncio.BaseProtocol) -> None:
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: protocol, connection)


async def _next_client(listener: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
    """Accept a client; cancelling loop.sock_accept() could drop a client that just connects."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(0)  # a flood of clients must not block existing sessions
        with contextlib.suppress(BlockingIOError):
            connection, address = listener.accept()
            connection.setblocking(False)  # noqa: FBT003 - socket's
            return connection, address
        ready = asyncio.Event()
        loop.add_reader(listener, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(listener)
