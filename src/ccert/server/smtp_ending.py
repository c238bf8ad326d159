"""How a session of aiosmtpd ends: every wait does, and none ends amid a transaction without need.

A client has so long for a command, and for data that keep coming at a minimal rate, as with
Postfix's ``smtpd_per_request_deadline``; whoever does not take the last words is cut off.  A
session that is told to leave does so at once if it is idle, otherwise after its transaction.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Any

from aiosmtpd import smtp

from ccert.aiosmtpd import client_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccert.aiosmtpd import Session

__all__ = ["Ending"]

_log = logging.getLogger("ccert")

_MIN_DATA_RATE = 500  # octets a second; Postfix: smtpd_min_data_rate
_LINGER = 3  # seconds for a client to take our last words


class Ending(smtp.SMTP):
    """aiosmtpd's SMTP, as regards the end.

    Attributes:
        receiving: whether it is a message that we wait for.
    """

    session: Session
    transport: Any  # aiosmtpd puts either kind of transport there, or None at the end
    _original_transport: Any
    _connection: Any  # the transport below TLS, which abort() ends whatever TLS is waiting for
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
        """Begin, or begin anew after STARTTLS."""
        super().connection_made(transport)
        if self._handler_coroutine and self._original_transport is None:
            tls = getattr(transport, "_ssl_protocol", None)
            self._connection = tls._transport if tls else transport  # noqa: SLF001 - no other way
            self._handler_coroutine.add_done_callback(_retrieve)
            self._handler_coroutine.add_done_callback(lambda _: self._linger())

    def connection_lost(self, error: Exception | None) -> None:
        """End; the reason is not passed on: who keeps it keeps the session by its traceback."""
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
        """Let go of what holds the session: else its memory awaits the garbage collector."""
        if self._handler_coroutine and not self._gone.done():
            return  # cancelled just when its handshake had ended: it goes with the process
        self._smtp_methods.clear()
        self._auth_methods.clear()
        self._client_connected_cb = self._reader = self._writer = None
        self._tls_protocol = self._original_transport = self._handler_coroutine = None
        self._connection = None

    def leave(self) -> None:
        """End the session: now if nothing would be lost, else after the transaction."""
        self._leaving = True
        if self._tls_protocol and self.session.ssl is None:
            self._original_transport.abort()  # amid the handshake
        elif not self._busy:
            self._leave_if_idle()

    def abort(self) -> None:
        """End the session at once, without a word."""
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
        """Leave the client, which may be waiting for nothing at all, little time to go.

        asyncio waits 30 seconds for the client's part in ending TLS; before Python 3.11, for ever.
        """
        if not self._gone.done():
            self._hung_up = True
            self._reset_timeout(_LINGER)

    def _watched(
        self, method: Callable[[str], Awaitable[None]]
    ) -> Callable[[str], Awaitable[None]]:
        """Know while a command is carried out, and leave afterwards if that is asked for."""

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
            self._reset_timeout()  # it is us who keep the client waiting
        else:
            _log.info("timeout exceeded by %s", client_name(self.session))
            self._hang_up(f"421 4.4.2 {self.hostname} Error: timeout exceeded")

    def data_received(self, data: bytes) -> None:
        """Put the end off as data come, by the time that they may take."""
        super().data_received(data)
        if self.receiving:
            now = self.loop.time()
            left = self._timeout_handle.when() - now + len(data) / _MIN_DATA_RATE
            self._reset_timeout(min(left, self._timeout_duration))


def _retrieve(session: asyncio.Task[None]) -> None:
    """Take note of how a session ended: connections are lost every day."""
    if not session.cancelled() and (error := session.exception()):
        if isinstance(error, ConnectionError):
            _log.debug("a session ended by %r", error)
        else:
            _log.error("a session ended by %r", error, exc_info=error)
        error.__traceback__ = None  # which holds the session
