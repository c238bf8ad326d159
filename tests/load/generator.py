"""Honest clients: each comes, delivers some messages, and goes, again and again."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING

from load.cast import MAIL_ROLES, ROLES
from load.client import ACKNOWLEDGED, VERSIONS, RefusedError, Visit, deliver, enter, leave
from load.player import Player

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from load.scene import Scene

_VISITS = [Visit(*how) for how in itertools.product(MAIL_ROLES, VERSIONS, (False, True))]
_LINES = (10, 10, 10, 30, 500, 5000)  # of a message; the last is more than the server has in memory
_PAUSE = 0.05  # seconds before a client comes back to a server that has gone


class Generator(Player):
    """Clients to whom nothing must happen."""

    def __init__(self, name: str, scene: Scene) -> None:
        super().__init__(name, scene)
        self._tls_sessions: dict[Visit, ssl.SSLSession] = {}

    async def play(self, number: int) -> None:
        rng = random.Random(f"{self.name} {number}")
        visits = itertools.cycle(_VISITS)
        identifiers = (f"{self.name}-{number}-{n}" for n in itertools.count())
        for _ in range(number % len(_VISITS)):
            next(visits)
        while not self.stopping:
            waiting = rng.choices(_LINES, k=rng.randint(1, 4))
            while waiting and not self.stopping:
                await self.visit(next(visits), identifiers, waiting)

    async def visit(self, visit: Visit, identifiers: Iterator[str], waiting: list[int]) -> None:
        """Deliver what waits; what is acknowledged waits no longer."""
        async with self.scene.connected(visit) as connection:
            session = self._tls_sessions.pop(visit, None)
            await enter(connection, visit, self.scene.cast, session)
            if not ROLES[visit.role].foreign:
                self.report.counts["resumed"] += connection.tls.session_reused
                self._tls_sessions[visit] = connection.tls.session
            self.report.counts["sessions"] += 1
            await self.begun()
            while waiting and not self.stopping:
                attempt = await deliver(connection, visit.message(next(identifiers), waiting[-1]))
                self.report.attempts.append(attempt)
                if attempt.outcome != ACKNOWLEDGED:
                    raise ConnectionError(f"{visit}: {attempt}")
                waiting.pop()
            await leave(connection)


class Persistent(Generator):
    """Clients of a server that comes and goes: what is not acknowledged they send again."""

    async def visit(self, visit: Visit, identifiers: Iterator[str], waiting: list[int]) -> None:
        try:
            await super().visit(visit, identifiers, waiting)
        except (OSError, RefusedError):
            self.report.counts["interrupted"] += 1
            await asyncio.sleep(_PAUSE)
