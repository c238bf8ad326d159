"""What C tells of a certificate and of a handshake; see ``csrc/verdict.c``, ``csrc/peer.c``."""

from __future__ import annotations

from typing import Any

from ccert._openssl.library import ffi, lib, reason, text_of
from ccert._openssl.verifier import Verifier, verdict_facts
from ccert.errors import CcertError

__all__ = ["peer_facts"]

_NOT_READY = {
    lib.CCERT_PEER_GONE: "the TLS connection is closed",
    lib.CCERT_PEER_CLOSED: "the TLS connection is closed",
    lib.CCERT_PEER_HANDSHAKING: "the TLS handshake has not finished, or has failed",
    lib.CCERT_PEER_UNATTACHED: "ccert was not attached to the context when the handshake began",
}


def _signature(c: Any) -> dict[str, Any] | None:  # noqa: ANN401 - cdata
    texts = {name: text_of(getattr(c, name)) for name in ("name", "curve", "digest")}
    return {**texts, "bits": c.bits} if texts["name"] else None


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
    facts = verdict_facts(c.verdict)
    texts = ("protocol", "cipher", "key_exchange", "server_name", "error_issuer")
    facts |= {name: text_of(getattr(c, name)) for name in texts}
    facts |= {name: getattr(c, name) for name in ("cipher_bits", "cipher_algorithm_bits")}
    facts["resumed"] = bool(c.resumed)
    for name in ("server_signature", "client_signature"):
        facts[name] = _signature(getattr(c, name))
    facts["chain"] = tuple(
        bytes(ffi.buffer(c.der[i], c.der_size[i])) for i in range(c.certificates)
    )
    facts["observer"] = Verifier.of(connection) if c.observed else None
    return facts
