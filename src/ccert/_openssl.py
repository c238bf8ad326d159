"""The only module that touches the C library: each C result becomes a value or an exception here.

``ssl`` is imported before the extension: the loader then gives both the one libssl that ``_ssl``
was linked with.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from ccert.errors import CcertError, ConfigError, UnsupportedRuntime
from ccert.verdict import Trust

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ccert.settings import TrustServerCcerts

try:
    from ccert._ffi import ffi, lib
except ImportError as error:  # a missing symbol, or never built
    raise UnsupportedRuntime(
        f"ccert's extension does not load: {error}.  Build it on this machine, with this Python "
        "and this OpenSSL: in ccert's source directory, pip install --force-reinstall --no-deps ."
    ) from error

__all__ = [
    "Probe",
    "Verifier",
    "certificate",
    "certificate_matches",
    "counters",
    "install",
    "peer_facts",
    "remove",
    "send_ca_names",
    "versions_differ",
]

_TRUST = {
    lib.CCERT_ANONYMOUS: Trust.ANONYMOUS,
    lib.CCERT_UNTRUSTED: Trust.UNTRUSTED,
    lib.CCERT_TRUSTED: Trust.TRUSTED,
}

_NOT_READY = {
    lib.CCERT_PEER_GONE: "the TLS connection is closed",
    lib.CCERT_PEER_CLOSED: "the TLS connection is closed",
    lib.CCERT_PEER_HANDSHAKING: "the TLS handshake has not finished, or has failed",
    lib.CCERT_PEER_UNATTACHED: "ccert was not attached to the context when the handshake began",
}


def reason() -> str:
    """Take the reason of the failure just seen from OpenSSL's error queue, and empty it."""
    text = ffi.new("char[256]")
    return _text(text) if lib.ccert_error(text, len(text)) else "out of memory"


def check(result: int, doing: str) -> None:
    """Raise ConfigError unless the C result says success; ``doing`` is in the user's words."""
    if not result:
        raise ConfigError(f"{doing}: {reason()}")


def versions_differ(header: tuple[int, int], library: tuple[int, int]) -> str:
    """Say why an extension built for ``header`` cannot run on ``library``; "" if it can.

    Args:
        header: major and minor version of the OpenSSL that the extension was built with.
        library: major and minor version of the OpenSSL that is loaded.
    """
    if header[0] == library[0] and header <= library:
        return ""
    return (
        "ccert was built for OpenSSL {}.{} and runs on {}.{}: "
        "build it anew: in ccert's source directory, pip install --force-reinstall --no-deps ."
    ).format(*header, *library)


def _start() -> None:
    if not lib.ccert_init():
        raise UnsupportedRuntime(f"OpenSSL refuses ccert's start-up: {reason()}")
    header, library = ffi.new("unsigned int[2]"), ffi.new("unsigned int[2]")
    lib.ccert_header_version(header, header + 1)
    lib.ccert_library_version(library, library + 1)
    if difference := versions_differ((header[0], header[1]), (library[0], library[1])):
        raise UnsupportedRuntime(difference)


_start()


def _text(chars: Any) -> str:  # noqa: ANN401 - cdata
    # OpenSSL's names are ASCII, certificates' are UTF-8 as OpenSSL converts them
    return str(ffi.string(chars).decode("utf-8", "backslashreplace"))


