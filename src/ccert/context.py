"""Set up an ``SSL_CTX`` so that OpenSSL trusts client certificates that are for servers only.

Theory of operation: everything that happens in a handshake happens in C (``csrc/verify.c``,
``csrc/session.c``).  Here the settings are checked, the ``SSL_CTX`` behind Python's context is
found, and both are handed over.
"""

from __future__ import annotations

import dataclasses
import os
import ssl
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Literal

from ccert import _openssl
from ccert.errors import ConfigError
from ccert.files import anchors_in_directory, load_anchors, load_identity
from ccert.objects import remembering

if TYPE_CHECKING:
    from ccert.files import Password, StrPath

__all__ = ["ServerContext", "Stats", "attach", "detach", "stats"]

ClientCerts = Literal["ask", "optional", "require"]

_VERIFY_MODES = {
    "ask": ssl.CERT_OPTIONAL,
    "optional": ssl.CERT_OPTIONAL,
    "require": ssl.CERT_REQUIRED,
}
_CLIQUE_SIZE = 20
_MAX_DEPTH = 2**31 - 2


@dataclasses.dataclass
class _Attachment:
    ssl_ctx: Any  # cdata; lives as long as Python's context
    ask: bool
    sslobject_class: type  # as they were before
    sslsocket_class: type


_attachments: weakref.WeakKeyDictionary[ssl.SSLContext, _Attachment] = weakref.WeakKeyDictionary()
_lock = threading.RLock()


@dataclasses.dataclass(frozen=True)
class Stats:
    """How often the callback decided since ccert was first attached to the context.

    Resumed sessions and clients without a certificate do not come by it.

    Attributes:
        verified: certificates looked at: trusted + untrusted.
        trusted: of these, verification accepted.
        trusted_as_server: of the trusted, accepted because of ``trust_server_ccerts``.
        untrusted: of these, verification refused, whether or not the handshake went on.
    """

    verified: int
    trusted: int
    trusted_as_server: int
    untrusted: int


