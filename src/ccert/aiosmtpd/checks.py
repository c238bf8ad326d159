"""What must be true of a client before a hook of aiosmtpd's is called.

The texts of logs and replies, and the order of checks, are those of Postfix's smtpd(8).
"""

from __future__ import annotations

import functools
import logging
import uuid
from typing import TYPE_CHECKING, Any, cast

from ccert.aiosmtpd.session import attributes, client_name, log_decision, sender
from ccert.errors import CcertError
from ccert.postfix.log_lines import log_peer
from ccert.tls.peer import peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiosmtpd.smtp import SMTP

    from ccert.aiosmtpd.session import Envelope, Session
    from ccert.postfix.restrictions import Restrictions

    _Hook = Callable[..., Any]

__all__ = ["HOOKS", "Checks"]

_log = logging.getLogger("ccert")

_NOT_SECURE = "554 5.7.0 Command refused due to lack of security"  # RFC 3207, section 4.1
_UNKNOWN = "421 4.3.0 Cannot tell who you are; try again later"
_NO_TLS = "530 5.7.0 Must issue a STARTTLS command first"  # section 4

# aiosmtpd's hooks, and what is done before each
HOOKS = {
    "handle_STARTTLS": "_before_starttls",
    "handle_EHLO": "_before_ehlo",
    "handle_HELO": "_before_helo",
    "handle_MAIL": "_before_mail",
    "handle_RCPT": "_before_rcpt",
}


class Checks:
    """Checks of the clients of one handler.

    Args:
        restrictions: the tables and the policy service.
        require_trusted: refuse clients that are not TRUSTED.
    """

    def __init__(self, restrictions: Restrictions, *, require_trusted: bool) -> None:
        self._restrictions = restrictions
        self._require_trusted = require_trusted

    def before(self, name: str, hook: _Hook) -> _Hook:
        """Return a function that calls the hook of this name, if the client passes its check."""
        checked = functools.partial(getattr(self, HOOKS[name]), hook)
        if name == "handle_EHLO":
            functools.update_wrapper(checked, hook)  # aiosmtpd counts the hook's parameters
        return checked

    def _before_starttls(
        self, hook: _Hook, server: SMTP, session: Session, envelope: Envelope
    ) -> bool:
        """Check the client after its handshake."""
        if self._meet(server, session) and self._lacks_trust(session):
            log_decision("reject", session, "STARTTLS", _NOT_SECURE)
            return False
        return bool(hook(server, session, envelope))

    async def _before_ehlo(
        self,
        hook: _Hook,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        *responses: list[str],
    ) -> list[str] | str:
        """Check the client if the connection began with TLS."""
        if refusal := self._refusal(server, session, "EHLO", hostname):
            return [refusal] if responses else refusal
        return cast("list[str] | str", await hook(server, session, envelope, hostname, *responses))

    async def _before_helo(
        self, hook: _Hook, server: SMTP, session: Session, envelope: Envelope, hostname: str
    ) -> str:
        """Likewise."""
        refusal = self._refusal(server, session, "HELO", hostname)
        return refusal or cast("str", await hook(server, session, envelope, hostname))

    async def _before_mail(  # noqa: PLR0913, PLR0917 - aiosmtpd's signature
        self,
        hook: _Hook,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Refuse the sender if the client must be trusted but is not."""
        if self._lacks_trust(session):
            reply = _NO_TLS if session.ccert is None else _NOT_SECURE
            log_decision("reject", session, "MAIL", reply, **{"from": sender(address)})
            return reply
        return cast("str", await hook(server, session, envelope, address, options))

    async def _before_rcpt(  # noqa: PLR0913, PLR0917 - aiosmtpd's signature
        self,
        hook: _Hook,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Refuse the recipient if a table or the policy service does."""
        vars(envelope).setdefault("ccert_instance", uuid.uuid4().hex)
        action, headers, rule = await self._restrictions.decide(
            session.ccert,
            client_name(session),
            address,
            functools.partial(attributes, server, session, envelope, address),
        )
        ends = {"from": sender(envelope.mail_from), "to": address}
        if action.verb == "refuse":
            log_decision("reject", session, "RCPT", action.text, **ends)
            return action.text
        if rule:
            log_decision("permit", session, "RCPT", rule, **ends)
        answer = cast("str", await hook(server, session, envelope, address, options))
        if answer.startswith("250"):
            vars(envelope).setdefault("ccert_headers", []).extend(headers)
        return answer

    def _refusal(self, server: SMTP, session: Session, command: str, hostname: str) -> str:
        if not self._meet(server, session):
            return _UNKNOWN
        if session.ccert is not None and self._lacks_trust(session):
            log_decision("reject", session, command, _NOT_SECURE, helo=hostname)
            return _NOT_SECURE
        return ""

    def _meet(self, server: SMTP, session: Session) -> bool:
        """Set ``session.ccert``, once, and log the client; False: there is TLS, but no verdict.

        Such a session must not count as one without TLS, or a client could evade the tables so.
        """
        if hasattr(session, "ccert"):
            return True
        transport: Any = server.transport
        ssl_object = (
            session.ssl["ssl_object"] if session.ssl else transport.get_extra_info("ssl_object")
        )
        if ssl_object is None:
            session.ccert = None
            return True
        if transport.is_closing():  # a scanner, say, has gone already
            return False
        try:
            session.ccert = peer(ssl_object)
        except CcertError as error:
            _log.error("%s: cannot tell who this is: %s", client_name(session), error)
            return False
        log_peer(session.ccert, client_name(session))
        self._restrictions.log_new_key(session.ccert)
        return True

    def _lacks_trust(self, session: Session) -> bool:
        return self._require_trusted and not session.ccert
