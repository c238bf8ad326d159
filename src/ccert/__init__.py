"""Trust TLS client certificates that are for servers only, as Postfix's tls_trust_server_ccerts.

Public CAs no longer issue certificates for TLS clients.  ccert lets a server on Python's ``ssl``
verify a client's certificate whose extended key usage lists serverAuth but not clientAuth as a
server's, in C, inside the handshake.

.. warning::
    Off by default, for a small clique with a few chosen CAs.  Read the README before you set it.
"""

from ccert.errors import CcertError, ConfigError, PublicCAWarning, UnsupportedRuntime
from ccert.postfix.access_table import AccessTable
from ccert.postfix.name_table import NameTable
from ccert.tls.attachment import Stats, attach, detach, stats
from ccert.tls.chain import ChainVerifier
from ccert.tls.context import ServerContext
from ccert.tls.peer import Peer, Signature, peer
from ccert.verdict import Trust, Verdict

__all__ = [
    "AccessTable",
    "CcertError",
    "ChainVerifier",
    "ConfigError",
    "NameTable",
    "Peer",
    "PublicCAWarning",
    "ServerContext",
    "Signature",
    "Stats",
    "Trust",
    "UnsupportedRuntime",
    "Verdict",
    "attach",
    "detach",
    "peer",
    "stats",
]
__version__ = "0.1.0"
