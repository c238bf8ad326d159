"""One event loop's connections to a policy service, each with one request at a time.

A connection is kept only while both ends are in step.  After anything unexpected (unsolicited data,
a request cancelled half-way) it is closed; otherwise the answer about one client could be taken for
the answer about the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Address", "Connections"]

Address = str | tuple[str, int]  # a socket's path; host and port

_LIMIT = 100  # connections
_ANSWER_OCTETS = 16384  # the longest useful answer is a header of 998
_BACKLOG_SECONDS = 0.01

_CONTROL = re.compile(rb"[\0-\x08\x0b-\x1f\x7f]")


class Connections:
    """A pool of connections, kept for the next request."""

    def __init__(self, address: Address, max_idle: float) -> None:
        self._address = address
        self._max_idle = max_idle
        self._slots = asyncio.Semaphore(_LIMIT)
        self._idle: list[_Connection] = []
        self._closed = False

    async def ask(self, request: bytes, instance: str) -> bytes:
        """Send a request; return the answer without the empty line at its end.

        If a connection is closed before the answer is complete, the request is sent once more on a
        new one, as with Postfix's smtpd_policy_service_try_limit: services may close a connection
        at any time between two requests.

        Args:
            request: complete, with its empty line.
            instance: which message it is about.  Some services keep a message's state with the
                connection, so the message gets the same connection as before if it is free.

        Raises:
            OSError: cannot connect, or the connection was closed twice.
            ValueError: the answer is malformed.
        """
        async with self._slots:
            connection = self._take(instance)
            await asyncio.sleep(0)  # unsolicited data closes it now
            if not connection:
                connection = await self._open()
            try:
                answer = await connection.exchange(request)
            except ConnectionError:
                connection = await self._open()
                answer = await connection.exchange(request)
            connection.instance = instance
            self._keep(connection)
            return answer

    def close(self) -> None:
        """Close idle connections now, and those in use after their answers."""
        self._closed = True
        for connection in self._idle:
            connection.abort()

    def _take(self, instance: str) -> _Connection | None:
        if not self._idle:
            return None
        same = (kept for kept in self._idle if kept.instance == instance)
        connection = next(same, self._idle[-1])  # the oldest ones may expire
        self._forget(connection)
        return connection

    def _keep(self, connection: _Connection) -> None:
        if self._closed or connection.ending:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.expiry = loop.call_later(self._max_idle, connection.abort)
        self._idle.append(connection)

    def _forget(self, connection: _Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.expiry:
            connection.expiry.cancel()

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        if not isinstance(self._address, str):
            host, port = self._address
            return (await loop.create_connection(self._new, host, port))[1]
        # asyncio's own connect() takes EAGAIN, which means a full backlog here, for EINPROGRESS;
        # the connection then breaks.
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.setblocking(False)  # noqa: FBT003
            while True:
                try:
                    sock.connect(self._address)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_BACKLOG_SECONDS)
            _, connection = await loop.create_unix_connection(self._new, sock=sock)
            stack.pop_all()  # the transport owns it now
        return connection

    def _new(self) -> _Connection:
        return _Connection(self._forget)


class _Connection(asyncio.Protocol):
    """One connection; calls ``lost`` with itself when it is closed, by either end."""

    def __init__(self, lost: Callable[[_Connection], None]) -> None:
        self.instance = ""
        self.expiry: asyncio.TimerHandle | None = None
        self._lost = lost
        self._octets = b""
        self._answer: asyncio.Future[bytes] | None = None  # during a request
        self._end = "the connection was closed"

    async def exchange(self, request: bytes) -> bytes:
        """Send a request and return its answer; abort after a failure or if cancelled."""
        self._octets = b""
        self._answer = asyncio.get_running_loop().create_future()
        if self.ending:  # lost() may have been called already
            self._answer.set_exception(ConnectionResetError(self._end))
        else:
            self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.abort()
            raise
        finally:
            self._answer = None

    @property
    def ending(self) -> bool:
        """Whether no further request may be sent."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """Close the connection at once and discard unsent data."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        if not self._answer or self._answer.done():
            self._end = "it sent unsolicited data"
            self.abort()
            return
        self._octets += data
        answer, end, more = (b"\n" + self._octets).partition(b"\n\n")
        if _CONTROL.search(data):
            self._answer.set_exception(ValueError("its answer has control characters"))
        elif len(answer) > _ANSWER_OCTETS:
            self._answer.set_exception(ValueError(f"answer longer than {_ANSWER_OCTETS} octets"))
        elif end and b"\naction=" not in answer:  # the ends are out of step
            self._answer.set_exception(ValueError("its answer has no action"))
        elif end:
            self._answer.set_result(answer[1:])
            if more:
                self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail a pending request, and notify the owner."""
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(str(exc or self._end)))
        self._lost(self)