class ServerContext(ssl.SSLContext):
    """An ``ssl.SSLContext`` for servers that look at their clients' certificates.

    asyncio, uvloop, trio, aiosmtpd and plain sockets take it like any other.  It trusts no CA but
    those given here, forbids renegotiation and keeps sessions in memory (one ticket a handshake);
    ``ssl``'s own attributes change that afterwards.

    .. warning::
        ``trust_server_ccerts=True`` is for a small clique of mail servers that know each other,
        with few CAs.  A public CA issues serverAuth certificates to everybody: trusting one means
        that every host on the Internet is Trusted.  What you then learn is a name, not a
        permission.  Better: leave it off and know your peers by ``Peer.pubkey_fingerprint``.

    .. warning::
        ``client_certs="ask"``, the default, completes the handshake whatever the certificate, so
        that no mail is lost.  ``getpeercert()`` and ``get_verified_chain()`` then return data of
        untrusted certificates, too.  Ask :func:`ccert.peer` for the verdict.

    Args:
        certfile: the server's certificate chain, PEM.
        keyfile: its private key, PEM; None: in ``certfile``.
        password: of the key, as for ``ssl.SSLContext.load_cert_chain``; an encrypted key without a
            password is an error, never a prompt.
        cafile: trusted CAs, PEM; also named to clients, so that they choose a fitting certificate.
        capath: trusted CAs, a directory made by ``openssl rehash``.
        cadata: trusted CAs, PEM text or DER bytes.
        client_certs: "ask" as above (Postfix: ``smtpd_tls_ask_ccert``); "optional": a handshake
            with an untrusted certificate fails, one without a certificate does not
            (``ssl.CERT_OPTIONAL``); "require": both fail (``ssl.CERT_REQUIRED``).
        trust_server_ccerts: verify a certificate whose extended key usage lists serverAuth but not
            clientAuth as a server's (Postfix 3.12: ``tls_trust_server_ccerts``).
        verify_depth: as Postfix's ``smtpd_tls_ccert_verifydepth``, which OpenSSL reads as one more:
            with 9, ten intermediate CAs pass.

    Raises:
        ConfigError: a file or a setting is unusable, or would have no effect.
        TypeError: ``trust_server_ccerts`` is no bool, or ``verify_depth`` no int.
        UnsupportedRuntime: see :func:`attach`.

    Warns:
        UserWarning: ``trust_server_ccerts`` together with more than 20 trusted CAs.
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> ServerContext:  # noqa: ANN401, D102, PYI034
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(  # noqa: PLR0913 - names are Postfix's and ssl's
        self,
        certfile: StrPath,
        keyfile: StrPath | None = None,
        password: Password = None,
        *,
        cafile: StrPath | None = None,
        capath: StrPath | None = None,
        cadata: str | bytes | None = None,
        client_certs: ClientCerts = "ask",
        trust_server_ccerts: bool = False,
        verify_depth: int = 9,
    ) -> None:
        _check_settings(client_certs, trust_server_ccerts, verify_depth)
        if cafile is None and capath is None and cadata is None:
            _check_effect_without_anchors(client_certs, trust_server_ccerts)
        load_identity(self, certfile, keyfile, password)
        load_anchors(self, cafile, capath, cadata)
        self.options |= ssl.OP_NO_RENEGOTIATION
        anchors = self.cert_store_stats()["x509"] + (anchors_in_directory(capath) if capath else 0)
        _attach(
            self,
            client_certs,
            trust_server_ccerts,
            verify_depth,
            anchors=anchors,
            sources=b"\0".join(os.fsencode(path or "") for path in (cafile, capath)),
        )
        _openssl.send_ca_names(_attachments[self].ssl_ctx)


def attach(
    context: ssl.SSLContext,
    *,
    client_certs: ClientCerts | None = None,
    trust_server_ccerts: bool = False,
    verify_depth: int = 9,
) -> None:
    """Attach ccert to a server context that you already have.

    Do so before serving.  Attaching again replaces the settings, at any time, safely, and flushes
    the sessions; do that after changing the context's CAs or CRLs.  Sessions are kept in memory
    from now on, with one ticket a handshake, unless you change ``context.options`` and
    ``context.num_tickets`` afterwards.  A verify callback that somebody else registered with
    ``SSL_CTX_set_cert_verify_callback`` is overwritten; OpenSSL does not let us see it.

    .. warning::
        See :class:`ServerContext` for what ``trust_server_ccerts`` and "ask" mean.

    Args:
        context: made with ``ssl.PROTOCOL_TLS_SERVER`` or
            ``ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)``.
        client_certs: as for :class:`ServerContext`, and sets ``context.verify_mode``; None: the
            context's own mode stays, and what it refuses fails the handshake.
        trust_server_ccerts: as for :class:`ServerContext`.
        verify_depth: as for :class:`ServerContext`.

    Raises:
        ConfigError: a setting is unusable, or the context is for clients or, with
            ``client_certs=None``, asks for no certificate: the setting would have no effect.
        TypeError: an argument is of the wrong type.
        UnsupportedRuntime: ``ssl`` runs on another copy of OpenSSL than ccert.

    Warns:
        UserWarning: ``trust_server_ccerts`` together with more than 20 trusted CAs.
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
    _check_settings(client_certs, trust_server_ccerts, verify_depth)
    anchors = context.cert_store_stats()["x509"]
    _attach(context, client_certs, trust_server_ccerts, verify_depth, anchors=anchors, sources=b"")


