"""How a session of aiosmtpd ends: no wait is unlimited, and no transaction is cut off needlessly.

A client has limited time for a command, and must send data at a minimal rate, as with Postfix's
``smtpd_per_request_deadline``.  A client that does not read the last reply is cut off.  At
shutdown, a session ends at once if it is idle, otherwise after its transaction.

The states of a session, see :class:`State`::

    IDLE <-> RUNNING <-> RECEIVING
      any of these -> LINGERING -> GONE
"""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import TYPE_CHECKING, Any

from aiosmtpd import smtp

from ccert.aiosmtpd.session import client_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccert.aiosmtpd import Session

__all__ = ["Ending", "State"]

_log = logging.getLogger("ccert")

_MIN_DATA_RATE = 500  # octets a second; Postfix: smtpd_min_data_rate
_LINGER = 3  # seconds for a client to read the last reply


class State(enum.Enum):
    """What a session is doing."""

    IDLE = "waiting for a command"
    RUNNING = "running a command"
    RECEIVING = "receiving a message"
    LINGERING = "waiting for the client to close"
    GONE = "closed"


class Ending(smtp.SMTP):
    """aiosmtpd's SMTP with limits on how a session ends.

    Attributes:
        state: a :class:`State`; change it by :meth:`become`.
    """

    session: Session
    transport: Any  # aiosmtpd puts either kind of transport there, or None at the end
    _original_transport: Any
    _connection: Any  # the transport below TLS; abort() works on it even if TLS is waiting
    _reader: Any
    _writer: Any
    _timeout_handle: asyncio.TimerHandle  # or None, at first

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - aiosmtpd's
        super().__init__(*args, **kwargs)
        self.state = State.IDLE
        self._leaving = False  # the server is shutting down
        self._amid_data = False  # what comes is a message's text; this outlasts an error
        self._gone = self.loop.create_future()

    def __repr__(self) -> str:
        client = client_name(self.session) if self.session else "nobody yet"
        leaving = ", leaving" if self._leaving else ""
        return f"<{type(self).__name__} {client}: {self.state.value}{leaving}>"

    def become(self, state: State) -> None:
        """Change the state; nothing but GONE comes after LINGERING, and nothing after GONE."""
        if self.state is State.GONE or (self.state is State.LINGERING and state is not State.GONE):
            return
        self.state = state

    def is_ending(self) -> bool:
        """Return whether the last reply has been sent, or the connection is closed."""
        return self.state is State.LINGERING or self.state is State.GONE

    def check_open(self) -> None:
        """Raise ConnectionResetError after the last reply: what a client pipelined is not run.

        aiosmtpd closes the connection and reads on; TLS then closes later.
        """
        if self.is_ending() or self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the session has ended")

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
        if self.state is not State.GONE:
            self.become(State.GONE)
            if not self._gone.done():  # shutdown_timeout has cancelled who waited
                self._gone.set_result(None)
            super().connection_lost(None)

    async def ended(self) -> None:
        """Wait for the end."""
        await self._gone
        if self._handler_coroutine:
            await asyncio.wait([self._handler_coroutine])

    def untie(self) -> None:
        """Break reference cycles, so that memory is freed without the garbage collector."""
        if self._handler_coroutine and self.state is not State.GONE:
            return  # cancelled right after its handshake, at shutdown: the process ends anyway
        self._smtp_methods = {}
        self._auth_methods.clear()
        self._client_connected_cb = self._reader = self._writer = None
        self._tls_protocol = self._original_transport = self._handler_coroutine = None
        self._connection = None

    def leave(self) -> None:
        """End the session: now if there is no transaction, otherwise after it."""
        self._leaving = True
        if self._tls_protocol and self.session.ssl is None:
            self._original_transport.abort()  # during the handshake
        elif self.state is State.IDLE:
            self._end_unless_in_transaction()

    def abort(self) -> None:
        """End the session at once, without a reply."""
        if self.state is not State.GONE:
            self._connection.abort()

    def cut_off(self) -> None:
        """End the session at once, amid a message."""
        if not self.is_ending():
            self.abort()

    def _end_unless_in_transaction(self) -> None:
        if self.envelope is None or self.envelope.mail_from is None:
            self._hang_up(f"421 4.3.2 {self.hostname} Server shutting down")

    def _hang_up(self, reply: str) -> None:
        if self.is_ending():
            return
        if not self.transport.is_closing():
            self._writer.write(f"{reply}\r\n".encode())
            self.transport.close()
        self._linger()

    def _linger(self) -> None:
        """Give the client, which may not be reading at all, little time to close.

        asyncio waits 30 seconds for the client's close_notify; before Python 3.11, for ever.
        """
        if self.state is not State.GONE:
            self.become(State.LINGERING)
            self._reset_timeout(_LINGER)

    async def run(self, command: Callable[[Any, str], Awaitable[None]], argument: str) -> None:
        """Run a command, and keep the state; end after it if leave() was called.

        After an error amid a message, its text is no command, even if there was no memory to end.
        """
        if self._amid_data:
            raise ConnectionResetError("this is the text of a message")
        self.check_open()
        self.become(State.RUNNING)
        try:
            await command(self, argument)
        finally:
            self.become(State.IDLE)
        if self._leaving:
            self._end_unless_in_transaction()

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Move the deadline; a timer that runs out before it is left alone, and set again then."""
        self._deadline = self.loop.time() + (duration or self._timeout_duration)
        timer = self._timeout_handle
        if timer is None or timer.cancelled() or timer.when() > self._deadline:
            super()._reset_timeout(duration)

    def _timeout_cb(self) -> None:
        self._timeout_handle.cancel()  # it has run out: _reset_timeout() sets it again
        left = self._deadline - self.loop.time()
        if left > 0:
            self._reset_timeout(left)
        elif self.is_ending():
            self.abort()
        elif self.state is State.RUNNING and not self.transport.get_write_buffer_size():
            self._reset_timeout()  # the client is waiting for us
        else:
            _log.info("timeout exceeded by %s", client_name(self.session))
            self._hang_up(f"421 4.4.2 {self.hostname} Error: timeout exceeded")

    def data_received(self, data: bytes) -> None:
        """Extend the timeout for received data by the time that it may take."""
        super().data_received(data)
        if self.state is State.RECEIVING:
            left = self._deadline - self.loop.time() + len(data) / _MIN_DATA_RATE
            self._reset_timeout(min(left, self._timeout_duration))


def _retrieve(session: asyncio.Task[None]) -> None:
    """Log how a session ended; a lost connection is normal, so only at debug level."""
    if not session.cancelled() and (error := session.exception()):
        if isinstance(error, ConnectionError):
            _log.debug("a session ended by %r", error)
        else:
            _log.error("a session ended by %r", error, exc_info=error)
        error.__traceback__ = None  # it would keep the session alive
