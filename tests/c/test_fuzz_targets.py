"""Fuzzing guided by coverage: libFuzzer on the programs of ``tests/c/fuzz``.

Strategy: each target compares ccert with OpenSSL in its own process, and aborts where they differ.
The sanitizers look for the rest: memory that is not ours, leaks, undefined behaviour.  The first
inputs are the catalogue's (``seeds.py``).  ``CCERT_FUZZ_SECONDS`` says how long each target runs;
``make fuzz`` runs them for a quarter of an hour each.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest
import seeds
from compiled import MEMORY, compile_c, run, run_whole
from programs import ROOT, require_program, unavailable

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = int(os.environ.get("CCERT_FUZZ_SECONDS") or 5)
SOURCES = sorted(ROOT.glob("tests/c/fuzz/*.c"))
SHARED = sorted(ROOT.glob("tests/c/fuzz/shared/*.c"))
KEPT = ROOT / "fuzz"  # what is found, and the program that it is for
FLAGS = ("-fsanitize=fuzzer", *MEMORY, "-Itests/c/fuzz/shared")


@pytest.fixture(scope="session")
def clang(tmp_path_factory) -> str:
    """Skip where clang or its runtime for fuzzing is missing, or does not start."""
    require_program("clang")
    source = tmp_path_factory.mktemp("clang") / "nothing.c"
    source.write_text("int LLVMFuzzerTestOneInput(void) { return 0; }\n")
    try:
        run("clang", *FLAGS, source, "-o", source.with_suffix(""))
        run(source.with_suffix(""), "-runs=1")
    except AssertionError as error:
        unavailable(f"libFuzzer does not run here (is libclang-rt-dev missing?): {error}")
    return "clang"


@pytest.fixture(scope="session")
def first_inputs(tmp_path_factory) -> Path:
    """A folder of inputs for each target."""
    directory = tmp_path_factory.mktemp("inputs")
    seeds.write(directory)
    return directory


def _keep(program: Path, found: list[Path]) -> str:
    """Save the inputs that were found; say how to run them again."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for path in (program, *found):
        shutil.copy(path, KEPT)
    folder = KEPT.relative_to(ROOT)
    again = f"to see it again: ASAN_OPTIONS=detect_leaks=1 {folder}/{program.name} {folder}"
    return "\n".join(f"{again}/{path.name}" for path in found)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_target(clang, first_inputs, tmp_path, source):
    """ccert neither crashes nor leaks nor contradicts OpenSSL, whatever the input."""
    target = source.stem
    program = compile_c(tmp_path / target, [source, *SHARED], *FLAGS, compiler=clang)
    for folder in ("corpus", "found"):
        (tmp_path / folder).mkdir()
    try:
        output = run_whole(
            program, f"-max_total_time={SECONDS}", "-timeout=60", "-rss_limit_mb=4096",
            f"-artifact_prefix={tmp_path}/found/{target}-", tmp_path / "corpus",
            first_inputs / target, timeout=SECONDS + 300,
        )  # fmt: skip
    except AssertionError as error:
        pytest.fail(f"{error}\n{_keep(program, sorted((tmp_path / 'found').iterdir()))}")
    runs = int(re.search(r"^Done (\d+) runs", output, re.MULTILINE)[1])
    coverage = re.findall(r"cov: \d+ ft: \d+ corp: \d+", output)[-1]
    print(f"\n{target}: {runs} runs in {SECONDS} s, {coverage}")
    assert runs > len(list((first_inputs / target).iterdir()))
