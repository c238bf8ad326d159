"""For aiosmtpd: who is at the other end of each session, and what that permits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

try:
    from aiosmtpd.smtp import MISSING
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"ccert.aiosmtpd needs {error.name}: pip install 'ccert[aiosmtpd]'", name=error.name
    ) from error

from ccert.errors import CcertError
from ccert.peer import Peer, peer
from ccert.verdict import Trust

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope
    from aiosmtpd.smtp import Session as _Session

    class Session(_Session):
        """With what the mixin adds."""

        ccert: Peer | None


__all__ = ["CcertMixin"]

_log = logging.getLogger("ccert")

_NOT_SECURE = "554 5.7.0 Command refused due to lack of security"  # RFC 3207, section 4.1
_NO_TLS = "530 5.7.0 Must issue a STARTTLS command first"  # section 4


class CcertMixin:
    """What a handler of aiosmtpd needs to know its TLS clients by their certificates.

    Put it first among the bases: ``class Handler(CcertMixin, Mailbox)``.  Where your own class has
    one of the hooks below, let it call ``super()``'s.

    ``session.ccert`` is the client's :class:`ccert.Peer` from EHLO or HELO on, with STARTTLS as
    well as with implicit TLS; None without TLS.  Logger ``ccert`` gets Postfix's summary line of
    each handshake, a line with the reason for each untrusted certificate and, if the setting is
    "observe", one that tells what the setting would change; the ``extra`` of each record has the
    facts (``ccert_trust``, ``ccert_subject``, … as in :meth:`ccert.Peer.policy_attributes`).

    Args:
        require_trusted: refuse to take mail from clients that are not TRUSTED, as RFC 3207,
            section 4.1, has it: 554 to every command but QUIT.  Without TLS: 530 to MAIL.
    """

    def __init__(self, *args: Any, require_trusted: bool = False, **kwargs: Any) -> None:  # noqa: ANN401 - the other bases'
        super().__init__(*args, **kwargs)
        self._require_trusted = require_trusted

    def handle_STARTTLS(self, server: SMTP, session: Session, envelope: Envelope) -> bool:  # noqa: N802
        """Look at the client after its handshake; False: it may only QUIT."""
        _meet(server, session)
        if self._lacks_trust(session):
            return False
        hook = getattr(super(), "handle_STARTTLS", None)
        return hook is None or bool(hook(server, session, envelope))

    async def handle_EHLO(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Look at the client if TLS was there from the start."""
        _meet(server, session)
        if session.ccert and self._lacks_trust(session):
            return [_NOT_SECURE]
        answer = await self._inherited("EHLO", server, session, envelope, hostname, responses)
        if answer is not MISSING:
            return cast("list[str]", answer)
        session.host_name = hostname
        return responses

    async def handle_HELO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str
    ) -> str:
        """Look at the client if TLS was there from the start."""
        _meet(server, session)
        if session.ccert and self._lacks_trust(session):
            return _NOT_SECURE
        answer = await self._inherited("HELO", server, session, envelope, hostname)
        if answer is not MISSING:
            return cast("str", answer)
        session.host_name = hostname
        return f"250 {server.hostname}"

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse the sender if the client should be trusted, and is not."""
        if self._lacks_trust(session):
            return _NOT_SECURE if session.ccert else _NO_TLS
        answer = await self._inherited("MAIL", server, session, envelope, address, options)
        if answer is not MISSING:
            return cast("str", answer)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def _inherited(self, command: str, *args: object) -> object:
        hook = getattr(super(), f"handle_{command}", None)
        return MISSING if hook is None else await hook(*args)

    def _lacks_trust(self, session: Session) -> bool:
        trusted = session.ccert is not None and session.ccert.trust is Trust.TRUSTED
        return self._require_trusted and not trusted


def _meet(server: SMTP, session: Session) -> None:
    """Set ``session.ccert``, once, and log whom we met."""
    if hasattr(session, "ccert"):
        return
    session.ccert = None
    transport: Any = server.transport
    ssl_object = (
        session.ssl["ssl_object"] if session.ssl else transport.get_extra_info("ssl_object")
    )
    if ssl_object is None:
        return
    try:
        session.ccert = peer(ssl_object)
    except CcertError as error:
        _log.error("%s: cannot tell who this is: %s", client_name(session), error)
    else:
        _log_peer(session.ccert, client_name(session))


def client_name(session: Session) -> str:
    """Name the client as Postfix does where it has not looked up the name: "unknown[192.0.2.1]"."""
    return f"unknown[{session.peer[0]}]" if session.peer else "unknown"


def _log_peer(found: Peer, client: str) -> None:
    facts = {
        "ccert_client": client,
        "ccert_trust": found.trust.value,
        "ccert_trusted_as_server": found.trusted_as_server,
        "ccert_error_code": found.error_code,
        **found.policy_attributes(),
    }
    _log.info("%s", found.summary(client), extra=facts)
    if found.trust is Trust.UNTRUSTED:
        _log.info(
            "%s certificate verification failed for %s: num=%d:%s",
            "CA" if found.error_depth else "client", client, found.error_code, found.error,
            extra=facts,
        )  # fmt: skip
    if found.would_be is None or found.would_be.trust is found.trust:
        return
    _log.warning(
        "trust_server_ccerts would make %s %s: subject %r, issuer %r, public key %s",
        client, found.would_be.trust.value, found.would_be.subject, found.would_be.issuer,
        found.pubkey_fingerprint, extra=facts,
    )  # fmt: skip
