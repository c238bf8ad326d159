"""Honest clients with open TLS connections, who speak while somebody else commits a fault.

What a fault leaves behind in the server's thread, they would stumble over.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, Any

from load.client import VERSIONS, Attempt, Visit, deliver, enter, expect, leave

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from load.connection import Connection
    from load.scene import Scene

_NUMBERS = itertools.count()
_TALK = 50  # NOOPs from one message to the next; the server has enough of 100


class Bystanders:
    """One for each TLS version and port.

    Attributes:
        attempts: what they have delivered.
    """

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    @contextlib.asynccontextmanager
    async def present(self, scene: Scene) -> AsyncIterator[None]:
        """Have them come, and in the end deliver and leave."""
        async with contextlib.AsyncExitStack() as stack:
            present = []
            for version, implicit in itertools.product(VERSIONS, (False, True)):
                visit = Visit("both", version, implicit)
                connection = await stack.enter_async_context(scene.connected(visit))
                await enter(connection, visit, scene.cast)
                present.append((visit, connection))
            self._turns = itertools.cycle(itertools.product(range(_TALK), present))
            yield
            for visit, connection in present:
                await self._deliver(visit, connection)
                await leave(connection)

    async def speak_during(self, fault: Coroutine[Any, Any, None]) -> None:
        """Speak, one after the other, until the fault has been committed, and once more."""
        task = asyncio.create_task(fault)
        while not task.done():
            await self._speak()
        await self._speak()
        await task

    async def _speak(self) -> None:
        turn, (visit, connection) = next(self._turns)
        if turn:
            await expect(250, await connection.command("NOOP"))
        else:
            await self._deliver(visit, connection)

    async def _deliver(self, visit: Visit, connection: Connection) -> None:
        message = visit.message(f"bystander-{next(_NUMBERS)}")
        self.attempts.append(await deliver(connection, message))
