"""A process full of clients, and the conversation that the test has with it."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from load.client import Attempt
    from load.scene import Scene


@dataclasses.dataclass
class Report:
    """What the clients did and saw.

    Attributes:
        attempts: to deliver.
        counts: of whatever is worth counting.
        failures: what no client should have seen.
    """

    attempts: list[Attempt] = dataclasses.field(default_factory=list)
    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    failures: list[str] = dataclasses.field(default_factory=list)


class Player:
    """Says "open" when all its clients are, lets them go on at a line, and stop at end of file.

    Args:
        name: unlike that of any other.
        scene: where to play.
    """

    def __init__(self, name: str, scene: Scene) -> None:
        self.name = name
        self.scene = scene
        self.report = Report()
        self.stopping = False
        self._open = asyncio.Semaphore(0)
        self._begun = asyncio.Event()

    async def run(self, clients: int) -> None:
        tasks = [asyncio.create_task(self._play(number)) for number in range(clients)]
        for _ in tasks:
            await self._open.acquire()
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        self._begun.set()
        await asyncio.to_thread(sys.stdin.read)
        self.stopping = True
        await asyncio.gather(*tasks)

    async def _play(self, number: int) -> None:
        try:
            await self.play(number)
        except Exception as error:  # noqa: BLE001 - whatever it is, the report has it
            self.report.failures.append(f"client {number}: {error!r}")
        finally:
            self._open.release()  # that nobody waits for it

    async def play(self, number: int) -> None:
        """Be a client until ``stopping``."""
        raise NotImplementedError

    async def begun(self) -> None:
        """Say that this client is open, if it is its first time, and wait until all are."""
        if not self._begun.is_set():
            self._open.release()
            await self._begun.wait()
