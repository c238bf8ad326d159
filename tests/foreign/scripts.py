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

ATTEMPTS = 5  # a script that depends on time may fail by chance
CONVERSATIONS = "20"  # at most, of each script
PATIENCE = 60  # seconds
JOBS = 4
_SEEDED = "import random, runpy, sys; random.seed(1); runpy.run_path({!r}, run_name='__main__')"


@dataclasses.dataclass(frozen=True, order=True)
class Outcome:
    """What a script says of a server: how many conversations passed, and whether all did.

    ``finished``: whether it came to an end in time.
    """

    finished: bool
    succeeded: bool = False
    passed: int = 0

    def __str__(self) -> str:
        if not self.finished:
            return "no end"
        return f"{self.passed}{'' if self.succeeded else ', fails'}"

    def is_worse_than(self, stock: Outcome) -> bool:
        """Tell whether something that passes there fails here."""
        return stock.finished and (
            (stock.succeeded and not self.succeeded) or self.passed < stock.passed
        )


_NOTHING = Outcome(finished=False)


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
    best = dict.fromkeys(commands, _NOTHING)
    for _ in range(ATTEMPTS):
        for kind, command in commands.items():
            best[kind] = max(best[kind], _run(command, folder))
        if not any(outcome.is_worse_than(best["stock"]) for outcome in best.values()):
            break
    return best


def _run(command: list, folder: Path) -> Outcome:
    try:
        done = subprocess.run(
            command, cwd=folder, env={"PYTHONPATH": str(folder)}, timeout=PATIENCE, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Outcome(finished=False)
    passed = re.search(r"^PASS: (\d+)", done.stdout, re.MULTILINE)
    return Outcome(True, done.returncode == 0, int(passed[1]) if passed else 0)
