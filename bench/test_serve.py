"""``ccert serve`` beside a bare aiosmtpd on stock ``ssl`` and uvloop that throws mail away.

Strategy: as test_smtp.py, whose load it uses; one process each.  ``ccert serve`` writes each
message into a Maildir in memory, with fsync, makes its log, and requires trust.
"""

from __future__ import annotations

import contextlib

from process import running
from report import Row
from smtp_column import Column, started
from smtp_serve import serve

ROUNDS, SESSIONS, WARM = 9, 200, 20
SESSION = "whole sessions with STARTTLS and a message, one process of the server, 4 clients at once"
STOCK = "stock on uvloop"

ROWS = (
    Row(
        "SMTP sessions/s: ccert serve / aiosmtpd, uvloop, stock ssl",
        "SMTP sessions, ccert serve", f"SMTP sessions, {STOCK}", SESSION, ">= 1.0",
        caveat="ccert serve has each message in a Maildir on tmpfs before it says 250; the other "
        "throws it away",
    ),
    Row(
        "  ... CPU time", "SMTP CPU, ccert serve", f"SMTP CPU, {STOCK}",
        "user and system time of the server's process for a session",
    ),
)  # fmt: skip


def test_serve(clique, record, smoke):
    """Both take every message, of trusted clients only."""
    rounds, sessions, warm = (1, 5, 5) if smoke else (ROUNDS, SESSIONS, WARM)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(serve(clique.directory))
        columns = {
            "ccert serve": Column("peer", ours.port, [ours]),
            STOCK: stack.enter_context(started(clique.directory, "ssl's default", "uvloop", 1)),
        }
        loads = [stack.enter_context(running("smtp_load.py", directory=clique.directory))]
        for column in columns.values():
            column.play(loads, warm)
            column.forget()
        for _ in range(rounds):
            for column in columns.values():
                column.play(loads, sessions)
    for name, column in columns.items():
        column.record(record, name, plot="")
