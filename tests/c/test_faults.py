"""Memory runs out: at every allocation of the server, once or from then on, one run for each.

Strategy: ``tests/c/faults`` counts the allocations of one action (attach, a handshake, reading the
peer ...), repeats it with one of them failing, and compares with the action that had memory.  Its
table shows the outcomes; those that must not be make it fail.  Here it tries a part of the
positions, ``make faults`` all of them.  An old entry about memory is on OpenSSL's error queue each
time: it must not count.
"""

from __future__ import annotations

import os
import re

from compiled import MEMORY, run_whole

STEP = int(os.environ.get("CCERT_FAULTS_STEP") or 79)
WRAP = "-Wl,--wrap=calloc"
HARMLESS = {"number", "same", "refused"}
ACTIONS = {"attach", "renew", "detach", "CA names", "verify", "handshake", "peer"}


def _table(output: str) -> dict[str, dict[str, int]]:
    """Read the table: its rows by name, the sums as "all"."""
    head, *rows = [
        line for line in output.splitlines() if not line.startswith("  ") or "number" in line
    ]
    names = head.split()
    found = {}
    for row in rows:
        name, *numbers = re.split(r"\s\s+|\s(?=\d+(?:\s+\d+)*$)", row)
        found[name] = dict(zip(names, map(int, numbers), strict=True))
    return found


def test_no_allocation_s_failure_turns_a_verdict(program):
    """A fault leaves the right result or a clear failure: never another verdict, session, policy.

    A trusted partner is not Untrusted because the server has no memory: it would be turned away
    for good.  Neither does the next handshake suffer.  Nothing is leaked or used after its end.
    """
    output = run_whole(program("faults", WRAP, *MEMORY), STEP, 1, timeout=3600)
    print(output)
    table = _table(output)
    assert {name.partition(",")[0] for name in table} == {*ACTIONS, "all"}
    assert {name: n for name, n in table["all"].items() if n and name not in HARMLESS} == {}
    assert all(row["number"] > 0 for row in table.values())
    assert table["all"]["same"] > table["all"]["number"] // 10
    assert table["all"]["refused"] > table["all"]["number"] // 10
