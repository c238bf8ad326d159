"""Where clients play: a server, and certificates to come with."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from load.connection import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from load.cast import Cast
    from load.client import Ports, Visit


@dataclasses.dataclass(frozen=True)
class Scene:
    """A server, and those who may connect to it."""

    ports: Ports
    cast: Cast

    @contextlib.asynccontextmanager
    async def connected(
        self, visit: Visit, kind: type[Connection] = Connection, **how
    ) -> AsyncIterator[Connection]:
        """Connect, by a connection of some kind."""
        connection = await kind.open(visit.port(self.ports), **how)
        with contextlib.closing(connection):
            yield connection
