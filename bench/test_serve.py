"""``ccert serve`` beside a bare aiosmtpd on stock ``ssl`` and uvloop that throws mail away.

Strategy: as test_smtp.py, whose load it uses; one process each.  ``ccert serve`` writes each
message into a Maildir, with fsync, makes its log, and requires trust.  With the Maildir on a disk
it is beside Postfix's smtpd, which has its queue there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile

import pytest
from mta import missing
from process import running
from report import Row
from smtp_column import Column, started
from smtp_postfix import postfix
from smtp_serve import serve

ROUNDS, SESSIONS, WARM = 9, 200, 20
CROWD = 32  # clients
MEMORY, DISK = "/dev/shm", tempfile.gettempdir()

SESSION = "whole sessions with STARTTLS and a message, one process of the server, 4 clients at once"
STOCK = "stock on uvloop"
THROWN = (
    "ccert serve has each message in a Maildir on tmpfs before it says 250; the other throws it "
    "away"
)
ROWS = (
    Row(
        "SMTP sessions/s: ccert serve / aiosmtpd, uvloop, stock ssl",
        "SMTP sessions, ccert serve", f"SMTP sessions, {STOCK}", SESSION, ">= 1.0", caveat=THROWN,
    ),
    Row(
        "  ... CPU time", "SMTP CPU, ccert serve", f"SMTP CPU, {STOCK}",
        "user and system time of the server's process for a session",
    ),
    Row(
        "  ... the slowest of 100 sessions, 32 clients",
        "SMTP whole p99, ccert serve, crowd", f"SMTP whole p99, {STOCK}, crowd",
        "99th percentile of the time from connect to QUIT, one process of the server", "<= 1.0",
        caveat=THROWN,
    ),
    Row(
        "SMTP sessions/s, on a disk: ccert serve / Postfix",
        "SMTP sessions, ccert serve on a disk", "SMTP sessions, Postfix's queue",
        "whole sessions with STARTTLS and a message, a worker for each CPU, 4 clients at once",
        ">= 1.5",
        caveat="either has each message on the disk before it says 250; Postfix then hands it to "
        "discard(8), has a process for each client, and a queue to keep",
    ),
)  # fmt: skip


@pytest.fixture
def loads(clique):
    with running("smtp_load.py", directory=clique.directory) as load:
        yield [load]


def play(columns: dict[str, Column], loads, record, smoke, sessions=SESSIONS) -> None:
    """Put all under load, one after the other, again and again."""
    rounds, sessions, warm = (1, 5, 5) if smoke else (ROUNDS, sessions, WARM)
    for column in columns.values():
        column.play(loads, warm)
        column.forget()
    for _ in range(rounds):
        for column in columns.values():
            column.play(loads, sessions)
    for name, column in columns.items():
        column.record(record, name, plot="")


def test_serve(clique, loads, record, smoke):
    """Both take every message, of trusted clients only."""
    with (
        serve(clique.directory, MEMORY) as ours,
        started(clique.directory, "ssl's default", "uvloop", 1) as stock,
    ):
        columns = {"ccert serve": Column("peer", ours.port, [ours]), STOCK: stock}
        play(columns, loads, record, smoke)
        crowds = {
            f"{name}, crowd": dataclasses.replace(column, clients=CROWD)
            for name, column in columns.items()
        }
        for crowd in crowds.values():
            crowd.forget()
        play(crowds, loads, record, smoke, 2 * SESSIONS)


@pytest.mark.skipif(bool(missing()), reason=f"no reference: {missing()}")
def test_serve_on_disk(clique, loads, record, smoke):
    """Likewise, and all that Postfix has taken is in its log."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(serve(clique.directory, DISK, workers=os.cpu_count()))
        mta = stack.enter_context(postfix(clique.directory))
        columns = {
            "ccert serve on a disk": Column("peer", ours.port, [ours]),
            "Postfix's queue": Column("client", mta.port),
        }
        play(columns, loads, record, smoke)
        mta.wait_for_all("status=sent", 10 if smoke else WARM + ROUNDS * SESSIONS)
