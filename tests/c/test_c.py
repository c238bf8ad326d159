"""The C files by themselves, without Python: fuzzing of the decision, and races.

Strategy: the programs in ``tests/c`` are linked with ``csrc`` and know nothing of pytest; they tell
what they saw in their last line and fail by exit status.  The same program runs natively, with
gcc's sanitizers and under valgrind.  The fuzz is split into parts that run at the same time, each
with a seed of its own, so that a run is the same everywhere.

``CCERT_THREADS_SECONDS`` says for how long threads share contexts, in each kind.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
import re
import time
from typing import TYPE_CHECKING

import pytest
from cases import CASES
from compiled import MEMORY, THREADS, run
from programs import require_program
from seeds import ekus

if TYPE_CHECKING:
    from pathlib import Path

VALGRIND = (
    "valgrind", "--quiet", "--fair-sched=yes", "--leak-check=full", "--error-exitcode=9",
    "--errors-for-leak-kinds=definite,indirect,possible",
)  # fmt: skip

PARTS = 4
THREADS_SECONDS = int(os.environ.get("CCERT_THREADS_SECONDS") or 0)
VALGRIND_ENCODINGS = int(os.environ.get("CCERT_C_FUZZ_VALGRIND") or 1600)
READERS = (1, 4)  # a single one is the likeliest to leave at a bad moment


def _numbers(line: str) -> dict[str, int]:
    """Read "name: 12 apples, 3 rotten pears"."""
    return {name: int(number) for number, name in re.findall(r"(\d+) ([a-z ]+)", line)}


@pytest.fixture(scope="session")
def thread_sanitizer(tmp_path_factory):
    """Skip where ThreadSanitizer's runtime does not start: older ones refuse newer kernels."""
    require_program("gcc")
    path = tmp_path_factory.mktemp("tsan") / "nothing"
    path.with_suffix(".c").write_text("int main(void) { return 0; }\n")
    try:
        run("gcc", *THREADS, path.with_suffix(".c"), "-o", path)
        run(path)
    except AssertionError as error:
        pytest.skip(f"ThreadSanitizer does not run here: {error}")
    return THREADS


@pytest.fixture(scope="session")
def seeds(clique, tmp_path_factory) -> list[Path]:
    """One certificate file for each distinct EKU of the catalogue."""
    directory = tmp_path_factory.mktemp("seeds")
    leaves = {}
    for case in CASES:
        der = case.build(clique).sent[0].der
        leaves.setdefault(ekus(der), (case.name, der))
    for name, der in leaves.values():
        (directory / f"{name}.der").write_bytes(der)
    return sorted(directory.iterdir())


