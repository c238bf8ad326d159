"""Advice for an administrator about a verdict: the reason in other words, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccert.x509_errors import X509VErr

if TYPE_CHECKING:
    from ccert.verdict import Verdict

__all__ = ["hint"]

# for errors that occur in practice
_HINTS: dict[int, str] = {
    X509VErr.UNSPECIFIED: "the file is damaged: ask the peer to send it anew",
    X509VErr.UNABLE_TO_GET_ISSUER_CERT: (
        "the trust file has an intermediate, not the root above it: add the root"
    ),
    X509VErr.CERT_SIGNATURE_FAILURE: (
        "a signature does not fit: two CAs of one name, or a forged certificate"
    ),
    X509VErr.CERT_NOT_YET_VALID: "not valid yet: compare the clocks, or wait",
    X509VErr.CERT_HAS_EXPIRED: "ask the peer to renew it",
    X509VErr.DEPTH_ZERO_SELF_SIGNED_CERT: (
        "nobody vouches for it: trust its public key, or put it into the trust file"
    ),
    X509VErr.SELF_SIGNED_CERT_IN_CHAIN: (
        "the chain is complete, but its root is not in the trust file: add it if you trust it"
    ),
    X509VErr.UNABLE_TO_GET_ISSUER_CERT_LOCALLY: (
        "ask the peer to send its intermediates, or trust the CA that issued it (add its root)"
    ),
    X509VErr.UNABLE_TO_VERIFY_LEAF_SIGNATURE: (
        "ask the peer to send its intermediates, or trust the CA that issued it (add its root)"
    ),
    X509VErr.CERT_CHAIN_TOO_LONG: (
        "the chain is too long: raise --verify-depth, or ask the peer for a shorter one"
    ),
    X509VErr.CERT_REVOKED: "it has been revoked: ask the peer for another one",
    X509VErr.NO_ISSUER_PUBLIC_KEY: (
        "its CA's certificate has no usable public key: ask the peer for a proper chain"
    ),
    X509VErr.PATH_LENGTH_EXCEEDED: (
        "a CA issued more intermediates than it may: ask the peer for a proper chain"
    ),
    X509VErr.CERT_UNTRUSTED: (
        "the trust file does not trust its root for this use (openssl x509 -addtrust)"
    ),
    X509VErr.CERT_REJECTED: (
        "the trust file rejects its root for this use (openssl x509 -addreject)"
    ),
    X509VErr.UNHANDLED_CRITICAL_EXTENSION: (
        "it demands something that OpenSSL does not know (a critical extension)"
    ),
    X509VErr.PERMITTED_VIOLATION: "its CA may not issue for this name (name constraints)",
    X509VErr.EE_KEY_TOO_SMALL: (
        "its key is too short for the security level: ask for a stronger one"
    ),
    X509VErr.CA_KEY_TOO_SMALL: (
        "its CA's key is too short for the security level: ask for a stronger one"
    ),
    X509VErr.CA_MD_TOO_WEAK: (
        "its signature's digest is too weak for the security level: ask for SHA-256"
    ),
    X509VErr.INVALID_CA: (
        "a certificate that is no CA issued another: ask the peer for a proper chain"
    ),
}


def hint(off: Verdict, on: Verdict) -> str:
    """Return what to do about a chain, from its verdicts with trust_server_ccerts off and on."""
    if on.trusted_as_server:
        return "trust_server_ccerts rescues it; or, if the peer keeps its key, list its public key"
    if off and on:
        return ""
    if off:
        return (
            "trusted only with trust_server_ccerts off: the trust file trusts it for clients only"
        )
    if on.error_code == X509VErr.INVALID_PURPOSE and on.error_depth == 0:
        return (
            "its usage (extended key usage, key usage) is not for TLS: "
            "ask the peer for a certificate that lists clientAuth or serverAuth"
        )
    if on.error_code == X509VErr.INVALID_PURPOSE:
        return (
            f"the CA at depth {on.error_depth} may not issue for this use: "
            "ask the peer for a certificate whose usage its CA shares"
        )
    return _HINTS.get(on.error_code, "see openssl-verification-options(1)")
