"""Hooks that identify each client, and decide what it may do.

The texts of logs and replies, and the order of checks, are those of Postfix's smtpd(8).
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, cast

from aiosmtpd.smtp import MISSING

from ccert.aiosmtpd.session import attributes, client_name, log_decision, sender
from ccert.errors import CcertError
from ccert.postfix.log_lines import log_peer
from ccert.postfix.restrictions import Restrictions
from ccert.tls.peer import peer

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP

    from ccert.aiosmtpd.session import Envelope, Session
    from ccert.postfix.access_table import AccessTable
    from ccert.postfix.name_table import NameTable
    from ccert.postfix.policy import PolicyService

__all__ = ["CcertMixin"]

_log = logging.getLogger("ccert")

_NOT_SECURE = "554 5.7.0 Command refused due to lack of security"  # RFC 3207, section 4.1
_UNKNOWN = "421 4.3.0 Cannot tell who you are; try again later"
_NO_TLS = "530 5.7.0 Must issue a STARTTLS command first"  # section 4

_HOOKS = ("__init__", *(f"handle_{word}" for word in ("STARTTLS", "EHLO", "HELO", "MAIL", "RCPT")))
_OLD_EHLO = 4  # arguments of a hook as it was before aiosmtpd 1.3


class CcertMixin:
    """Lets a handler of aiosmtpd identify its TLS clients by their certificates.

    Put it first among the bases: ``class Handler(CcertMixin, Mailbox)``.  If your own class defines
    one of the hooks below, it must call ``super()``'s.

    ``session.ccert`` is the client's :class:`ccert.Peer` from EHLO or HELO on, with STARTTLS as
    well as with implicit TLS; it is None without TLS.  If there is TLS but no verdict, for example
    because ccert is not attached to the context, the reply to EHLO and HELO is 421.  The client is
    logged as Postfix does.

    At RCPT, ``check_ccert_access``, ``relay_clientcerts``, ``relay_clientnames`` and
    ``policy_service`` are consulted in this order, until one permits or refuses.  The headers of
    PREPEND actions are in ``envelope.ccert_headers``, a list of str without line ends; the code
    that delivers the message (``handle_DATA``) must put them on top.

    Args:
        require_trusted: refuse mail from clients that are not TRUSTED, as in RFC 3207, section 4.1:
            554 to every command but QUIT; with implicit TLS, to EHLO and HELO.  Without TLS: 530 to
            MAIL.
        check_ccert_access: a table of actions (made with ``actions=True``).
        relay_clientcerts: a table of keys that may send.
        relay_clientnames: a table of hosts that may send.  With this or the one above, clients that
            are in neither, and that nobody else permits, may not.
        policy_service: the policy service, consulted last.

    Raises:
        ConfigError: ``check_ccert_access`` is no table of actions.
        TypeError: an argument is of the wrong type or unknown.  When a class is defined: another
            base with hooks stands before this one, or a hook does not call ``super()``'s.
    """

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for name in _HOOKS:
            _check_calls_super(cls, name)
        for base in cls.__mro__[: cls.__mro__.index(CcertMixin)]:
            if not issubclass(base, CcertMixin) and any(hook in vars(base) for hook in _HOOKS):
                raise TypeError(
                    f"class {cls.__name__}: CcertMixin must stand before {base.__name__}, as in "
                    f"class {cls.__name__}(CcertMixin, {base.__name__})"
                )

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - the other bases'
        require_trusted: bool = False,
        check_ccert_access: AccessTable | None = None,
        relay_clientcerts: AccessTable | None = None,
        relay_clientnames: NameTable | None = None,
        policy_service: PolicyService | None = None,
        **kwargs: Any,  # noqa: ANN401 - likewise
    ) -> None:
        if (args or kwargs) and getattr(super().__init__, "__objclass__", None) is object:
            raise TypeError(
                f"{type(self).__name__}() got unexpected arguments: "
                f"{', '.join([*map(repr, args), *kwargs])}"
            )
        super().__init__(*args, **kwargs)
        if not isinstance(require_trusted, bool):
            raise TypeError(f"require_trusted must be True or False, not {require_trusted!r}")
        self._require_trusted = require_trusted
        ehlo = getattr(super(), "handle_EHLO", None)
        self._ehlo_is_old = ehlo and len(inspect.signature(ehlo).parameters) == _OLD_EHLO
        self._restrictions = Restrictions(
            check_ccert_access=check_ccert_access,
            relay_clientcerts=relay_clientcerts,
            relay_clientnames=relay_clientnames,
            policy_service=policy_service,
        )

    def handle_STARTTLS(self, server: SMTP, session: Session, envelope: Envelope) -> bool:
        """Check the client after its handshake; False: it may only QUIT."""
        if self._meet(server, session) and self._lacks_trust(session):
            log_decision("reject", session, "STARTTLS", _NOT_SECURE)
            return False
        hook = getattr(super(), "handle_STARTTLS", None)
        return hook is None or bool(hook(server, session, envelope))

    async def handle_EHLO(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Check the client if the connection began with TLS."""
        if not self._meet(server, session):
            return [_UNKNOWN]
        if session.ccert is not None and self._lacks_trust(session):
            log_decision("reject", session, "EHLO", _NOT_SECURE, helo=hostname)
            return [_NOT_SECURE]
        hook = getattr(super(), "handle_EHLO", None)
        if hook is None:
            session.host_name = hostname
            return responses
        arguments = (server, session, envelope, hostname)
        if self._ehlo_is_old:  # it returns the last line
            return [*responses[:-1], cast("str", await hook(*arguments))]
        return cast("list[str]", await hook(*arguments, responses))

    async def handle_HELO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str
    ) -> str:
        """Check the client if the connection began with TLS."""
        if not self._meet(server, session):
            return _UNKNOWN
        if session.ccert is not None and self._lacks_trust(session):
            log_decision("reject", session, "HELO", _NOT_SECURE, helo=hostname)
            return _NOT_SECURE
        answer = await self._inherited("HELO", server, session, envelope, hostname)
        if answer is not MISSING:
            return cast("str", answer)
        session.host_name = hostname
        return f"250 {server.hostname}"

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse the sender if the client must be trusted but is not."""
        if self._lacks_trust(session):
            reply = _NO_TLS if session.ccert is None else _NOT_SECURE
            log_decision("reject", session, "MAIL", reply, **{"from": sender(address)})
            return reply
        answer = await self._inherited("MAIL", server, session, envelope, address, options)
        if answer is not MISSING:
            return cast("str", answer)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse the recipient if a table or the policy service does."""
        action, headers, rule = await self._restrictions.decide(
            session.ccert, client_name(session), attributes(server, session, envelope, address)
        )
        ends = {"from": sender(envelope.mail_from), "to": address}
        if action.verb == "refuse":
            log_decision("reject", session, "RCPT", action.text, **ends)
            return action.text
        if rule:
            log_decision("permit", session, "RCPT", rule, **ends)
        answer = await self._inherited("RCPT", server, session, envelope, address, options)
        if answer is MISSING:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
            answer = "250 2.1.5 Ok"
        if cast("str", answer).startswith("250"):
            vars(envelope).setdefault("ccert_headers", []).extend(headers)
        return cast("str", answer)

    async def _inherited(self, command: str, *args: object) -> object:
        hook = getattr(super(), f"handle_{command}", None)
        return MISSING if hook is None else await hook(*args)

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


def _check_calls_super(cls: type, name: str) -> None:
    """Raise TypeError if a class replaces a method of the mixin, so that nothing is checked.

    A method that names no class that has the original cannot call it.
    """
    if name not in vars(cls):
        return
    method = vars(cls)[name]
    code = getattr(inspect.unwrap(method), "__code__", None) if callable(method) else None
    ours = {base.__name__ for base in cls.__mro__[1:] if issubclass(base, CcertMixin)}
    if code is None or not {"super", "__class__", *ours} & {*code.co_names, *code.co_freevars}:
        raise TypeError(
            f"class {cls.__name__}: {name}() must call super().{name}(), or clients are not checked"
        )
