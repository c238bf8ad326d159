"""Where to listen: ``HOST:PORT`` with a name, an IPv4 address or an IPv6 address in brackets."""

from __future__ import annotations

import dataclasses
import re
import socket

__all__ = ["Endpoint", "parse_endpoint"]

_FORM = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>\d{1,5})")
_MAX_PORT = 65535


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A host and a port; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def bind(self, *, shared: bool = True) -> socket.socket:
        """Return a socket that is bound to the endpoint and does not listen yet.

        Args:
            shared: allow other sockets that share the port, too (SO_REUSEPORT).

        Raises:
            OSError: the host is unknown, or the address is not available.
        """
        family, kind, protocol, _, address = socket.getaddrinfo(
            self.host, self.port, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)  # else asyncio does not set TCP_NODELAY
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
            if family == socket.AF_INET6:  # so that 0.0.0.0 and [::] can both be used
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
        return bound


def parse_endpoint(text: str) -> Endpoint:
    """Read ``HOST:PORT``.

    Raises:
        ValueError: it is something else.
    """
    match = _FORM.fullmatch(text)
    if not match or int(match["port"]) > _MAX_PORT:
        raise ValueError(
            f"{text!r} is not HOST:PORT (such as 127.0.0.1:8025 or [::]:25; all hosts: 0.0.0.0)"
        )
    return Endpoint(match["v6"] or match["host"], int(match["port"]))
