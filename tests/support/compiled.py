"""Programs in C, linked with csrc: compile them, and run them with the sanitizers' settings."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from programs import ROOT, require_program

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FLAGS = (
    "-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Wshadow",
    "-Wstrict-prototypes", "-Werror", "-Icsrc", "-Itests/c/shared",
)  # fmt: skip
LIBRARIES = ("-lssl", "-lcrypto", "-pthread")
MEMORY = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
THREADS = ("-fsanitize=thread",)
PATIENCE = 1200  # seconds: with ThreadSanitizer on a busy machine, more than five minutes


def _environment() -> dict[str, str]:
    """Return ours without what ``make sanitize`` sets: programs here bring their own runtime."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "LD_PRELOAD" and not name.endswith("SAN_OPTIONS")
    }
    return kept | {
        "ASAN_OPTIONS": "detect_leaks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        # OpenSSL is not compiled with it, so its reference counts would look like races
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1",
    }


def run(*command, timeout: float = PATIENCE) -> str:
    """Run a command that must succeed; return its last line."""
    return run_whole(*command, timeout=timeout).rstrip().rpartition("\n")[2]


def run_whole(*command, timeout: float = PATIENCE) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}"
    return done.stdout


def compile_c(path: Path, sources: Iterable[Path], *flags: str, compiler: str = "gcc") -> Path:
    """Compile sources of tests/c together with csrc and tests/c/shared."""
    require_program(compiler)
    ours = [*sorted(ROOT.glob("csrc/*.c")), *sorted(ROOT.glob("tests/c/shared/*.c"))]
    run(compiler, *FLAGS, *flags, *ours, *sources, "-o", path, *LIBRARIES)
    return path
