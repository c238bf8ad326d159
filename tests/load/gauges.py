"""What the server's workers take: memory and file descriptors."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from load.connection import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Collection

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass(frozen=True)
class Reading:
    """The sum over the workers, at a time in seconds; memory is the resident set in MB."""

    time: float
    memory: float
    descriptors: int

    def __str__(self) -> str:
        return f"{self.memory:.1f} MB, {self.descriptors} descriptors"


class Gauges:
    """Readings of the same workers, who must live as long.

    Args:
        workers: their process ids.
    """

    def __init__(self, workers: Collection[int]) -> None:
        self._workers = [Path(f"/proc/{worker}") for worker in workers]
        self._noted: list[Reading] = []

    def read(self) -> Reading:
        pages = sum(int((path / "statm").read_text().split()[1]) for path in self._workers)
        descriptors = sum(len(list((path / "fd").iterdir())) for path in self._workers)
        return Reading(time.monotonic(), pages * _PAGE / 1e6, descriptors)

    def note(self) -> Reading:
        """Read, for what is said of all readings."""
        self._noted.append(self.read())
        return self._noted[-1]

    def wait_for_descriptors(self, descriptors: int) -> None:
        """Wait until no more are open than when nobody had connected."""
        end = time.monotonic() + PATIENCE
        while (now := self.read().descriptors) > descriptors:
            assert time.monotonic() < end, f"{now} descriptors, not {descriptors}"
            time.sleep(0.01)

    def memory_growth(self) -> float:
        """Return the slope of memory over the last half of what was noted: percent a minute."""
        half = self._noted[len(self._noted) // 2 :]
        times, memories = [r.time for r in half], [r.memory for r in half]
        slope = statistics.linear_regression(times, memories).slope
        return 100 * 60 * slope / statistics.fmean(memories)

    def __str__(self) -> str:
        first, half, last = (self._noted[i] for i in (0, len(self._noted) // 2, -1))
        return (
            f"memory {first.memory:.1f} MB at first, {half.memory:.1f} MB at half time, "
            f"{last.memory:.1f} MB at last, {self.memory_growth():+.2f} % a minute since half; "
            f"up to {max(r.descriptors for r in self._noted)} descriptors"
        )