def _decide(command, encodings: int, seeds: list[Path]) -> collections.Counter[str]:
    """Fuzz in parts at the same time; return what they saw together."""
    with concurrent.futures.ThreadPoolExecutor(PARTS) as pool:
        parts = [
            pool.submit(run, *command, encodings // PARTS, part, *seeds, timeout=3600)
            for part in range(1, PARTS + 1)
        ]
    total = collections.Counter()
    for part in parts:
        total.update(_numbers(part.result()))
    print(dict(total))
    return total


def test_seeds_are_the_catalogues(seeds):
    """The fuzz starts from every kind of EKU: absent, one, repeated, malformed."""
    kinds = {len(ekus(path.read_bytes())) for path in seeds}
    assert kinds == {0, 1, 2}
    assert len(seeds) >= 30


def test_decision(program, seeds):
    """For 130 000 encodings of an EKU, decision and verdict are those of the rule's words.

    The rule's words: decode the extension, walk its OIDs; serverAuth and not clientAuth.  The
    error queue is left as it was.  Each outcome is frequent enough for this to mean something.
    (More than 100 000 of the encodings are distinct.)
    """
    seen = _decide([program("decision")], 130_000, seeds)
    assert seen["encodings"] == 130_000
    assert seen["disagreements"] == 0
    for outcome in ("as server", "trusted", "undecodable", "repeated"):
        assert 1000 < seen[outcome] < 100_000, outcome


def test_decision_with_sanitizers(program, seeds):
    """Deciding 20 000 encodings neither touches foreign memory nor leaks nor is undefined."""
    seen = _decide([program("decision", *MEMORY)], 20_000, seeds)
    assert (seen["encodings"], seen["disagreements"]) == (20_000, 0)
    assert seen["as server"] > 1000
    assert seen["undecodable"] > 1000


def test_decision_under_valgrind(program, seeds):
    """Nor, with OpenSSL's own accesses watched, does deciding some thousand encodings.

    ``CCERT_C_FUZZ_VALGRIND`` says how many.
    """
    seen = _decide([*VALGRIND, program("decision")], VALGRIND_ENCODINGS, seeds)
    assert seen["encodings"] >= VALGRIND_ENCODINGS // PARTS * PARTS
    assert seen["disagreements"] == 0
    assert seen["as server"] > VALGRIND_ENCODINGS // 20
    assert seen["undecodable"] > VALGRIND_ENCODINGS // 20


def _exchange(command, rounds: int) -> None:
    for readers in READERS:
        seen = _numbers(run(*command, rounds, readers))
        print(seen)
        assert (seen["exchanges"], seen["faults"]) == (2 * rounds, 0)
        assert seen["seen"] >= rounds
        assert seen["times none"] > rounds // 4


def test_policy_exchange(program):
    """A setting that is exchanged while threads read it is found whole, never half or older."""
    _exchange([program("policy")], 50_000)


def test_policy_exchange_with_memory_sanitizers(program):
    """A replaced setting is freed, and not before its last reader has left."""
    _exchange([program("policy", *MEMORY)], 50_000)


def test_policy_exchange_with_thread_sanitizer(program, thread_sanitizer):
    """Exchanging, reading and freeing a setting are ordered, not just lucky."""
    _exchange([program("policy", *thread_sanitizer)], 50_000)


def test_policy_exchange_under_valgrind(program):
    """Neither exchanging settings nor freeing the SSL_CTX leaks, installed or removed."""
    _exchange([*VALGRIND, program("policy")], 500)


def _register(command, rounds: int) -> None:
    seen = _numbers(run(*command, rounds, 4))
    print(seen)
    assert seen["faults"] == 0
    assert seen["found"] > 2 * rounds
    assert seen["missed"] > rounds


def test_registry(program):
    """Each connection is found while it is there, and by no address that is used again later."""
    _register([program("registry")], 20_000)


def test_registry_with_memory_sanitizers(program):
    """Slots are not freed under those who walk along them, and not lost."""
    _register([program("registry", *MEMORY)], 5_000)


def test_registry_with_thread_sanitizer(program, thread_sanitizer):
    """Adding, finding and removing are ordered, not just lucky."""
    _register([program("registry", *thread_sanitizer)], 2_000)


def _share(command, rounds: int) -> None:
    """Let 64 threads share contexts, once or for the time that is wanted."""
    until = time.monotonic() + THREADS_SECONDS
    while True:
        seen = _numbers(run(*command, rounds, 64))
        print(seen)
        assert seen["faults"] == 0
        for outcome in ("finished", "failed", "told", "changes"):
            assert seen[outcome] > rounds, outcome
        if time.monotonic() > until:
            return
        rounds += 1  # another sequence for each thread


def test_sharing(program):
    """Every client gets its verdict, whatever other threads do with the SSL_CTXs meanwhile."""
    _share([program("sharing")], 20)


def test_sharing_with_memory_sanitizers(program):
    """Nothing is freed that another thread still uses, and all is in the end."""
    _share([program("sharing", *MEMORY)], 10)


def test_sharing_with_thread_sanitizer(program, thread_sanitizer):
    """What the threads share in ccert is ordered; OpenSSL itself is not watched."""
    _share([program("sharing", *thread_sanitizer)], 8)