def _check_settings(
    client_certs: str | None,
    trust_server_ccerts: object,
    verify_depth: object,
) -> None:
    if client_certs is not None and client_certs not in _VERIFY_MODES:
        raise ConfigError(
            f'client_certs must be "ask", "optional" or "require", not {client_certs!r}'
        )
    if not isinstance(trust_server_ccerts, bool):
        raise TypeError(f"trust_server_ccerts must be True or False, not {trust_server_ccerts!r}")
    if not isinstance(verify_depth, int) or isinstance(verify_depth, bool):
        raise TypeError(f"verify_depth must be an int, not {verify_depth!r}")
    if not 0 <= verify_depth <= _MAX_DEPTH:
        raise ConfigError(f"verify_depth must be 0 or more, not {verify_depth}")


def _check_effect_without_anchors(client_certs: str, trust_server_ccerts: bool) -> None:
    if trust_server_ccerts:
        raise ConfigError(
            "trust_server_ccerts=True has no effect without a trusted CA: "
            "give cafile, capath or cadata"
        )
    if client_certs != "ask":
        raise ConfigError(
            f'client_certs="{client_certs}" refuses every certificate without a trusted CA: '
            "give cafile, capath or cadata"
        )


def _attach(  # noqa: PLR0913
    context: ssl.SSLContext,
    client_certs: str | None,
    trust_server_ccerts: bool,
    verify_depth: int,
    *,
    anchors: int,
    sources: bytes,
) -> None:
    if trust_server_ccerts and anchors > _CLIQUE_SIZE:
        warnings.warn(
            f"trust_server_ccerts with {anchors} trusted CAs: a clique trusts a few, not the "
            "WebPKI, whose CAs issue such certificates to everybody",
            stacklevel=3,
        )
    with _lock:
        attachment = _attachments.get(context) or _Attachment(
            ssl_ctx=_ssl_ctx(context),
            ask=False,
            sslobject_class=context.sslobject_class,
            sslsocket_class=context.sslsocket_class,
        )
        # "ask" stays "ask" unless the mode was changed: then that is the newer wish
        keeps_asking = attachment.ask and context.verify_mode is ssl.CERT_OPTIONAL
        ask = client_certs == "ask" or (client_certs is None and keeps_asking)
        _openssl.install(
            attachment.ssl_ctx,
            trust_server_ccerts=trust_server_ccerts,
            ask=ask,
            verify_depth=verify_depth,
            trust_sources=sources,
        )
        if client_certs is not None:
            context.verify_mode = _VERIFY_MODES[client_certs]
        context.sslobject_class = remembering(context.sslobject_class)
        context.sslsocket_class = remembering(context.sslsocket_class)
        attachment.ask = ask
        _attachments[context] = attachment


def detach(context: ssl.SSLContext) -> None:
    """Give the context back to stock OpenSSL, but for ``verify_mode``, which stays.

    So after "ask" it is ``CERT_OPTIONAL`` and refuses untrusted certificates.  Sessions made while
    ccert was attached do not resume.

    Raises:
        ConfigError: ccert is not attached to the context.
    """
    with _lock:
        attachment = _attachment(context)
        _openssl.remove(attachment.ssl_ctx)
        if context.sslobject_class is remembering(attachment.sslobject_class):
            context.sslobject_class = attachment.sslobject_class
        if context.sslsocket_class is remembering(attachment.sslsocket_class):
            context.sslsocket_class = attachment.sslsocket_class
        del _attachments[context]


def stats(context: ssl.SSLContext) -> Stats:
    """Read the counters of a context.

    Raises:
        ConfigError: ccert is not attached to the context.
    """
    return Stats(**_openssl.counters(_attachment(context).ssl_ctx))


def _attachment(context: ssl.SSLContext) -> _Attachment:
    attachment = _attachments.get(context)
    if attachment is None:
        raise ConfigError("ccert is not attached to this context")
    return attachment


def _ssl_ctx(context: ssl.SSLContext) -> Any:  # noqa: ANN401 - cdata
    """Find the ``SSL_CTX`` by making a throw-away ``SSL``; see ``csrc/probe.c``."""
    with _openssl.Probe() as probe:
        _throw_away = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    return probe.ssl_ctx()