class Probe:
    """Catch the ``SSL`` that this thread makes within a ``with`` block.

    OpenSSL itself reports it, see ``csrc/probe.c``.
    """

    def __init__(self) -> None:
        self._probe = ffi.new("ccert_probe *")

    def __enter__(self) -> Self:
        lib.ccert_probe_begin(self._probe)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lib.ccert_probe_end(self._probe)

    def connection(self, inner: object) -> Any:  # noqa: ANN401 - cdata
        """Return ccert's record of the ``SSL`` behind a Python object; within the ``with`` block.

        Args:
            inner: the ``_ssl`` object that Python has made around the ``SSL``.

        Returns:
            None if it was not made within the block, or too many others were.
        """
        ssl_ = lib.ccert_probe_get0_ssl(self._probe, id(inner))
        if not ssl_:
            return None
        connection = lib.ccert_connection_get1(ssl_)
        if not connection:
            raise MemoryError
        return ffi.gc(connection, lib.ccert_connection_free)

    def ssl_ctx(self, inner: object) -> Any:  # noqa: ANN401 - cdata
        """Return the ``SSL_CTX *`` behind a Python object; within the ``with`` block.

        Args:
            inner: as for connection().

        Raises:
            UnsupportedRuntime: it is not of the libssl that ccert runs on.
        """
        ssl_ = lib.ccert_probe_get0_ssl(self._probe, id(inner))
        if ssl_:
            return lib.ccert_probe_get0_ctx(ssl_)
        if self._probe.seen:
            raise UnsupportedRuntime(
                "this Python's ssl does not tell which SSL is whose (SSL_get_app_data(3)): "
                "ccert does not know this version of CPython yet"
            )
        raise UnsupportedRuntime(
            f"Python's ssl runs on its own copy of OpenSSL ({ssl.OPENSSL_VERSION}, "
            f"{ssl_module_file()}), ccert on another ({', '.join(library())}).  "
            "Use a Python that is linked with the system's libssl: /usr/bin/python3, or one "
            "built on this machine (pyenv); static builds, as uv downloads them, cannot work"
        )


def ssl_module_file() -> str:
    """Tell where Python's ``ssl`` has its C part."""
    import _ssl  # noqa: PLC0415 - wanted for messages only

    return getattr(_ssl, "__file__", None) or "built into the interpreter"


def library() -> tuple[str, str]:
    """Tell the name and the path of the OpenSSL that ccert runs on."""
    return _text(lib.ccert_library_name()), _text(lib.ccert_library_path())


def install(  # noqa: D417 - the struct's fields, of which one needs words
    ssl_ctx: Any,  # noqa: ANN401 - cdata
    *,
    trust_server_ccerts: TrustServerCcerts,
    ask: bool,
    verify_depth: int,
    trust_sources: bytes,
) -> None:
    """Install or replace the policy of an ``SSL_CTX``; a failure leaves it as it was.

    Args:
        trust_sources: names of CAfile and CApath, part of the session id context.
    """
    sources = ffi.from_buffer(trust_sources)
    settings = ffi.new(
        "ccert_settings *",
        {
            "trust_server_ccerts": trust_server_ccerts is True,
            "observe": trust_server_ccerts == "observe",
            "ask": ask,
            "verify_depth": verify_depth,
            "trust_sources": ffi.cast("char *", sources),
            "trust_sources_size": len(trust_sources),
        },
    )
    check(lib.ccert_policy_install(ssl_ctx, settings), "attaching ccert to the context")


def remove(ssl_ctx: Any) -> None:  # noqa: ANN401 - cdata
    """Give the ``SSL_CTX`` back to stock OpenSSL."""
    check(lib.ccert_policy_remove(ssl_ctx), "detaching ccert from the context")


def send_ca_names(ssl_ctx: Any) -> None:  # noqa: ANN401 - cdata
    """Name the trusted CAs in the CertificateRequest (RFC 8446, 4.2.4)."""
    check(lib.ccert_send_ca_names(ssl_ctx), "naming the trusted CAs to clients")


def counters(ssl_ctx: Any) -> dict[str, int]:  # noqa: ANN401 - cdata
    """Read the counters of an ``SSL_CTX``."""
    out = ffi.new("ccert_counters *")
    check(lib.ccert_policy_counters(ssl_ctx, out), "reading the counters")
    names = ("verified", "trusted", "trusted_as_server", "untrusted")
    return {name: getattr(out, name) for name in names}


def _signature(c: Any) -> dict[str, Any] | None:  # noqa: ANN401 - cdata
    texts = {name: _text(getattr(c, name)) for name in ("name", "curve", "digest")}
    return {**texts, "bits": c.bits} if texts["name"] else None


def _verdict(c: Any) -> dict[str, Any]:  # noqa: ANN401 - cdata
    return {
        "trust": _TRUST[c.trust],
        "trusted_as_server": bool(c.trusted_as_server),
        "error": _text(c.error),
        "error_code": c.error_code,
        "error_depth": None if c.error_depth < 0 else c.error_depth,
        "subject": _text(c.subject),
        "issuer": _text(c.issuer),
        "fingerprint": _hex(c.trust, c.fingerprint),
        "pubkey_fingerprint": _hex(c.trust, c.pubkey_fingerprint),
    }


