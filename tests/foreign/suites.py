"""CPython's own tests of ssl, with ccert attached to every context that serves, beside stock."""

from __future__ import annotations

import collections
import concurrent.futures
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from server import KINDS

MODULES = ("test.test_ssl", "test.test_asyncio.test_ssl", "test.test_asyncio.test_sslproto")
ATTEMPTS = 2  # some of them depend on time
_PROGRAM = Path(__file__).with_name("run_suite.py")


def run_suites() -> dict[str, dict[str, str]]:
    """Run all; return the outcome of each test, by kind and name."""
    with concurrent.futures.ThreadPoolExecutor() as pool:  # they mostly wait
        outcomes = dict(zip(KINDS, pool.map(_run, KINDS), strict=True))
    for _ in range(ATTEMPTS - 1):
        for kind in KINDS:
            for name in worse(outcomes, kind):
                outcomes[kind] |= _run(kind, name)
    return outcomes


def worse(outcomes: dict[str, dict[str, str]], kind: str) -> list[str]:
    """Return the tests that pass stock, and do not pass here."""
    return sorted(
        name
        for name, outcome in outcomes["stock"].items()
        if outcome == "passed" and outcomes[kind].get(name) != "passed"
    )


def count(outcomes: dict[str, str], module: str) -> collections.Counter[str]:
    return collections.Counter(
        outcome for name, outcome in outcomes.items() if name.startswith(f"{module}.")
    )


def _run(kind: str, *names: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", _PROGRAM, kind, *(names or MODULES)],
            cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True, check=False, timeout=300,
        )  # fmt: skip
        if done.returncode:  # a crash
            log.seek(0)
            raise SystemExit(
                f"CPython's tests, {kind}: exit status {done.returncode}\n{log.read()}"
            )
    return json.loads(done.stdout.rpartition("\n")[2])  # some of them print
