"""The dry run: what ``trust_server_ccerts=True`` would make of a chain, once somebody asks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ccert import _openssl
from ccert.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["observe"]


def observe(
    verdict: Verdict,
    verifier: _openssl.Verifier,
    chain: Sequence[bytes],
    at: int,
) -> None:
    """Let a verdict tell what it would be.

    Args:
        verdict: as it is.
        verifier: what it was made by.
        chain: DER certificates that can be decoded, leaf first.
        at: the moment that it is for, as a Unix time.
    """

    def would_be() -> Verdict:
        decoded = [_openssl.certificate(der) for der in chain]
        if not _openssl.lists_server_only(decoded[0]):  # then the setting changes nothing
            fields = (field.name for field in dataclasses.fields(Verdict))
            return Verdict(**{name: getattr(verdict, name) for name in fields})
        return Verdict(**verifier.verify(decoded, at, trust_server_ccerts=True))

    vars(verdict)["_would_be"] = would_be  # no field: it neither compares nor prints
