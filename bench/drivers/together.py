"""Several handshakes at a time, in threads or in processes: how long they take altogether."""

from __future__ import annotations

import multiprocessing
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier

__all__ = ["Runs", "in_processes", "in_threads"]

PATIENCE = 60  # seconds, until all are ready


class Runs(Protocol):
    """Handshakes of whatever library."""

    def run(self, count: int) -> None:
        """Shake hands so often."""


def in_threads(several: list[Runs], count: int) -> float:
    """Let each shake hands so often in a thread of its own; return what they took, in seconds.

    Raises:
        Exception: what the first thread that failed had raised.
    """
    barrier = threading.Barrier(len(several) + 1)
    failures = []

    def run(handshakes: Runs) -> None:
        barrier.wait(PATIENCE)
        try:
            handshakes.run(count)
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(handshakes,)) for handshakes in several]
    for thread in threads:
        thread.start()
    barrier.wait(PATIENCE)
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    if failures:
        raise failures[0]
    return took


def in_processes(
    make: Callable[..., Runs], arguments: tuple, several: int, count: int, rounds: int
) -> list[float]:
    """Let so many new processes do likewise, again and again; return what each round took.

    Args:
        make: returns the handshakes of a process; it is called there.
        arguments: for it.
        several: how many processes.
        count: handshakes of each in a round.
        rounds: how often.

    Raises:
        EOFError: one of them failed; its traceback is on stderr.
    """
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(several)
    ends = []
    processes = []
    for _ in range(several):
        ours, theirs = spawn.Pipe(duplex=False)
        what = make, arguments, count, rounds, barrier, theirs
        process = spawn.Process(target=_child, args=what)
        process.start()
        theirs.close()
        processes.append(process)
        ends.append(ours)
    took = []
    for _ in range(rounds):
        starts, stops = zip(*(end.recv() for end in ends), strict=True)
        took.append(max(stops) - min(starts))
    for process in processes:
        process.join()
    return took


def _child(
    make: Callable[..., Runs],
    arguments: tuple,
    count: int,
    rounds: int,
    barrier: Barrier,
    told: Connection,
) -> None:
    handshakes = make(*arguments)
    handshakes.run(2)
    for _ in range(rounds):
        barrier.wait(PATIENCE)
        start = time.monotonic()  # the same clock in all processes
        handshakes.run(count)
        told.send((start, time.monotonic()))
