"""Trust TLS client certificates that are for servers only, like Postfix's tls_trust_server_ccerts.

Public CAs no longer issue certificates for TLS clients.  If a client's certificate lists serverAuth
but not clientAuth in its extended key usage, ccert lets a server that uses Python's ``ssl`` verify
it as a server's certificate, in C, inside the handshake.

See also ``help(ccert.aiosmtpd)`` for aiosmtpd's servers and ``help(ccert.postfix)`` for tables,
actions and policy services.

.. warning::
    This is off by default.  It is for a small clique with a few chosen CAs.  Read the README before
    you turn it on.
"""

from ccert.errors import CcertError, ConfigError, PublicCAWarning, UnsupportedRuntime
from ccert.postfix.access_table import AccessTable
from ccert.postfix.name_table import NameTable
from ccert.tls.attachment import Stats, attach, detach, stats
from ccert.tls.chain import ChainVerifier
from ccert.tls.context import ServerContext
from ccert.tls.peer import Peer, Signature, peer
from ccert.tls.settings import ClientCerts, TrustServerCcerts
from ccert.verdict import Trust, Verdict

__all__ = [
    "AccessTable",
    "CcertError",
    "ChainVerifier",
    "ClientCerts",
    "ConfigError",
    "NameTable",
    "Peer",
    "PublicCAWarning",
    "ServerContext",
    "Signature",
    "Stats",
    "Trust",
    "TrustServerCcerts",
    "UnsupportedRuntime",
    "Verdict",
    "attach",
    "detach",
    "peer",
    "stats",
]
__version__ = "0.1.0"
