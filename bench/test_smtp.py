"""Whole SMTP sessions through aiosmtpd, on ccert and on ``ssl``'s default: capacity and waiting.

Strategy: all servers run all the time, in processes of their own, and get their load one after the
other, again and again, so that noise hits all; two processes with four clients each are the
load.  Rates are medians of the rounds, waiting is of all sessions together: in a closed loop, hence
mostly for other clients' turns.  Every message must arrive and every peer be trusted.
"""

from __future__ import annotations

import contextlib

import pytest
from mta import missing
from process import running
from report import Row
from smtp_column import Column, started
from smtp_postfix import postfix
from variants import VARIANTS

LOADS = 2
ROUNDS, SESSIONS = 9, 80  # for each of the loads
WARM = 5

PLACES = {
    f"{loop}, {workers} worker{'s'[: workers - 1]}": (loop, workers)
    for loop in ("asyncio", "uvloop")
    for workers in (1, 2)
}
SESSION = (
    "connect, EHLO, STARTTLS, full handshake, EHLO, MAIL, RCPT, DATA, QUIT; 8 clients at once; "
    "ccert's handler makes Peer and log line, the other calls getpeercert()"
)
SHARED = "the clients take their share of the CPUs: on two, this is the machine's capacity"


def rows():
    """Yield the rows of each place, then Postfix's."""
    for place, (_, workers) in PLACES.items():
        names = [f"{place}, {variant}" for variant in VARIANTS]
        yield Row(
            f"SMTP sessions/s, {place}: ccert / ssl's default",
            *(f"SMTP sessions, {name}" for name in names),
            SESSION,
            caveat=SHARED if workers > 1 else "",
        )
        yield Row(
            f"  ... {place}: the server's CPU time",
            *(f"SMTP CPU, {name}" for name in names),
            "user and system time of the server's processes for a session",
            "<= 1.03",
        )
    yield Row(
        "SMTP sessions/s, asyncio, 2 workers: ccert / Postfix",
        "SMTP sessions, asyncio, 2 workers, ccert",
        "SMTP sessions, Postfix",
        "for reference: the same sessions, Debian's smtpd that asks for certificates, discard(8)",
        caveat="Postfix has each message on disk before it says 250",
    )


ROWS = tuple(rows())


def test_sessions(clique, record, smoke):
    """Each variant takes every message and trusts every peer; so does Postfix."""
    rounds, sessions = (1, 5) if smoke else (ROUNDS, SESSIONS)
    with contextlib.ExitStack() as stack:
        servers = {
            (place, variant): stack.enter_context(started(clique.directory, variant, loop, workers))
            for place, (loop, workers) in PLACES.items()
            for variant in VARIANTS
        }
        mta = None if missing() else stack.enter_context(postfix(clique.directory))
        reference = Column("client", mta.port) if mta else None
        everyone = [*servers.values(), *filter(None, [reference])]
        loads = [
            stack.enter_context(running("smtp_load.py", directory=clique.directory))
            for _ in range(LOADS)
        ]
        for server in everyone:
            server.play(loads, WARM)
            server.forget()
        for _ in range(rounds):
            for server in everyone:
                server.play(loads, sessions)
            everyone.reverse()  # nobody always comes after the same one
        if mta:
            count = LOADS * (WARM + rounds * sessions)
            mta.wait_for_all("Trusted TLS connection established", count)
            mta.wait_for_all("status=sent", count)
    for (place, variant), server in servers.items():
        server.record(record, f"{place}, {variant}", place=place, line=variant)
    if not mta:
        pytest.skip(f"no reference row: {missing()}")
    reference.record(record, "Postfix", place="Postfix", line="Postfix", version=mta.version())