def _hex(trust: int, digest: Any) -> str:  # noqa: ANN401 - cdata
    return "" if trust == lib.CCERT_ANONYMOUS else ffi.buffer(digest)[:].hex(":").upper()


def peer_facts(connection: Any) -> dict[str, Any]:  # noqa: ANN401 - cdata
    """Gather the facts of a finished handshake: the fields of ``ccert.Peer``.

    And "observer": if the policy is to observe, the :class:`Verifier` to do so with; else None.

    Raises:
        CcertError: there is no finished, open TLS connection to tell about.
    """
    out = ffi.new("ccert_peer **")
    result = lib.ccert_peer_new(connection, out)
    if result != lib.CCERT_PEER_OK:
        raise CcertError(_NOT_READY.get(result) or f"reading the peer's certificate: {reason()}")
    c = ffi.gc(out[0], lib.ccert_peer_free)
    facts = _verdict(c.verdict)
    texts = ("protocol", "cipher", "key_exchange", "server_name")
    facts |= {name: _text(getattr(c, name)) for name in texts}
    facts |= {name: getattr(c, name) for name in ("cipher_bits", "cipher_algorithm_bits")}
    facts["resumed"] = bool(c.resumed)
    for name in ("server_signature", "client_signature"):
        facts[name] = _signature(getattr(c, name))
    facts["chain"] = tuple(
        bytes(ffi.buffer(c.der[i], c.der_size[i])) for i in range(c.certificates)
    )
    facts["observer"] = Verifier.of(connection) if c.observed else None
    return facts


def certificate(der: bytes) -> Any:  # noqa: ANN401 - cdata
    """Decode a certificate into an ``X509 *``.

    Raises:
        ConfigError: OpenSSL cannot decode it, or more octets follow.
    """
    decoded = lib.ccert_certificate_new(der, len(der))
    if not decoded:
        raise ConfigError(reason())
    return ffi.gc(decoded, lib.ccert_certificate_free)


def certificate_matches(decoded: Any, name: bytes) -> bool:  # noqa: ANN401 - cdata
    """Tell whether a host name is one of a certificate's decoded by certificate()."""
    return bool(lib.ccert_certificate_matches(decoded, name, len(name)))


class Verifier:
    """An ``X509_STORE`` and the parameters to verify by; see ``csrc/chain.c``."""

    def __init__(self, verifier: Any) -> None:  # noqa: ANN401 - cdata
        if not verifier:
            raise MemoryError
        self._verifier = ffi.gc(verifier, lib.ccert_verifier_free)

    @classmethod
    def new(cls, *, verify_depth: int, auth_level: int) -> Self:
        """Make one that trusts nobody yet."""
        return cls(lib.ccert_verifier_new(verify_depth, auth_level))

    @classmethod
    def of(cls, connection: Any) -> Self:  # noqa: ANN401 - cdata
        """Make one that verifies as the server of a connection that is open."""
        return cls(lib.ccert_verifier_of(connection))

    def load(self, cafile: bytes | None, capath: bytes | None) -> None:
        """Load trusted CAs with OpenSSL's own loader."""
        loaded = lib.ccert_verifier_load(self._verifier, cafile or ffi.NULL, capath or ffi.NULL)
        check(loaded, "loading trusted CAs")

    def trust(self, anchor: Any) -> None:  # noqa: ANN401 - cdata
        """Trust a certificate decoded by certificate()."""
        check(lib.ccert_verifier_trust(self._verifier, anchor), "loading trusted CAs")

    def anchors(self) -> int:
        """Count the trusted CAs that are loaded; those of a directory are not yet."""
        return int(lib.ccert_verifier_anchors(self._verifier))

    def verify(self, chain: list[Any], at: int, *, trust_server_ccerts: bool) -> dict[str, Any]:
        """Verify certificates decoded by certificate(), leaf first, at a Unix time."""
        out = ffi.new("ccert_verdict *")
        done = lib.ccert_verifier_verify(
            self._verifier, trust_server_ccerts, chain, len(chain), at, out
        )
        if not done:
            raise CcertError("verifying the chain: out of memory")
        return _verdict(out)
