"""The policy and the counters of an ``SSL_CTX``; see ``csrc/policy.c``."""

from __future__ import annotations

from typing import Any

from ccert._openssl.library import check, ffi, lib

__all__ = ["counters", "install", "remove", "renew", "send_ca_names"]


def install(
    ssl_ctx: Any,  # noqa: ANN401 - cdata
    *,
    trust_server_ccerts: bool,
    observe: bool,
    ask: bool,
    verify_depth: int,
) -> None:
    """Install or replace the policy of an ``SSL_CTX``; if this fails, nothing changes."""
    settings = ffi.new(
        "ccert_settings *",
        {
            "trust_server_ccerts": trust_server_ccerts,
            "observe": observe,
            "ask": ask,
            "verify_depth": verify_depth,
        },
    )
    check(lib.ccert_policy_install(ssl_ctx, settings), "attaching ccert to the context")


def renew(ssl_ctx: Any) -> None:  # noqa: ANN401 - cdata
    """End the sessions of an ``SSL_CTX``, because its CAs, CRLs or flags have changed."""
    check(lib.ccert_policy_renew(ssl_ctx), "ending the context's sessions")


def remove(ssl_ctx: Any) -> None:  # noqa: ANN401 - cdata
    """Restore the behaviour of stock OpenSSL."""
    check(lib.ccert_policy_remove(ssl_ctx), "detaching ccert from the context")


def send_ca_names(ssl_ctx: Any, trusting: Any) -> None:  # noqa: ANN401 - cdata
    """List the CAs that another ``SSL_CTX`` trusts in the CertificateRequest (RFC 8446, 4.2.4)."""
    check(lib.ccert_send_ca_names(ssl_ctx, trusting), "naming the trusted CAs to clients")


def counters(ssl_ctx: Any) -> dict[str, int]:  # noqa: ANN401 - cdata
    """Read the counters of an ``SSL_CTX``."""
    out = ffi.new("ccert_counters *")
    check(lib.ccert_policy_counters(ssl_ctx, out), "reading the counters")
    names = ("verified", "trusted", "trusted_as_server", "untrusted")
    return {name: getattr(out, name) for name in names}
