"""tlsfuzzer's scripts, against servers that differ in one thing: whether ccert is attached."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import re
import subprocess
from typing import TYPE_CHECKING

from server import KINDS, serving

if TYPE_CHECKING:
    from pathlib import Path

    from server import Identity

ATTEMPTS = 5  # some conversations end by chance, on stock, too
CONVERSATIONS = "20"  # at most, of each script
PATIENCE = 60  # seconds
JOBS = 4
_SEEDED = "import random, runpy, sys; random.seed(1); runpy.run_path({!r}, run_name='__main__')"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a script says of a server, in one attempt or several.

    Attributes:
        finished: whether it came to an end in time.
        succeeded: whether all conversations passed.
        passed: how many did.
        failing: those that fail each time.
    """

    finished: bool = False
    succeeded: bool = False
    passed: int = 0
    failing: frozenset[str] = frozenset()

    def __str__(self) -> str:
        if not self.finished:
            return "no end"
        return f"{self.passed}{'' if self.succeeded else ', fails'}"

    def and_again(self, later: Outcome) -> Outcome:
        """Return the outcome of both attempts."""
        if not self.finished or not later.finished:
            return self if self.finished else later
        return Outcome(
            True,
            self.succeeded or later.succeeded,
            max(self.passed, later.passed),
            self.failing & later.failing,
        )

    def is_worse_than(self, stock: Outcome) -> bool:
        """Tell whether something that passes there fails here."""
        return stock.finished and (
            not self.finished
            or (stock.succeeded and not self.succeeded)
            or not self.failing <= stock.failing
        )


def run_scripts(tlsfuzzer: Path, python: Path, identity: Identity) -> dict[str, dict[str, Outcome]]:
    """Run each script against each kind of server.

    Args:
        tlsfuzzer: its source tree.
        python: an interpreter that has what it needs.
        identity: of server and client.
    """
    scripts = sorted(tlsfuzzer.glob("tlsfuzzer/_apps/test_*.py"))
    with contextlib.ExitStack() as stack:
        ports = {
            (kind, mode): stack.enter_context(serving(kind, mode, identity))
            for kind in KINDS
            for mode in ("none", "optional")
        }

        def compare(script: Path) -> dict[str, Outcome]:
            text = script.read_text()
            mode = "optional" if "== '-k'" in text else "none"
            options = ["-n", CONVERSATIONS] if "== '-n'" in text else []
            if mode == "optional":
                options += ["-k", str(identity.certificate), "-c", str(identity.certificate)]
            return _compare(
                {
                    kind: [
                        *(python, "-c", _SEEDED.format(str(script)), *options),
                        *("-h", "127.0.0.1", "-p", str(ports[kind, mode])),
                    ]
                    for kind in KINDS
                },
                tlsfuzzer,
            )

        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            return dict(zip((s.stem for s in scripts), pool.map(compare, scripts), strict=True))


def _compare(commands: dict[str, list], folder: Path) -> dict[str, Outcome]:
    """Run a script for each kind of server, and again if an attached one does worse."""
    outcomes = dict.fromkeys(commands, Outcome())
    for _ in range(ATTEMPTS):
        for kind, command in commands.items():
            outcomes[kind] = outcomes[kind].and_again(_run(command, folder))
        if not any(outcome.is_worse_than(outcomes["stock"]) for outcome in outcomes.values()):
            break
    return outcomes


def _run(command: list, folder: Path) -> Outcome:
    try:
        done = subprocess.run(
            command, cwd=folder, env={"PYTHONPATH": str(folder)}, timeout=PATIENCE, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Outcome()
    passed = re.search(r"^PASS: (\d+)", done.stdout, re.MULTILINE)
    _, _, named = done.stdout.partition("\nFAILED:\n")
    failing = re.findall(r"^\t(.+)", named, re.MULTILINE) if done.returncode else []
    if done.returncode and not failing:
        failing = ["the script"]
    return Outcome(True, done.returncode == 0, int(passed[1]) if passed else 0, frozenset(failing))
