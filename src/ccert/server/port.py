"""A port that the master keeps bound, so that it stays ours even if no worker listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccert.errors import ConfigError
from ccert.server.endpoint import Endpoint

if TYPE_CHECKING:
    import socket

__all__ = ["Port"]


class Port:
    """A port that is bound but does not listen itself.

    Args:
        endpoint: the address; port 0: the system chooses a port, the same for all workers.

    Raises:
        ConfigError: the port is not available.  A port that is in use counts as not available even
            if it is shared: otherwise a forgotten server would get half of the clients.
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
