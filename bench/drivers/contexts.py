"""TLS contexts that benches compare, from a directory with server.pem, root.pem and the like.

Needs Python, ccert and nothing else, as it also runs under valgrind and in other distributions.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import ccert

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["attached", "client", "default", "frugal", "server"]


def client(directory: Path, certificate: str) -> ssl.SSLContext:
    """Make a client's: ``peer`` has a certificate for servers only, ``client`` for clients only."""
    context = ssl.create_default_context(cafile=directory / "root.pem")
    context.load_cert_chain(directory / f"{certificate}.pem")
    return context


def server(directory: Path) -> ssl.SSLContext:
    """Make the server's that ccert's README recommends, with the setting on."""
    return ccert.ServerContext(
        directory / "server.pem", cafile=directory / "root.pem", trust_server_ccerts=True
    )


def default(directory: Path) -> ssl.SSLContext:
    """Make the server's that ``ssl`` recommends, told to ask for certificates; no ccert."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=directory / "root.pem")
    context.load_cert_chain(directory / "server.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def frugal(directory: Path) -> ssl.SSLContext:
    """Make the default one keep sessions as ccert does: in memory, with one ticket each."""
    context = default(directory)
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 1
    return context


def attached(directory: Path) -> ssl.SSLContext:
    """Make a frugal one, and attach ccert: callbacks are all that it has more."""
    context = frugal(directory)
    ccert.attach(context, trust_server_ccerts=True)
    return context
