"""The two servers that are compared where whole connections are: ccert's and ``ssl``'s default.

ccert's peers list serverAuth only and are trusted by the setting; stock's, which could not get in
with that, list clientAuth, and ``ssl.CERT_OPTIONAL`` verifies them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import contexts

import ccert

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["NAME", "VARIANTS", "Variant"]

NAME = "mx.example"  # of the peer


@dataclasses.dataclass(frozen=True)
class Variant:
    """A server and its peer.

    Attributes:
        server: makes the server's context, from a directory as in contexts.py.
        certificate: of the peer, there.
        knows: tells whether the server trusts its client and knows it by name.
    """

    server: Callable[[Path], ssl.SSLContext]
    certificate: str
    knows: Callable[[ssl.SSLObject | ssl.SSLSocket], bool]

    def peer(self, directory: Path) -> ssl.SSLContext:
        """Make the context of the server's peer."""
        return contexts.client(directory, self.certificate)


def _knows_as_server(tls: ssl.SSLObject | ssl.SSLSocket) -> bool:
    peer = ccert.peer(tls)
    return peer.trusted_as_server and peer.subject == NAME


def _knows(tls: ssl.SSLObject | ssl.SSLSocket) -> bool:
    """Read what the handshake would have failed without."""
    certificate = tls.getpeercert() or {}
    return certificate.get("subject") == ((("commonName", NAME),),)


VARIANTS = {
    "ccert": Variant(contexts.server, "peer", _knows_as_server),
    "ssl's default": Variant(contexts.default, "client", _knows),
}
