"""Verification without a connection; see ``csrc/chain.c``, ``csrc/verdict.c``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccert._openssl.library import check, ffi, lib, text_of
from ccert.errors import CcertError
from ccert.names import dns_name
from ccert.verdict import Trust

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Verifier", "verdict_facts"]

_NO_MEMORY = "verifying the chain: out of memory"
_TRUST = {
    lib.CCERT_ANONYMOUS: Trust.ANONYMOUS,
    lib.CCERT_UNTRUSTED: Trust.UNTRUSTED,
    lib.CCERT_TRUSTED: Trust.TRUSTED,
}


def verdict_facts(c: Any) -> dict[str, Any]:  # noqa: ANN401 - cdata
    """Convert a ``ccert_verdict`` into the fields of ``ccert.Verdict``."""
    return {
        "trust": _TRUST[c.trust],
        "trusted_as_server": bool(c.trusted_as_server),
        "error": text_of(c.error),
        "error_code": c.error_code,
        "error_depth": None if c.error_depth < 0 else c.error_depth,
        "subject": text_of(c.subject),
        "issuer": text_of(c.issuer),
        "names": _names(c),
        "fingerprint": _hex(c.trust, c.fingerprint),
        "pubkey_fingerprint": _hex(c.trust, c.pubkey_fingerprint),
    }


def _names(c: Any) -> tuple[str, ...]:  # noqa: ANN401 - cdata
    if not c.names_size:
        return ()
    raw = ffi.buffer(c.names, c.names_size)[:-1].split(b"\0")
    return tuple(dict.fromkeys(filter(None, map(dns_name, raw))))


def _hex(trust: int, digest: Any) -> str:  # noqa: ANN401 - cdata
    return "" if trust == lib.CCERT_ANONYMOUS else ffi.buffer(digest)[:].hex(":").upper()


class Verifier:
    """An ``X509_STORE`` and verification parameters; see ``csrc/chain.c``."""

    def __init__(self, verifier: Any) -> None:  # noqa: ANN401 - cdata
        if not verifier:
            raise MemoryError
        self._verifier = ffi.gc(verifier, lib.ccert_verifier_free)

    @classmethod
    def new(cls, *, verify_depth: int, auth_level: int) -> Self:
        """Make one without trusted CAs."""
        return cls(lib.ccert_verifier_new(verify_depth, auth_level))

    @classmethod
    def of(cls, inner: object) -> Self:
        """Make one that verifies as the server of a connection; ``inner``: see peer_facts()."""
        return cls(lib.ccert_verifier_of(id(inner)))

    def load(self, cafile: bytes) -> None:
        """Load trusted CAs with OpenSSL's own loader."""
        check(lib.ccert_verifier_load(self._verifier, cafile), "loading trusted CAs")

    def trust(self, anchor: Any) -> None:  # noqa: ANN401 - cdata
        """Trust a certificate decoded by certificate()."""
        check(lib.ccert_verifier_trust(self._verifier, anchor), "loading trusted CAs")

    def anchors(self) -> int:
        """Count the trusted CAs."""
        return int(lib.ccert_verifier_anchors(self._verifier))

    def verify(self, chain: list[Any], at: int, *, trust_server_ccerts: bool) -> dict[str, Any]:
        """Verify certificates decoded by certificate(), leaf first, at a Unix time."""
        out = ffi.gc(ffi.new("ccert_verdict *"), lib.ccert_verdict_clear)
        done = lib.ccert_verifier_verify(
            self._verifier, trust_server_ccerts, chain, len(chain), at, out
        )
        if not done:
            raise CcertError(_NO_MEMORY)
        return verdict_facts(out)

    def verify_many(
        self, chains: list[list[Any]], at: int, *, trust_server_ccerts: bool
    ) -> list[dict[str, Any]]:
        """Verify chains, each as verify() does, without the GIL until all are done."""
        out = ffi.new("ccert_verdict[]", len(chains))
        done = lib.ccert_verifier_verify_many(
            self._verifier,
            trust_server_ccerts,
            [certificate for chain in chains for certificate in chain],
            [len(chain) for chain in chains],
            len(chains),
            at,
            out,
        )
        try:
            if done < len(chains):
                raise CcertError(_NO_MEMORY)
            return [verdict_facts(out[number]) for number in range(done)]
        finally:
            for number in range(done):
                lib.ccert_verdict_clear(out + number)
