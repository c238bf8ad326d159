"""A server's ``ssl.SSLContext`` with ccert attached from the start."""

from __future__ import annotations

import functools
import ssl
from typing import TYPE_CHECKING, Any, NoReturn

from ccert import _openssl
from ccert.tls.attachment import attach_checked, renew, send_ca_names, settings
from ccert.tls.connection import guarded
from ccert.tls.files import load_anchors, load_identity
from ccert.tls.settings import (
    check_effect_without_anchors,
    check_settings,
    warn_of_anchors,
    warn_of_system_cas,
)

if TYPE_CHECKING:
    from ccert.tls.files import CAData, Password
    from ccert.tls.paths import StrPath
    from ccert.tls.settings import ClientCerts, TrustServerCcerts

__all__ = ["ServerContext"]

_JUDGES_BY = {"verify_flags", "verify_mode"}
_CLASSES = {"sslobject_class", "sslsocket_class"}


class ServerContext(ssl.SSLContext):
    """An ``ssl.SSLContext`` for servers that verify their clients' certificates.

    You can use it with asyncio, uvloop, trio, aiosmtpd and plain sockets like any other context.
    It trusts only the CAs given here, forbids renegotiation, and keeps sessions in memory (one
    ticket per handshake); you can change that afterwards with ``ssl``'s own attributes.

    .. warning::
        ``trust_server_ccerts=True`` is for a small clique of mail servers that know each other,
        with few CAs.  A public CA issues serverAuth certificates to everybody: if you trust one,
        every host on the Internet is Trusted.  Trust then gives you a name, not a permission: list
        the names that you expect in a :class:`NameTable`, or leave the setting off and identify
        your peers by ``Peer.pubkey_fingerprint``.

    .. warning::
        ``client_certs="ask"``, the default, completes the handshake whatever the certificate, so
        that no mail is lost.  Call :func:`ccert.peer` for the verdict.  ``getpeercert()`` and
        ``get_verified_chain()`` return nothing of a certificate that is not trusted.

    Args:
        certfile: the server's certificate chain, PEM.
        keyfile: its private key, PEM; None: the key is in ``certfile``.
        password: of the key, as for ``ssl.SSLContext.load_cert_chain``; an encrypted key without a
            password is an error, never a prompt.
        cafile: trusted CAs, PEM; their names are sent to clients, so that they can choose a
            matching certificate.
        capath: trusted CAs and CRLs, a directory made by ``openssl rehash``; read once, now.  The
            CAs' names are not sent to clients.
        cadata: trusted CAs, PEM or DER.
        client_certs: "ask" as above (Postfix: ``smtpd_tls_ask_ccert``); "optional": a handshake
            with an untrusted certificate fails, one without a certificate does not
            (``ssl.CERT_OPTIONAL``); "require": both fail (``ssl.CERT_REQUIRED``).
        trust_server_ccerts: verify a certificate whose extended key usage lists serverAuth but not
            clientAuth as a server's (Postfix 3.12: ``tls_trust_server_ccerts``).  "observe": a dry
            run; verdicts are the same as with False, and :attr:`Verdict.would_trust_as_server`
            shows what True would change.
        verify_depth: as Postfix's ``smtpd_tls_ccert_verifydepth``; OpenSSL's own depth is one more.
            With 9, up to ten intermediate CAs are allowed.

    Raises:
        ConfigError: a file or a setting is unusable, or would have no effect.
        TypeError: a setting is of the wrong type.
        UnsupportedRuntime: see :func:`attach`.

    Warns:
        UserWarning: ``trust_server_ccerts`` together with more than 20 trusted CAs.
        PublicCAWarning: ``trust_server_ccerts`` together with one of the system's CAs: every host
            on the Internet is Trusted then, so check names.
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
        cadata: CAData | None = None,
        client_certs: ClientCerts = "ask",
        trust_server_ccerts: TrustServerCcerts = False,
        verify_depth: int = 9,
    ) -> None:
        check_settings(client_certs, trust_server_ccerts, verify_depth)
        if cafile is None and capath is None and cadata is None:
            check_effect_without_anchors(client_certs, trust_server_ccerts)
        self.load_cert_chain(certfile, keyfile, password)
        self._load(cafile, capath, cadata, crls=False)
        self.options |= ssl.OP_NO_RENEGOTIATION
        warn_of_anchors(trust_server_ccerts, self, stacklevel=3)
        attach_checked(self, client_certs, trust_server_ccerts, verify_depth)

    def __reduce__(self) -> NoReturn:  # what copy, pickle and multiprocessing ask
        raise TypeError(
            f"a {type(self).__name__} cannot be copied or pickled, because its keys and sessions "
            "are OpenSSL's: make one in each process, from the same files"
        )

    def __repr__(self) -> str:
        attached = "".join(f" {name}={value!r}" for name, value in settings(self).items())
        cas = self.cert_store_stats()["x509"]
        return f"<{type(self).__name__}{attached or ' detached'} trusted_cas={cas}>"

    def load_cert_chain(
        self,
        certfile: Any,  # noqa: ANN401 - ssl's own
        keyfile: Any = None,  # noqa: ANN401 - likewise
        password: Any = None,  # noqa: ANN401 - likewise
    ) -> None:
        """Present another certificate from now on; the arguments are those of the class.

        Not while other threads begin connections: OpenSSL has no lock for that.  Make a new context
        then.

        Raises:
            ConfigError: a file is unusable; the message names it, and nothing has changed.
        """
        if callable(password):
            password = functools.cache(password)  # it may ask somebody
        rehearsal = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        rehearsal.set_ciphers(f"DEFAULT@SECLEVEL={self.security_level}")
        load_identity(rehearsal.load_cert_chain, certfile, keyfile, password)
        super().load_cert_chain(certfile, keyfile, password)

    def load_verify_locations(
        self,
        cafile: Any = None,  # noqa: ANN401 - ssl's own
        capath: Any = None,  # noqa: ANN401 - likewise
        cadata: Any = None,  # noqa: ANN401 - likewise
    ) -> None:
        """Trust more CAs, or load CRLs, and end all sessions.

        Args, errors and warnings are those of the class, except that a CA file may also contain
        nothing but CRLs.

        Raises:
            ConfigError: a file is unusable; the message names it.
            TypeError: nothing is given, or an argument is of the wrong type.
        """
        if cafile is None and capath is None and cadata is None:
            raise TypeError("cafile, capath and cadata cannot be all omitted")
        before = self.cert_store_stats()["x509"]
        renew(self)  # from now on nothing resumes, ...
        try:
            self._load(cafile, capath, cadata, crls=True)
        finally:  # ... nor what came meanwhile, also if the load failed half-way
            renew(self)
        if self.cert_store_stats()["x509"] > before:
            warn_of_anchors(settings(self).get("trust_server_ccerts"), self, stacklevel=3)

    def set_default_verify_paths(self) -> None:
        """Trust the system's CAs, and end all sessions; ``load_default_certs`` calls this.

        Warns:
            PublicCAWarning: ``trust_server_ccerts`` is on.
        """
        try:
            super().set_default_verify_paths()
        finally:
            renew(self)
        warn_of_system_cas(settings(self).get("trust_server_ccerts"), stacklevel=3)

    def _load(
        self,
        cafile: StrPath | None,
        capath: StrPath | None,
        cadata: CAData | None,
        *,
        crls: bool,
    ) -> None:
        named = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # these find errors before anything changes
        unnamed = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_anchors(named.load_verify_locations, cafile, None, cadata, crls=crls)
        load_anchors(unnamed.load_verify_locations, None, capath, None)
        send_ca_names(self, named)
        load_anchors(super().load_verify_locations, cafile, capath, cadata, crls=crls)

    def get_ca_certs(self, binary_form: bool = False) -> Any:  # noqa: ANN401, FBT002 - ssl's own
        """Return the trusted CAs, as ``ssl.SSLContext`` does."""
        method: Any = super().get_ca_certs
        return _openssl.decode(None, lambda: method(binary_form), [], verified=False)

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401 - ssl's own
        if name in _CLASSES:
            value = guarded(value)
        try:
            super().__setattr__(name, value)
        finally:
            if name in _JUDGES_BY:
                renew(self)
