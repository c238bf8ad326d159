"""Advice for an administrator about a verdict: the reason in other words, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccert.verdict import Verdict

__all__ = ["hint"]

_PURPOSE = 26

# by X509_V_ERR_* (OpenSSL's x509_vfy.h), for errors that occur in practice
_HINTS = {
    1: "the file is damaged: ask the peer to send it anew",
    2: "the trust file has an intermediate, not the root above it: add the root",
    7: "a signature does not fit: two CAs of one name, or a forged certificate",
    9: "not valid yet: compare the clocks, or wait",
    10: "ask the peer to renew it",
    18: "nobody vouches for it: trust its public key, or put it into the trust file",
    19: "the chain is complete, but its root is not in the trust file: add it if you trust it",
    20: "ask the peer to send its intermediates, or trust the CA that issued it (add its root)",
    21: "ask the peer to send its intermediates, or trust the CA that issued it (add its root)",
    22: "the chain is too long: raise --verify-depth, or ask the peer for a shorter one",
    23: "it has been revoked: ask the peer for another one",
    24: "its CA's certificate has no usable public key: ask the peer for a proper chain",
    25: "a CA issued more intermediates than it may: ask the peer for a proper chain",
    27: "the trust file does not trust its root for this use (openssl x509 -addtrust)",
    28: "the trust file rejects its root for this use (openssl x509 -addreject)",
    34: "it demands something that OpenSSL does not know (a critical extension)",
    47: "its CA may not issue for this name (name constraints)",
    66: "its key is too short for the security level: ask for a stronger one",
    67: "its CA's key is too short for the security level: ask for a stronger one",
    68: "its signature's digest is too weak for the security level: ask for SHA-256",
    79: "a certificate that is no CA issued another: ask the peer for a proper chain",
}


def hint(off: Verdict, on: Verdict) -> str:
    """Return what to do about a chain, from its verdicts with trust_server_ccerts off and on."""
    if on.trusted_as_server:
        return "trust_server_ccerts rescues it; better still, trust its public key"
    if off and on:
        return ""
    if off:
        return (
            "trusted only with trust_server_ccerts off: the trust file trusts it for clients only"
        )
    if on.error_code == _PURPOSE and on.error_depth == 0:
        return (
            "its usage (extended key usage, key usage) is not for TLS: "
            "ask the peer for a certificate that lists clientAuth or serverAuth"
        )
    if on.error_code == _PURPOSE:
        return (
            f"the CA at depth {on.error_depth} may not issue for this use: "
            "ask the peer for a certificate whose usage its CA shares"
        )
    return _HINTS.get(on.error_code, "see openssl-verification-options(1)")
