"""C programs of the benches: compile them."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["CSRC", "DRIVERS", "compile_c"]

DRIVERS = Path(__file__).resolve().parent
CSRC = DRIVERS.parents[1] / "csrc"
COMPILE = (
    "gcc", "-std=c11", "-g", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow",
    "-Wstrict-prototypes", "-Werror", f"-I{CSRC}",
)  # fmt: skip


def compile_c(source: str, output: Path, *arguments: str | Path) -> Path:
    """Compile a file of this directory, with ccert's own files or ``-shared`` as ``arguments``."""
    command = [*COMPILE, DRIVERS / source, *arguments, "-o", output, "-lssl", "-lcrypto"]
    subprocess.run(command, check=True)
    return output
