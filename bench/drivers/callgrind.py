"""Count instructions with valgrind's callgrind, where time is too noisy.

The profiled program says itself what belongs to a part of the profile and how that is called
(handshake.c).  Counts are of a CPU as valgrind emulates it: one without SHA and AVX-512
instructions, so hashing counts for more than it takes.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Part", "profile"]

TIMEOUT = 300  # seconds
_ANNOTATED = re.compile(r" *([\d,]+) \( *[\d.]+%\)  ([*>]) +(\S+):(\w+)(?:'\d+)? ")


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a profile.

    Attributes:
        instructions: in all.
        functions: of ccert: instructions with whatever they call, by name.
        calls: instructions of what ccert's functions call, by caller and callee.
    """

    instructions: int
    functions: dict[str, int]
    calls: dict[tuple[str, str], int]


def profile(directory: Path, *command: str | Path) -> dict[str, Part]:
    """Run a command under callgrind; return the parts of its profile by name.

    Args:
        directory: for the profile's files.
        command: to run.
    """
    output = directory / "callgrind"
    options = ["--quiet", "--tool=callgrind", "--collect-atstart=no"]
    subprocess.run(
        ["valgrind", *options, f"--callgrind-out-file={output}", *command],
        check=True,
        timeout=TIMEOUT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    return dict(_part(path) for path in directory.glob("callgrind.*"))


def _part(path: Path) -> tuple[str, Part]:
    text = path.read_text(encoding="utf-8", errors="replace")
    name = re.search(r"(?m)^desc: Trigger: Client Request: (.+)$", text)
    total = re.search(r"(?m)^summary: (\d+)$", text)
    assert name is not None, f"{path}: a part without a name"
    assert total is not None, f"{path}: a part without a total"
    command = ["callgrind_annotate", "--inclusive=yes", "--tree=calling", "--threshold=100", path]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT)
    part = Part(int(total[1]), {}, {})
    caller = None
    for line in filter(None, map(_ANNOTATED.match, done.stdout.splitlines())):
        count, mark, file, function = int(line[1].replace(",", "")), line[2], line[3], line[4]
        if mark == "*":
            caller = function if "csrc/" in file else None
            if caller:
                part.functions[function] = count
        elif caller:
            part.calls[caller, function] = count
    return name[1], part
