"""How a session of aiosmtpd ends: no wait is unlimited, and no transaction is cut off needlessly.

A client has limited time for a command, and must send data at a minimal rate, as with Postfix's
``smtpd_per_request_deadline``.  A client that does not read the last reply is cut off.  At
shutdown, a session ends at once if it is idle, otherwise after its transaction.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Any

from aiosmtpd import smtp

from ccert.aiosmtpd.session import client_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccert.aiosmtpd import Session

__all__ = ["Ending"]

_log = logging.getLogger("ccert")

_MIN_DATA_RATE = 500  # octets a second; Postfix: smtpd_min_data_rate
_LINGER = 3  # seconds for a client to read the last reply


class Ending(smtp.SMTP):
    """aiosmtpd's SMTP with limits on how a session ends.

    Attributes:
        receiving: whether the session is waiting for message data.
    """

    session: Session
    transport: Any  # aiosmtpd puts either kind of transport there, or None at the end
    _original_transport: Any
    _connection: Any  # the transport below TLS; abort() works on it even if TLS is waiting
    _reader: Any
    _writer: Any
    _timeout_handle: asyncio.TimerHandle

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - aiosmtpd's
        super().__init__(*args, **kwargs)
        self._gone = self.loop.create_future()
        self.receiving = False
        self._busy = self._leaving = self._hung_up = False
        self._smtp_methods = {
            name: self._watched(method) for name, method in self._smtp_methods.items()
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or begin again after STARTTLS."""
        super().connection_made(transport)
        if self._handler_coroutine and self._original_transport is None:
            tls = getattr(transport, "_ssl_protocol", None)
            self._connection = tls._transport if tls else transport  # noqa: SLF001 - no other way
            self._handler_coroutine.add_done_callback(_retrieve)
            self._handler_coroutine.add_done_callback(lambda _: self._linger())

    def connection_lost(self, error: Exception | None) -> None:
        """End; ``error`` is not passed on, because its traceback would keep the session alive."""
        del error
        if not self._gone.done():
            self._gone.set_result(None)
            super().connection_lost(None)

    async def ended(self) -> None:
        """Wait for the end."""
        await self._gone
        if self._handler_coroutine:
            await asyncio.wait([self._handler_coroutine])

    def untie(self) -> None:
        """Break reference cycles, so that memory is freed without the garbage collector."""
        if self._handler_coroutine and not self._gone.done():
            return  # cancelled right after its handshake, at shutdown: the process ends anyway
        self._smtp_methods.clear()
        self._auth_methods.clear()
        self._client_connected_cb = self._reader = self._writer = None
        self._tls_protocol = self._original_transport = self._handler_coroutine = None
        self._connection = None

    def leave(self) -> None:
        """End the session: now if there is no transaction, otherwise after it."""
        self._leaving = True
        if self._tls_protocol and self.session.ssl is None:
            self._original_transport.abort()  # during the handshake
        elif not self._busy:
            self._leave_if_idle()

    def abort(self) -> None:
        """End the session at once, without a reply."""
        if not self._gone.done():
            self._connection.abort()

    def _leave_if_idle(self) -> None:
        if self.envelope is None or self.envelope.mail_from is None:
            self._hang_up(f"421 4.3.2 {self.hostname} Server shutting down")

    def _hang_up(self, reply: str) -> None:
        if self._gone.done() or self._hung_up:
            return
        if not self.transport.is_closing():
            self._writer.write(f"{reply}\r\n".encode())
            self.transport.close()
        self._linger()

    def _linger(self) -> None:
        """Give the client, which may not be reading at all, little time to close.

        asyncio waits 30 seconds for the client's close_notify; before Python 3.11, for ever.
        """
        if not self._gone.done():
            self._hung_up = True
            self._reset_timeout(_LINGER)

    def _watched(
        self, method: Callable[[str], Awaitable[None]]
    ) -> Callable[[str], Awaitable[None]]:
        """Track whether a command is running, and leave after it if leave() was called."""

        @functools.wraps(method)
        async def watched(argument: str) -> None:
            self._busy = True
            try:
                await method(argument)
            finally:
                self._busy = False
            if self._leaving:
                self._leave_if_idle()

        return watched

    def _timeout_cb(self) -> None:
        if self._hung_up:
            self.abort()
        elif self._busy and not self.receiving and not self.transport.get_write_buffer_size():
            self._reset_timeout()  # the client is waiting for us
        else:
            _log.info("timeout exceeded by %s", client_name(self.session))
            self._hang_up(f"421 4.4.2 {self.hostname} Error: timeout exceeded")

    def data_received(self, data: bytes) -> None:
        """Extend the timeout for received data by the time that it may take."""
        super().data_received(data)
        if self.receiving:
            now = self.loop.time()
            left = self._timeout_handle.when() - now + len(data) / _MIN_DATA_RATE
            self._reset_timeout(min(left, self._timeout_duration))


def _retrieve(session: asyncio.Task[None]) -> None:
    """Log how a session ended; a lost connection is normal, so only at debug level."""
    if not session.cancelled() and (error := session.exception()):
        if isinstance(error, ConnectionError):
            _log.debug("a session ended by %r", error)
        else:
            _log.error("a session ended by %r", error, exc_info=error)
        error.__traceback__ = None  # it would keep the session alive
