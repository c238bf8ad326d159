"""A program of the bench in a process of its own, which is asked for things in lines of JSON.

A program gets its settings as one JSON argument, says a line when it is ready, and then answers
each line of its standard input with one line.  It ends with its input.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Process", "questions", "raise_file_limit", "running", "say"]

TIMEOUT = 200  # seconds, for one answer
PATIENCE = 20  # seconds, for the end
DRIVERS = Path(__file__).resolve().parent
SUPPORT = DRIVERS.parents[1] / "tests" / "support"  # pairs.py is there
ENVIRONMENT = os.environ | {"PYTHONPATH": str(SUPPORT)}


class Process:
    """A running program; ``ready`` is what it said first."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.ready = self.answer()

    def tell(self, **question: object) -> None:
        """Ask, without waiting for the answer."""
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return the answer to the oldest question; fail if there is none in time."""
        watchdog = threading.Timer(TIMEOUT, self._process.kill)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        assert line, f"no answer from {self._process.args}"
        return json.loads(line)

    def ask(self, **question: object) -> dict[str, Any]:
        """Ask, and return the answer."""
        self.tell(**question)
        return self.answer()


@contextlib.contextmanager
def running(program: str, **settings: object) -> Iterator[Process]:
    """Run a program of this directory until the block ends."""
    with subprocess.Popen(
        [sys.executable, DRIVERS / program, json.dumps(settings, default=str)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
    ) as process:  # fmt: skip
        try:
            yield Process(process)
            process.stdin.close()
            assert process.wait(PATIENCE) == 0, program
        finally:
            process.kill()


def raise_file_limit() -> int:
    """Allow as many open files as the system does; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def say(**answer: object) -> None:
    """Answer, from within a program."""
    print(json.dumps(answer), flush=True)


def questions() -> Iterator[dict[str, Any]]:
    """Yield what this program is asked, until its input ends."""
    for line in sys.stdin:
        yield json.loads(line)
