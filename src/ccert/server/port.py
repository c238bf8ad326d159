"""A port that the master holds, so that it stays ours even while no worker listens there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccert.errors import ConfigError
from ccert.server.endpoint import Endpoint

if TYPE_CHECKING:
    import socket

__all__ = ["Port"]


class Port:
    """Bound, but without listening itself.

    Args:
        endpoint: where; port 0: one that the system chooses, and which is the same for all workers.

    Raises:
        ConfigError: it cannot be had, not even if whoever has it would share it: to a server that
            was forgotten would go half of the clients.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        try:
            endpoint.bind(shared=False).close()
            self._held = endpoint.bind()
        except OSError as error:
            raise ConfigError(f"cannot listen on {endpoint}: {error.strerror}") from error

    def __str__(self) -> str:
        return str(self._endpoint())

    def share(self) -> socket.socket:
        """Return another socket on the port, for a worker to listen on."""
        return self._endpoint().bind()

    def _endpoint(self) -> Endpoint:
        return Endpoint(*self._held.getsockname()[:2])
