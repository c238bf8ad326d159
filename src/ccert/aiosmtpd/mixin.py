"""A base class for handlers of aiosmtpd that checks each client before a hook is called."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

from aiosmtpd.smtp import MISSING

from ccert.aiosmtpd.checks import HOOKS, Checks
from ccert.postfix.restrictions import Restrictions

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP

    from ccert.aiosmtpd.session import Envelope, Session
    from ccert.postfix.access_table import AccessTable
    from ccert.postfix.name_table import NameTable
    from ccert.postfix.policy import PolicyService

__all__ = ["CcertMixin"]

_OLD_EHLO = 4  # arguments of a hook as it was before aiosmtpd 1.3


class CcertMixin:
    """Lets a handler of aiosmtpd identify its TLS clients by their certificates.

    Put it first among the bases: ``class Handler(CcertMixin, Mailbox)``.  The client is checked
    before each of the hooks below, also if your own class defines the hook; whoever is refused does
    not get to your hook.

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
            base with hooks stands before this one.
    """

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for base in cls.__mro__[: cls.__mro__.index(CcertMixin)]:
            hides = vars(base).keys() & {*HOOKS, "__init__"}
            if hides and not issubclass(base, CcertMixin):
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
        ehlo = getattr(super(), "handle_EHLO", None)
        self._ehlo_is_old = ehlo and len(inspect.signature(ehlo).parameters) == _OLD_EHLO
        restrictions = Restrictions(
            check_ccert_access=check_ccert_access,
            relay_clientcerts=relay_clientcerts,
            relay_clientnames=relay_clientnames,
            policy_service=policy_service,
        )
        self._checks = Checks(restrictions, require_trusted=require_trusted)

    if not TYPE_CHECKING:  # it would hide wrong names from type checkers

        def __getattribute__(self, name: str) -> object:
            """Put the check before each hook, of whatever class, and however it got there."""
            value = super().__getattribute__(name)
            if name not in HOOKS:
                return value
            checks = vars(self).get("_checks")
            if checks is None:
                raise TypeError(f"{type(self).__name__}.__init__() must call super().__init__()")
            return checks.before(name, value)

    def handle_STARTTLS(self, server: SMTP, session: Session, envelope: Envelope) -> bool:
        """Accept the client after its handshake; False: it may only QUIT."""
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
        """Accept the greeting."""
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
        """Accept the greeting."""
        answer = await self._inherited("HELO", server, session, envelope, hostname)
        if answer is not MISSING:
            return cast("str", answer)
        session.host_name = hostname
        return f"250 {server.hostname}"

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept the sender."""
        answer = await self._inherited("MAIL", server, session, envelope, address, options)
        if answer is not MISSING:
            return cast("str", answer)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept the recipient."""
        answer = await self._inherited("RCPT", server, session, envelope, address, options)
        if answer is not MISSING:
            return cast("str", answer)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def _inherited(self, command: str, *args: object) -> object:
        hook = getattr(super(), f"handle_{command}", None)
        return MISSING if hook is None else await hook(*args)
