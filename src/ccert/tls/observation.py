"""The dry run: what ``trust_server_ccerts=True`` would make of a chain."""

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
    """Return the verdict that there would be.

    Args:
        facts: the fields of the verdict that there is.
        verifier: what it was made by.
        chain: DER certificates that can be decoded, leaf first.
        at: the moment that it is for, as a Unix time.
    """
    decoded = [_openssl.certificate(der) for der in chain]
    if not _openssl.lists_server_only(decoded[0]):  # then the setting changes nothing
        return Verdict(**facts)
    return Verdict(**verifier.verify(decoded, at, trust_server_ccerts=True))
