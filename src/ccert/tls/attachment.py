"""Attach ccert to an ``ssl.SSLContext``: find the ``SSL_CTX`` behind it, hand over the settings.

Theory of operation: during a handshake, only C code runs (``csrc/verify.c``, ``csrc/session.c``).
The policy belongs to the ``SSL_CTX``, so this module keeps only what detaching and attaching again
need.
"""

from __future__ import annotations

import dataclasses
import os
import ssl
import threading
from typing import TYPE_CHECKING, Any

from ccert import _openssl
from ccert.errors import CcertError, ConfigError
from ccert.tls.connection import guarded
from ccert.tls.settings import (
    VERIFY_MODES,
    check_settings,
    warn_of_anchors,
)

if TYPE_CHECKING:
    from ccert.tls.settings import ClientCerts, TrustServerCcerts

__all__ = [
    "Stats",
    "attach",
    "attach_checked",
    "detach",
    "renew",
    "send_ca_names",
    "settings",
    "stats",
]


@dataclasses.dataclass
class _Attachment:
    ssl_ctx: Any  # cdata; lives as long as Python's context
    ask: bool
    trust_server_ccerts: TrustServerCcerts
    verify_depth: int
    sslobject_class: tuple[type, type]  # the original one, and ours
    sslsocket_class: tuple[type, type]


_MODES = {ssl.CERT_NONE: "none", ssl.CERT_OPTIONAL: "optional", ssl.CERT_REQUIRED: "require"}
_ATTRIBUTE = "_ccert_attachment"  # on the context; equal contexts would collide in a dict
_lock = threading.RLock()
os.register_at_fork(  # else a child could find it locked by a thread that it does not have
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)


@dataclasses.dataclass(frozen=True)
class Stats:
    """Counts of the verify callback's results since ccert was first attached to the context.

    Resumed sessions and clients without a certificate are not counted.

    Attributes:
        verified: certificates verified: trusted + untrusted.
        trusted: certificates that passed verification.
        trusted_as_server: those among the trusted that passed because of ``trust_server_ccerts``.
        untrusted: certificates that failed verification, whether or not the handshake went on.
    """

    verified: int
    trusted: int
    trusted_as_server: int
    untrusted: int


def attach(
    context: ssl.SSLContext,
    *,
    client_certs: ClientCerts | None = None,
    trust_server_ccerts: TrustServerCcerts = False,
    verify_depth: int = 9,
) -> None:
    """Attach ccert to a server context that you already have.

    Attach before serving.  You may attach again at any time; this replaces the settings and ends
    all sessions.  Do so after changing the context's CAs or CRLs.  From now on, sessions are kept
    in memory, with one ticket per handshake, unless you change ``context.options`` and
    ``context.num_tickets`` afterwards.  If an ``sni_callback`` switches a connection to another
    context, the connection leaves no session.  Attaching overwrites a verify callback that other
    code has registered with ``SSL_CTX_set_cert_verify_callback``, which OpenSSL does not let ccert
    detect, and an info callback.

    .. warning::
        See :class:`ServerContext` for what ``trust_server_ccerts`` and "ask" mean.

    Args:
        context: made with ``ssl.PROTOCOL_TLS_SERVER`` or
            ``ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)``.
        client_certs: as for :class:`ServerContext`; sets ``context.verify_mode``.  None: keep the
            context's own mode; a certificate that it refuses fails the handshake.
        trust_server_ccerts: as for :class:`ServerContext`.
        verify_depth: as for :class:`ServerContext`.

    ``attach()`` cannot tell whether any CA is trusted, and does not count the CAs of a directory
    that you loaded as ``capath``: OpenSSL reads them only when a chain needs them.  That look-up
    has a race: if several threads look up CAs with the same name (after a CA has changed its key)
    for the first time, OpenSSL may refuse chains that are trusted.  :class:`ServerContext` reads
    its ``capath`` at once.

    Raises:
        ConfigError: a setting is unusable, the context is for clients, or, with
            ``client_certs=None``, it asks for no certificate, so the settings would have no effect.
        TypeError: an argument is of the wrong type.
        UnsupportedRuntime: ``ssl`` runs on another copy of OpenSSL than ccert.

    Warns:
        UserWarning: ``trust_server_ccerts`` together with more than 20 trusted CAs.
        PublicCAWarning: ``trust_server_ccerts`` together with one of the system's CAs.
    """
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"attach() takes an ssl.SSLContext, not {type(context).__name__}")
    if context.protocol is not ssl.PROTOCOL_TLS_SERVER:
        raise ConfigError(
            f"attach() takes a server's context, this one is {context.protocol.name}: "
            "make it with ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)"
        )
    if client_certs is None and context.verify_mode is ssl.CERT_NONE:
        raise ConfigError(
            "the context asks for no client certificates (verify_mode is CERT_NONE), so attaching "
            'would have no effect: give client_certs="ask", "optional" or "require"'
        )
    # None: the context's own mode, checked above
    check_settings(
        "ask" if client_certs is None else client_certs, trust_server_ccerts, verify_depth
    )
    warn_of_anchors(trust_server_ccerts, context, stacklevel=3)
    attach_checked(context, client_certs, trust_server_ccerts, verify_depth)


