"""aiosmtpd's SMTP, hardened against untrusted clients.

- A message is written to a file as it arrives: memory does not grow with messages or lines.
- Addresses follow RFC 5321; aiosmtpd also decodes RFC 2047 words in them, even line breaks.
- Handshakes have a timeout, and use the current TLS context.
- There is no AUTH, because there are no user accounts.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import re
from typing import TYPE_CHECKING

from aiosmtpd import smtp

from ccert.aiosmtpd.session import client_name, log_decision
from ccert.server.address import parse_path
from ccert.server.smtp_commands import Commands
from ccert.server.smtp_ending import Ending, State
from ccert.server.smtp_message import Reception
from ccert.server.tls_protocol import TLS
from ccert.text import printable_ascii

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from typing import BinaryIO

    from ccert.server.config import Config

__all__ = ["SMTP", "Envelope"]

_log = logging.getLogger("ccert")

_JUNK_LIMIT = 100  # Postfix: smtpd_junk_command_limit
_ERROR_LIMIT = 20  # Postfix: smtpd_hard_error_limit
_COMMAND_LIMIT = 512  # octets: RFC 5321, 4.5.3.1.4
_RECIPIENT_LIMIT = 1000  # Postfix: smtpd_recipient_limit
_OVERSHOOT_LIMIT = 1000  # Postfix: smtpd_recipient_overshoot_limit

# RFC 3463, for those of aiosmtpd's replies that lack a code; others get X.0.0
_STATUS = {
    "451": "4.3.0", "500": "5.5.2", "501": "5.5.4", "502": "5.5.1", "503": "5.5.1",
    "530": "5.7.0", "552": "5.3.4", "554": "5.7.0", "555": "5.5.4",
}  # fmt: skip
_WORTH_A_LOG = ("530", "552")  # TLS is required; the message is too large
_WITHOUT_STATUS = re.compile(r"(?!220)[245]\d\d (?!\d\.\d{1,3}\.\d{1,3} )")  # 220: the greeting


class Envelope(smtp.Envelope):
    """A transaction, with the message as a file in place of ``content``.

    Attributes:
        message: the file; the code that delivers it must close it.
        size: of the message, in octets.
    """

    message: BinaryIO
    size: int


class SMTP(Ending):
    """A session.

    Args:
        handler: its hooks decide; ``handle_DATA`` delivers ``envelope.message``.
        config: limits and names.
        spool: the directory for messages that are being received.
        context: returns the current TLS context for STARTTLS; None: STARTTLS is not offered.
    """

    line_length_limit = 2**16  # more than RFC 5321, 4.5.3.1.6 requires (1000 octets)
    envelope: Envelope

    def __init__(
        self,
        handler: object,
        config: Config,
        *,
        spool: Path,
        context: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        super().__init__(
            handler,
            data_size_limit=config.message_size_limit,
            hostname=config.myhostname,
            ident="ESMTP ccert",
            tls_context=context() if context else None,
            require_starttls=config.smtpd_tls_security_level == "encrypt",
            timeout=config.smtpd_timeout,
            loop=asyncio.get_running_loop(),
        )
        self._context = context
        self._spool = spool
        self._starttls_timeout = config.smtpd_starttls_timeout
        self._limit_commands()
        self._junk = self._errors = self._overshoot = 0
        self._greeting = False  # answering HELO or EHLO
        self._lines: list[str] = []  # of a reply that goes on
        self._pipelined = False  # there was a reply since the client was heard last
        self._smtp_methods = Commands(self)

    def __dir__(self) -> list[str]:
        """Return nothing: aiosmtpd would look for commands there, for each connection."""
        return []

    def count_junk(self) -> None:
        """Count a junk command: each beyond a limit counts as an error."""
        self._junk += 1
        self._errors += self._junk > _JUNK_LIMIT

    def data_received(self, data: bytes) -> None:
        """Let the next reply be sent without a wait."""
        self._pipelined = False
        super().data_received(data)

    async def refuse(self, _argument: str) -> None:
        """Answer any other word."""
        await self.push("500 5.5.2 Error: command not recognized")

    async def push(self, status: str | bytes) -> None:
        """Send a reply as one line, whatever text it quotes, with an enhanced status code.

        The lines of a longer reply are sent together: each write is a TLS record and a packet.
        """
        self.check_open()
        text = status.decode("latin-1") if isinstance(status, bytes) else status
        if _WITHOUT_STATUS.match(text) and not self._greeting:
            text = f"{text[:3]} {_STATUS.get(text[:3], f'{text[0]}.0.0')} {text[4:]}"
            if text.startswith(_WORTH_A_LOG):
                log_decision("reject", self.session, "command", text)
        self._lines.append(printable_ascii(text))
        if text[3:4] == "-":
            return
        self._errors += text.startswith(("4", "5"))
        reply = "\r\n".join(self._lines)
        self._lines.clear()
        await super().push(reply)
        if self._pipelined:
            await asyncio.sleep(0)  # a client that pipelines must not block other sessions
        self._pipelined = True
        if self._errors >= _ERROR_LIMIT and not self.is_ending():
            _log.info("too many errors from %s", client_name(self.session))
            self._hang_up("421 4.7.0 Error: too many errors")
            if self._handler_coroutine:
                self._handler_coroutine.cancel()
                await asyncio.sleep(0)  # the cancellation takes effect here

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        return parse_path(arg) or (None, None)

    def _create_envelope(self) -> Envelope:
        return Envelope()

    @smtp.syntax("EHLO hostname")
    async def smtp_EHLO(self, hostname: str) -> None:
        """Answer without enhanced status codes (RFC 2034, section 4)."""
        await self._greet(super().smtp_EHLO(hostname))
        self._limit_commands()

    @smtp.syntax("HELO hostname")
    async def smtp_HELO(self, hostname: str) -> None:
        """Likewise."""
        await self._greet(super().smtp_HELO(hostname))

    def _limit_commands(self) -> None:
        """Set the lengths that commands may have, which aiosmtpd raises with each EHLO."""
        self.command_size_limits = collections.defaultdict(lambda: _COMMAND_LIMIT)
        self.command_size_limits["MAIL"] += 26 + 17  # RFC 1870, 3; RFC 6152, 2

    async def _greet(self, answering: Awaitable[None]) -> None:
        self._greeting = True
        try:
            await answering
        finally:
            self._greeting = False

    @smtp.syntax("RCPT TO: <address>", extended=" [SP <mail-parameters>]")
    async def smtp_RCPT(self, arg: str | None) -> None:
        """Add a recipient, up to a limit; "<>" is valid only as a sender.

        A recipient beyond the limit does not count as an error, because the client sends it again
        later; unless there are too many of them.
        """
        if (self._strip_command_keyword("TO:", arg or "") or "").startswith("<>"):
            await self.push("501 5.1.3 Bad recipient address syntax")
            return
        if len(self.envelope.rcpt_tos) >= _RECIPIENT_LIMIT:
            self._overshoot += 1
            self._errors -= self._overshoot <= _OVERSHOOT_LIMIT  # push() adds it again
            await self.push("452 4.5.3 Error: too many recipients")
            return
        await super().smtp_RCPT(arg)

    @smtp.syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str) -> None:
        """Do the handshake, with a timeout and the current context; otherwise as in aiosmtpd."""
        if arg:
            await self.push("501 5.5.4 Syntax: STARTTLS")
            return
        if self._context is None or self._tls_protocol:
            await self.push("503 5.5.1 Error: TLS is not to be had here, or already there")
            return
        await self.push("220 2.0.0 Ready to start TLS")
        tls = TLS(self, self._context(), self._starttls_timeout)
        self._tls_protocol = tls
        self._original_transport = self.transport
        self._original_transport.set_protocol(tls)
        self.transport = tls._app_transport  # noqa: SLF001 - aiosmtpd's way
        self._timeout_handle.cancel()
        tls.connection_made(self._original_transport)
        if not await tls.shake_hands(client_name(self.session)) or self.session.ssl is None:
            raise smtp.TLSSetupException  # failed, or aborted

    @smtp.syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:
        """Receive a message into a file, and let the handler deliver it."""
        if await self.check_helo_needed():
            return
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        reception = Reception(self._spool, self.data_size_limit or 0)
        try:
            self._amid_data = True
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            self.become(State.RECEIVING)
            await reception.receive(self._reader)
            self._amid_data = False
            self.check_open()  # a message that ends after the goodbye is not taken
        except BaseException:
            self.cut_off()
            reception.discard()
            raise
        finally:
            self.become(State.RUNNING)
        self._reset_timeout()
        status = reception.refusal
        try:
            if status:
                log_decision("reject", self.session, "DATA", status)
                reception.discard()
            else:
                self.envelope.message, self.envelope.size = reception.message, reception.size
                status = await self._call_handler_hook("DATA")
                if status.startswith("2"):
                    self._junk = self._errors = 0
        finally:
            self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(status)
