"""The dry run: the verdict that ``trust_server_ccerts=True`` would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccert import _openssl
from ccert.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["observe"]


def observe(
    facts: dict[str, Any], verifier: _openssl.Verifier, chain: Sequence[bytes], at: int
) -> Verdict:
    """Return what the verdict would be with ``trust_server_ccerts=True``.

    Args:
        facts: the fields of the actual verdict.
        verifier: a verifier with the settings that gave the actual verdict.
        chain: DER certificates that can be decoded, leaf first.
        at: the time of verification, as a Unix time.
    """
    decoded = [_openssl.certificate(der) for der in chain]
    if not _openssl.lists_server_only(decoded[0]):  # then the setting changes nothing
        return Verdict(**facts)
    return Verdict(**verifier.verify(decoded, at, trust_server_ccerts=True))
