"""Clients that commit one fault after another, and odd honest ones."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
import ssl
from typing import TYPE_CHECKING

from load import faults
from load.cast import MAIL_ROLES
from load.client import VERSIONS, Visit, deliver, enter, leave
from load.interference import Cut, Dribbled, Garbled, Tampered
from load.player import Player

if TYPE_CHECKING:
    from load.connection import Connection
    from load.scene import Scene

_HANDSHAKE = 3000  # octets that a client's handshake has, about


class Trouble(Player):
    """Clients that are quick, and as many that try the server's patience."""

    def __init__(self, name: str, scene: Scene) -> None:
        super().__init__(name, scene)
        self._identifiers = (f"{name}-{n}" for n in itertools.count())

    async def run(self, clients: int) -> None:
        slow = [asyncio.create_task(self._commit("slow", number)) for number in range(clients)]
        await super().run(clients)
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)

    async def play(self, number: int) -> None:
        await self.begun()
        await self._commit("quick", number)

    async def _commit(self, speed: str, number: int) -> None:
        rng = random.Random(f"{self.name} {speed} {number}")
        kinds = [name for name in dir(self) if name.startswith(speed)]
        while not self.stopping:
            kind = rng.choice(kinds)
            visit = Visit(rng.choice(MAIL_ROLES), rng.choice(list(VERSIONS)), rng.random() < 0.5)
            try:
                await getattr(self, kind)(visit, rng)
            except Exception as error:  # noqa: BLE001 - whatever it is, the report has it
                self.report.failures.append(f"{kind} by {visit}: {error!r}")
            self.report.counts[kind] += 1

    async def quick_cut(self, visit: Visit, rng: random.Random) -> None:
        await faults.interfere(self.scene, visit, Cut, at=rng.randrange(_HANDSHAKE))

    async def quick_reset(self, visit: Visit, rng: random.Random) -> None:
        await faults.reset(self.scene, visit, rng.randrange(_HANDSHAKE))

    async def slow_stall(self, visit: Visit, rng: random.Random) -> None:
        await faults.stall(self.scene, visit, rng.randrange(_HANDSHAKE))

    async def quick_tamper(self, visit: Visit, rng: random.Random) -> None:
        at, mask = rng.randrange(_HANDSHAKE), 1 << rng.randrange(8)
        await faults.interfere(self.scene, visit, Tampered, at=at, mask=mask)

    async def quick_garble(self, visit: Visit, rng: random.Random) -> None:
        garbage, flight = _garbage(rng), rng.randrange(3)
        await faults.interfere(self.scene, visit, Garbled, flight=flight, garbage=garbage)

    async def quick_babble(self, visit: Visit, rng: random.Random) -> None:
        await faults.babble(self.scene, visit, _garbage(rng))

    async def quick_hang_up(self, visit: Visit, rng: random.Random) -> None:
        await faults.hang_up(self.scene, visit, rng.randrange(4), reset=rng.random() < 0.5)

    async def slow_ignore(self, visit: Visit, _: random.Random) -> None:
        await faults.ignore(self.scene, visit)

    async def quick_inject(self, visit: Visit, _: random.Random) -> None:
        await faults.inject(self.scene, dataclasses.replace(visit, implicit=False))

    async def quick_renegotiate(self, visit: Visit, _: random.Random) -> None:
        visit = dataclasses.replace(visit, role="extra", version=ssl.TLSVersion.TLSv1_2)
        await faults.renegotiate(self.scene, visit)

    async def quick_overload(self, visit: Visit, _: random.Random) -> None:
        await faults.overload(self.scene, dataclasses.replace(visit, role="too-large"))

    async def quick_load(self, visit: Visit, _: random.Random) -> None:
        """Send a chain that is just not too large."""
        await self._deliver(dataclasses.replace(visit, role="large"))

    async def quick_dribble(self, visit: Visit, _: random.Random) -> None:
        await self._deliver(visit, Dribbled)

    async def _deliver(self, visit: Visit, *kind: type[Connection]) -> None:
        async with self.scene.connected(visit, *kind) as connection:
            await enter(connection, visit, self.scene.cast)
            message = visit.message(next(self._identifiers))
            self.report.attempts.append(await deliver(connection, message))
            await leave(connection)


def _garbage(rng: random.Random) -> bytes:
    return rng.choice([rng.randbytes(2000), *faults.GARBAGE.values()])
