"""The dry run: the verdict that ``trust_server_ccerts=True`` would give."""

from __future__ import annotations

from typing import Any

from ccert import _openssl
from ccert.verdict import Verdict

__all__ = ["observe"]


def observe(
    facts: dict[str, Any], verifier: _openssl.Verifier, decoded: list[Any], at: int
) -> Verdict:
    """Return what the verdict would be with ``trust_server_ccerts=True``.

    Args:
        facts: the fields of the actual verdict.
        verifier: a verifier with the settings that gave the actual verdict.
        decoded: the chain, leaf first, as certificate() returns it.
        at: the time of verification, as a Unix time.
    """
    if not _openssl.lists_server_only(decoded[0]):  # then the setting changes nothing
        return Verdict(**facts)
    return Verdict(**verifier.verify(decoded, at, trust_server_ccerts=True))
