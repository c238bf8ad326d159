"""Facts about a certificate and a handshake, from C; see ``csrc/verdict.c``, ``csrc/peer.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ccert._openssl.library import ffi, lib, reason, text_of
from ccert._openssl.verifier import Verifier, verdict_facts
from ccert.errors import CcertError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["decode", "peer_facts"]

_T = TypeVar("_T")

_NOT_READY = {
    lib.CCERT_PEER_CLOSED: "the TLS connection is closed",
    lib.CCERT_PEER_HANDSHAKING: "the TLS handshake has not finished, or has failed",
    lib.CCERT_PEER_REFUSED: (
        "ccert has closed the TLS connection: its session must not resume in this context or for "
        "this server name, or has expired; the client's next connection does a full handshake"
    ),
}
_UNATTACHED = (
    "ccert was not attached to the context when the handshake began: use ccert.ServerContext, or "
    "ccert.attach(context) before the connection is made"
)


def _signature(c: Any) -> dict[str, Any] | None:  # noqa: ANN401 - cdata
    texts = {name: text_of(getattr(c, name)) for name in ("name", "curve", "digest")}
    return {**texts, "bits": c.bits} if texts["name"] else None


def _free(out: Any) -> None:  # noqa: ANN401 - cdata
    lib.ccert_peer_free(out[0])


def peer_facts(inner: Any) -> tuple[dict[str, Any], dict[str, Any], Verifier | None]:  # noqa: ANN401 - _ssl._SSLSocket
    """Gather the facts of a finished handshake.

    Args:
        inner: the ``_ssl`` object that wraps the ``SSL``.

    Returns:
        The fields of ``ccert.Verdict``; the further fields of ``ccert.Peer``, with signatures as
        dictionaries; and, if the policy is to observe, the :class:`Verifier` for that.

    Raises:
        CcertError: the handshake is not finished, the connection is closed, or ccert was not
            attached.
    """
    out = ffi.gc(ffi.new("ccert_peer **"), _free)  # first: an exception may come at any moment
    result = lib.ccert_peer_new(id(inner), out)
    if result == lib.CCERT_PEER_UNKNOWN:
        handshaking = inner.version() is None
        raise CcertError(_NOT_READY[lib.CCERT_PEER_HANDSHAKING] if handshaking else _UNATTACHED)
    if result != lib.CCERT_PEER_OK:
        raise CcertError(_NOT_READY.get(result) or f"reading the peer's certificate: {reason()}")
    c = out[0]
    texts = ("protocol", "cipher", "key_exchange", "server_name", "error_issuer")
    handshake: dict[str, Any] = {name: text_of(getattr(c, name)) for name in texts}
    handshake |= {name: getattr(c, name) for name in ("cipher_bits", "cipher_algorithm_bits")}
    handshake["resumed"] = bool(c.resumed)
    for name in ("server_signature", "client_signature"):
        handshake[name] = _signature(getattr(c, name))
    handshake["chain"] = tuple(
        bytes(ffi.buffer(c.der[i], c.der_size[i])) for i in range(c.certificates)
    )
    return verdict_facts(c.verdict), handshake, Verifier.of(inner) if c.observed else None


def decode(inner: object, method: Callable[[], _T], nothing: _T, *, verified: bool) -> _T:
    """Call a method of ``ssl`` that decodes certificates; leave the error queue unchanged.

    Malformed extensions leave entries on the queue even if the method succeeds, and the next read
    of another connection on this thread would take them for its own failure.

    Args:
        inner: see peer_facts(); None: the certificates do not come from a peer.
        method: what to call.
        nothing: what to return for a connection that ccert has closed.
        verified: return it also for a certificate that is not trusted.
    """
    try:
        allowed = lib.ccert_decoding_begin(0 if inner is None else id(inner), verified)
        return method() if allowed else nothing
    finally:
        lib.ccert_decoding_end()
