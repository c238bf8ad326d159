"""The processes that load and plague the server."""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from load.client import Attempt
from load.player import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from load.client import Ports

_TESTS = Path(__file__).parent.parent
UNMEASURED = {"COVERAGE_PROCESS_CONFIG": ""}  # coverage would make a fair load a heavy one
_PATIENCE = 120  # seconds
_NUMBERS = itertools.count()


class Process:
    """The test's end of the conversation with a :class:`load.player.Player`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def wait_until_open(self) -> None:
        assert self._process.stdout.readline() == "open\n"

    def begin(self) -> None:
        self._process.stdin.write("begin\n")
        self._process.stdin.flush()

    def end(self) -> Report:
        """Let the clients stop; return their report."""
        text, _ = self._process.communicate(timeout=_PATIENCE)
        assert self._process.returncode == 0
        report = json.loads(text)
        attempts = [Attempt(**attempt) for attempt in report["attempts"]]
        return Report(attempts, collections.Counter(report["counts"]), report["failures"])


@contextlib.contextmanager
def playing(kind: str, directory: Path, ports: Ports, clients: int) -> Iterator[Process]:
    """Start a process full of clients; it ends with the block."""
    words = (kind, directory, f"{kind}{next(_NUMBERS)}", ports.starttls, ports.implicit, clients)
    with subprocess.Popen(
        [sys.executable, "-m", "load", *map(str, words)],
        cwd=_TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | UNMEASURED | {"PYTHONPATH": str(_TESTS / "support")},
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()
