"""Decide about each message by the client's verdict, then deliver it into the Maildir."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import TLSSetupException

from ccert.aiosmtpd import CcertMixin
from ccert.aiosmtpd.session import client_name, sender
from ccert.postfix.access_table import AccessTable
from ccert.postfix.name_table import NameTable
from ccert.postfix.policy import PolicyService
from ccert.server.deliveries import Deliveries
from ccert.server.maildir import refusal
from ccert.server.received import Trace
from ccert.text import one_word

if TYPE_CHECKING:
    from ccert.aiosmtpd import Envelope as _Envelope
    from ccert.aiosmtpd import Session
    from ccert.server.config import Config
    from ccert.server.maildir import Maildir
    from ccert.server.smtp import SMTP, Envelope

__all__ = ["Handler"]

_log = logging.getLogger("ccert")

# the search order of Postfix's check_ccert_access
_ACCESS = {"search_order": ("cert_fingerprint", "pubkey_fingerprint"), "actions": True}
_MAX_RECIPIENTS = 1000  # characters


class _Delivery:
    def __init__(self, maildir: Maildir, *, asked: bool) -> None:
        self.deliveries = Deliveries(maildir)
        self._asked = asked

    async def handle_EHLO(
        self,
        server: SMTP,  # noqa: ARG002 - aiosmtpd's signature
        session: Session,
        envelope: _Envelope,  # noqa: ARG002 - likewise
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Offer enhanced status codes (RFC 2034), but not AUTH, which is not supported."""
        session.host_name = hostname
        *first, last = [line for line in responses if not line.startswith("250-AUTH")]
        return [*first, "250-ENHANCEDSTATUSCODES", last]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Deliver; 250 means that the message is on disk."""
        identifier = secrets.token_hex(6).upper()
        client = client_name(session)
        headers = Trace(
            helo=session.host_name or "",
            address=session.peer[0] if session.peer else "",
            protocol="ESMTP" if session.extended_smtp else "SMTP",
            peer=session.ccert,
            asked=self._asked,
            hostname=server.hostname,
            id=identifier,
            sender=sender(envelope.mail_from),
            recipients=envelope.rcpt_tos,
        ).lines(getattr(envelope, "ccert_headers", ()))
        try:
            name = await self.deliveries.deliver(headers, envelope.message)
        except OSError as error:
            _log.error(
                "%s: from <%s>, %s: not delivered: %s",
                identifier,
                one_word(sender(envelope.mail_from)),
                client,
                error,
            )
            return refusal(error)
        _log.info(
            "%s: client=%s, trust=%s, from=<%s>, to=%s, size=%d, delivered as %s",
            identifier,
            client,
            session.ccert.trust if session.ccert is not None else "None",
            one_word(sender(envelope.mail_from)),
            _recipients(envelope.rcpt_tos),
            envelope.size,
            name,
        )
        return f"250 2.0.0 Ok: delivered as {identifier}"

    async def handle_exception(self, error: Exception) -> str:
        """Log an internal error; the client will try again."""
        if not isinstance(error, TLSSetupException):  # which is logged where it happens
            _log.error("internal error: %r", error, exc_info=error)
        return "451 4.3.0 Error: internal error"


def _recipients(addresses: list[str]) -> str:
    """List the recipients for a log line, truncated to a reasonable length."""
    text = ",".join(f"<{one_word(address)}>" for address in addresses)
    if len(text) <= _MAX_RECIPIENTS:
        return text
    return f"{text[:_MAX_RECIPIENTS]}... ({len(addresses)} recipients)"


class Handler(CcertMixin, _Delivery):
    """The hooks for all sessions of a worker.

    Args:
        config: names the tables and the policy service.
        maildir: where to deliver.

    Attributes:
        deliveries: must be running while there are clients.
        tables: by parameter; tables also reload themselves when their files have changed.

    Raises:
        ConfigError: a table or a parameter of the policy service is unusable.
    """

    def __init__(self, config: Config, maildir: Maildir) -> None:
        self.tables: dict[str, AccessTable | NameTable] = {}
        self._policy_service: PolicyService | None = None
        if config.check_policy_service:
            self._policy_service = PolicyService(
                config.check_policy_service,
                timeout=config.smtpd_policy_service_timeout,
                default_action=config.smtpd_policy_service_default_action,
            )
        super().__init__(
            maildir,
            asked=config.smtpd_tls_ask_ccert,
            require_trusted=config.require_trusted,
            check_ccert_access=self._table("check_ccert_access", config, **_ACCESS),
            relay_clientcerts=self._table("relay_clientcerts", config),
            relay_clientnames=self._name_table(config),
            policy_service=self._policy_service,
        )

    def _table(self, name: str, config: Config, **how: Any) -> AccessTable | None:  # noqa: ANN401 - AccessTable's
        path = getattr(config, name)
        if not path:
            return None
        table = self.tables[name] = AccessTable(path, **how)
        return table

    def _name_table(self, config: Config) -> NameTable | None:
        if not config.relay_clientnames:
            return None
        table = self.tables["relay_clientnames"] = NameTable(config.relay_clientnames)
        return table

    def __dir__(self) -> list[str]:
        """Return the hooks, which aiosmtpd looks for at each connection."""
        return _HOOKS

    async def close(self) -> None:
        """Close the connections to the policy service."""
        if self._policy_service:
            await self._policy_service.close()


_HOOKS = [name for name in dir(Handler) if name.startswith("handle_")]