def attach_checked(
    context: ssl.SSLContext,
    client_certs: str | None,
    trust_server_ccerts: TrustServerCcerts,
    verify_depth: int,
) -> None:
    """Attach with settings that have been checked; see attach()."""
    with _lock:
        known: _Attachment | None = vars(context).get(_ATTRIBUTE)
        attachment = known or _Attachment(
            ssl_ctx=_openssl.find_ssl_ctx(context),
            ask=False,
            trust_server_ccerts=False,
            verify_depth=0,
            sslobject_class=(context.sslobject_class, guarded(context.sslobject_class)),
            sslsocket_class=(context.sslsocket_class, guarded(context.sslsocket_class)),
        )
        # "ask" stays "ask" unless the application has changed the mode since
        keeps_asking = attachment.ask and context.verify_mode is ssl.CERT_OPTIONAL
        ask = client_certs == "ask" or (client_certs is None and keeps_asking)
        # The classes first: with a policy, and an object of ssl's own, "ask" is not what it says.
        context.sslobject_class = guarded(context.sslobject_class)
        context.sslsocket_class = guarded(context.sslsocket_class)
        setattr(context, _ATTRIBUTE, attachment)
        try:
            _openssl.install(
                attachment.ssl_ctx,
                trust_server_ccerts=trust_server_ccerts is True,
                observe=trust_server_ccerts == "observe",
                ask=ask,
                verify_depth=verify_depth,
            )
        except CcertError:
            if known is None:
                _forget(context, attachment)
            raise
        if client_certs is not None:
            context.verify_mode = VERIFY_MODES[client_certs]
        attachment.ask = ask
        attachment.trust_server_ccerts = trust_server_ccerts
        attachment.verify_depth = verify_depth


def detach(context: ssl.SSLContext) -> None:
    """Restore the behaviour of stock OpenSSL, except for ``verify_mode``, which stays.

    So after "ask", it is ``CERT_OPTIONAL``, which refuses untrusted certificates.  Sessions made
    while ccert was attached do not resume.

    Raises:
        ConfigError: ccert is not attached to the context.
    """
    with _lock:
        attachment = _attachment(context)
        _openssl.remove(attachment.ssl_ctx)
        _forget(context, attachment)


def _forget(context: ssl.SSLContext, attachment: _Attachment) -> None:
    for name in ("sslobject_class", "sslsocket_class"):
        before, ours = getattr(attachment, name)
        if getattr(context, name) is ours:
            setattr(context, name, before)
    delattr(context, _ATTRIBUTE)


def renew(context: ssl.SSLContext) -> None:
    """End the sessions of a context, if ccert is attached: its CAs or flags have changed."""
    with _lock:
        attachment: _Attachment | None = vars(context).get(_ATTRIBUTE)
        if attachment is not None:
            _openssl.renew(attachment.ssl_ctx)


def send_ca_names(context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """List the CAs that another context trusts in the CertificateRequest (RFC 8446, 4.2.4)."""
    with _lock:
        _openssl.send_ca_names(_openssl.find_ssl_ctx(context), _openssl.find_ssl_ctx(trusting))


def settings(context: ssl.SSLContext) -> dict[str, Any]:
    """Return the settings with which ccert is attached; {} if it is not."""
    attachment: _Attachment | None = vars(context).get(_ATTRIBUTE)
    if attachment is None:
        return {}
    asks = attachment.ask and context.verify_mode is ssl.CERT_OPTIONAL
    return {
        "client_certs": "ask" if asks else _MODES[context.verify_mode],
        "trust_server_ccerts": attachment.trust_server_ccerts,
        "verify_depth": attachment.verify_depth,
    }


def stats(context: ssl.SSLContext) -> Stats:
    """Read the counters of a context.

    Raises:
        ConfigError: ccert is not attached to the context.
    """
    return Stats(**_openssl.counters(_attachment(context).ssl_ctx))


def _attachment(context: ssl.SSLContext) -> _Attachment:
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"must be an ssl.SSLContext, not {type(context).__name__}")
    attachment: _Attachment | None = vars(context).get(_ATTRIBUTE)
    if attachment is None:
        raise ConfigError("ccert is not attached to this context")
    return attachment
