"""Memory: what an idle TLS connection and an SSL_CTX take, and whether handshakes leave anything.

Strategy: a process holds many of one thing, and what one takes is the difference by number, so that
the interpreter, its modules and first-time allocations are in neither.  The variants take turns.
The cache of sessions starts empty and has room, so that each of ccert's connections is charged with
its session: a full one would drop an old session for each, and ccert would look better than it is.
"""

from __future__ import annotations

import contextlib
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import pytest
from holder import connect
from process import raise_file_limit, running
from report import Row
from variants import VARIANTS

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 3
WARM, COUNT = 50, 1000
HANDSHAKES = (1000, 2000, *range(5000, 100_001, 5000))  # where memory is looked at

ROWS = (
    Row(
        "memory of an idle TLS connection: ccert / ssl's default",
        "memory of an idle TLS connection, ccert",
        "memory of an idle TLS connection, ssl's default",
        "private pages of a process with plain SSLSockets, 1000 of them, full handshake and one "
        "octet each way, session included",
        "<= 1.02",
        caveat="with asyncio each connection has buffers in Python, too, and the share is smaller",
        digits=3,
    ),
    Row(
        "  ... what malloc has given out for it",
        "heap of an idle TLS connection, ccert",
        "heap of an idle TLS connection, ssl's default",
        "mallinfo2(), without what pages and fragmentation add",
        digits=3,
    ),
    Row(
        "memory of a context: ccert / ssl's default",
        "memory of a context, ccert",
        "memory of a context, ssl's default",
        "private pages for each of 1000 SSL_CTX with certificate, key and a trusted CA",
        caveat="ccert's also sends the CA's name, and counts verdicts",
        digits=3,
    ),
    Row(
        "memory of a session in ccert's cache, kB",
        "heap of a session, ccert",
        None,
        "mallinfo2() before and after 1000 full handshakes, the client's chain included",
        caveat="2048 at most",
        digits=1,
    ),
    Row(
        "memory after 100 000 handshakes / after 20 000: ccert",
        "memory after 100000 handshakes, ccert",
        "memory after 20000 handshakes, ccert",
        "private pages of a process that has both ends of each handshake, every second one resumed",
        "<= 1.02",
        kinds=("P-256",),
        caveat="ccert's cache is full after 2048 sessions; what still grows is the client's: each "
        "time it is read, once in 2000 handshakes, SSLObject.session leaks 6 kB (CPython 3.11)",
        digits=3,
    ),
    Row(
        "  ... after 100 000 / after 20 000: ssl's default",
        "memory after 100000 handshakes, ssl's default",
        "memory after 20000 handshakes, ssl's default",
        "the same with stock, whose sessions are in the clients' tickets",
        digits=3,
    ),
)


def slopes(first: dict[str, int], last: dict[str, int], count: int) -> dict[str, float]:
    return {name: (last[name] - first[name]) / count for name in ("private", "heap")}


def held(directory: Path, variant: str, thing: str, count: int) -> dict[str, float]:
    """Return what one of the things takes."""
    with running("holder.py", directory=directory, variant=variant) as holder:
        return slopes(*(holder.ask(**{thing: some}) for some in (WARM, count)), count)


def connected(directory: Path, variant: str, count: int) -> dict[str, float]:
    """Return what one idle connection takes."""
    client, ends, answers = VARIANTS[variant].peer(directory), [], []
    with running("holder.py", directory=directory, variant=variant) as holder:
        try:
            for some in (WARM, count):
                holder.tell(connections=some)
                ends += (connect(holder.ready["port"], client) for _ in range(some))
                answers.append(holder.answer())
        finally:
            for end in ends:
                end.close()
    return slopes(*answers, count)


@pytest.fixture
def medians(smoke):
    """Return ``medians(measure)``: of each variant, which take turns."""

    def medians(measure) -> dict[str, dict[str, float]]:
        found = {variant: [] for variant in VARIANTS}
        for _ in range(1 if smoke else ROUNDS):
            for variant, rounds in found.items():
                rounds.append(measure(variant, 10 if smoke else COUNT))
        return {
            variant: {name: median(each[name] for each in rounds) for name in rounds[0]}
            for variant, rounds in found.items()
        }

    return medians


def test_idle_connections(clique, record, medians):
    """Each connection is from the variant's trusted peer, and stays."""
    raise_file_limit()
    for variant, found in medians(partial(connected, clique.directory)).items():
        record(f"memory of an idle TLS connection, {variant}", found["private"], "B")
        record(f"heap of an idle TLS connection, {variant}", found["heap"], "B")


def test_contexts(clique, record, medians):
    """Each context is set up as the server's."""

    def measure(variant: str, count: int) -> dict[str, float]:
        return held(clique.directory, variant, "contexts", count)

    for variant, found in medians(measure).items():
        record(f"memory of a context, {variant}", found["private"], "B")


def test_session(clique, record, smoke):
    """Each handshake is a trusted peer's; ccert keeps its session, in a cache that has room."""
    found = held(clique.directory, "ccert", "full", 10 if smoke else COUNT)
    record("heap of a session, ccert", found["heap"] / 1000, "kB")


@pytest.mark.parametrize("kind", ["P-256"], indirect=True)
def test_handshakes(clique, record, smoke):
    """Every handshake is a trusted peer's, every second one resumed; a process a variant."""
    done = 0
    with contextlib.ExitStack() as stack:
        holders = {
            variant: stack.enter_context(
                running("holder.py", variant=variant, directory=clique.directory)
            )
            for variant in VARIANTS
        }
        for total in HANDSHAKES[: 1 if smoke else None]:
            for holder in holders.values():
                holder.tell(handshakes=total - done)
            for variant, holder in holders.items():
                name = f"memory after {total} handshakes, {variant}"
                size = holder.answer()["private"]
                record(name, size, "B", plot="handshakes", x=total, line=variant)
            done = total
