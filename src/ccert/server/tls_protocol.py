"""TLS below a session, implicit or after STARTTLS: asyncio's, adapted to thousands of clients.

asyncio itself keeps a buffer of 256 kB for each connection, zeroed and thus resident, to read 16 kB
at a time.  After a failed handshake, these buffers stay in a reference cycle until the garbage
collector runs.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from asyncio import sslproto
from typing import cast

__all__ = ["TLS"]

_log = logging.getLogger("ccert")


class TLS(sslproto.SSLProtocol):
    """The server's end.

    Args:
        session: the protocol above TLS.
        context: the server's.
        timeout: seconds for the handshake.
    """

    max_size = 2**15  # octets to read at a time: two records (RFC 8446, 5.1)

    def __init__(self, session: asyncio.Protocol, context: ssl.SSLContext, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        self._handshake = loop.create_future()
        super().__init__(
            loop,
            session,
            context,
            self._handshake,
            server_side=True,
            ssl_handshake_timeout=timeout,  # type: ignore[arg-type]  # typeshed wants whole ones
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._connection = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    async def shake_hands(self, client: str) -> bool:
        """Wait for the end of the handshake; return whether it succeeded, or log why not.

        Args:
            client: its name, for the log.
        """
        try:
            await self._handshake
        except asyncio.CancelledError:
            self._connection.abort()
            raise
        except Exception as error:  # noqa: BLE001 - e.g. from ssl's getpeercert()
            _log.info("TLS handshake with %s failed: %s", client, _words(error))
            error.__traceback__ = None  # it refers to this frame: a cycle
            return False
        return True


def _words(error: Exception) -> str:
    """Return OpenSSL's reason, with the verification error if a certificate was refused."""
    reason = getattr(error, "reason", None)  # of ssl.SSLError
    words = reason.replace("_", " ").lower() if reason else str(error) or type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        words += f": {error.verify_message}"
    return words
