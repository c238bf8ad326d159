"""The log lines about each client, in Postfix's words (tls_log_summary, tls_log_verify_error).

They go to the logger "ccert".  Each record has these ``extra`` fields: ``ccert_client``,
``ccert_trust``,
``ccert_trusted_as_server``, ``ccert_error_code``, and :meth:`ccert.Peer.policy_attributes`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ccert.text import printable
from ccert.verdict import Trust
from ccert.x509_errors import X509VErr

if TYPE_CHECKING:
    from ccert.tls.peer import Peer
    from ccert.verdict import Verdict

__all__ = ["log_peer"]

_log = logging.getLogger("ccert")

_MOST_NAMES = 10  # in a line of the log

# where Postfix has words of its own
_FAILED = "certificate verification failed for {client}: "
_NOT_YET_VALID = "{purpose} " + _FAILED + "certificate not yet valid"
_HAS_EXPIRED = "{purpose} " + _FAILED + "certificate has expired"
_UNTRUSTED_ISSUER = _FAILED + "untrusted issuer {issuer}"
_WORDS: dict[int, str] = {
    X509VErr.CERT_NOT_YET_VALID: _NOT_YET_VALID,
    X509VErr.CERT_HAS_EXPIRED: _HAS_EXPIRED,
    X509VErr.ERROR_IN_CERT_NOT_BEFORE_FIELD: _NOT_YET_VALID,
    X509VErr.ERROR_IN_CERT_NOT_AFTER_FIELD: _HAS_EXPIRED,
    X509VErr.DEPTH_ZERO_SELF_SIGNED_CERT: _FAILED + "self-signed certificate",
    X509VErr.SELF_SIGNED_CERT_IN_CHAIN: _UNTRUSTED_ISSUER,
    X509VErr.UNABLE_TO_GET_ISSUER_CERT_LOCALLY: _UNTRUSTED_ISSUER,
    X509VErr.CERT_CHAIN_TOO_LONG: _FAILED + "certificate chain longer than limit({limit})",
    X509VErr.INVALID_PURPOSE: _FAILED + "not designated for use as a {purpose} certificate",
    X509VErr.CERT_UNTRUSTED: _FAILED + "not trusted by local or TLSA policy",
}
_OTHERS = "{purpose} " + _FAILED + "num={code}:{error}"


def log_peer(peer: Peer, client: str) -> None:
    """Log a handshake: why the certificate is untrusted, Postfix's summary line, and its owner.

    If the setting is "observe" and True would give another verdict, a warning says so.

    Args:
        peer: the client's.
        client: name and address, as for :meth:`ccert.Peer.summary`.
    """
    client = printable(client.lower())
    facts = {
        "ccert_client": client,
        "ccert_trust": str(peer.trust),
        "ccert_trusted_as_server": peer.trusted_as_server,
        "ccert_error_code": peer.error_code,
        **peer.policy_attributes(),
    }
    if peer.trust is Trust.UNTRUSTED:
        _log.info("%s", _reason(peer, client), extra=facts)
    _log.info("%s", peer.summary(client), extra=facts)
    if peer.trust is not Trust.ANONYMOUS:
        _log.info(
            "%s: subject_CN=%s, issuer=%s, cert fingerprint=%s, pkey fingerprint=%s, names=%s%s",
            client, peer.subject, peer.issuer, peer.fingerprint, peer.pubkey_fingerprint,
            _some(peer.names), ", trusted_as_server=yes" if peer.trusted_as_server else "",
            extra=facts,
        )  # fmt: skip
    if peer.would_be is not None and peer.would_be.trust is not peer.trust:
        _log.warning(
            "trust_server_ccerts would make %s %s: %s, issuer %r, public key %s",
            client, peer.would_be.trust, _whose(peer.would_be), peer.would_be.issuer,
            peer.pubkey_fingerprint, extra=facts,
        )  # fmt: skip


def _whose(verdict: Verdict) -> str:
    names = _some(verdict.names)
    return f"names {names}" if names else f"no names, subject {verdict.subject!r}"


def _some(names: tuple[str, ...]) -> str:
    """List them for a line of the log."""
    more = f",... ({len(names)} names)" if len(names) > _MOST_NAMES else ""
    return ",".join(names[:_MOST_NAMES]) + more


def _reason(peer: Peer, client: str) -> str:
    return _WORDS.get(peer.error_code, _OTHERS).format(
        client=client,
        purpose="CA" if peer.error_depth else "client",
        issuer=printable(peer.error_issuer) or "<unknown>",
        limit=(peer.error_depth or 0) - 1,
        code=peer.error_code,
        error=peer.error,
    )
