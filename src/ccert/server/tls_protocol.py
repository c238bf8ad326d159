"""TLS below a session, be it from the start or after STARTTLS: asyncio's, for thousands of clients.

asyncio itself keeps 256 kB for each connection, zeroed and thus resident, to read 16 kB at a time;
and a handshake that fails leaves a ring of objects, these buffers among them, until the garbage
collector comes.
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
        session: what speaks above TLS.
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
        """Wait for the end of the handshake; tell whether it succeeded, and log why not.

        Args:
            client: its name, for the log.
        """
        try:
            await self._handshake
        except asyncio.CancelledError:
            self._connection.abort()
            raise
        except Exception as error:  # noqa: BLE001 - whatever certificates do to ssl's getpeercert()
            _log.info("TLS handshake with %s failed: %s", client, _words(error))
            error.__traceback__ = None  # it has this frame, the future has the error
            return False
        return True


def _words(error: Exception) -> str:
    """Say why as OpenSSL does, with the reason for a certificate that is refused."""
    reason = getattr(error, "reason", None)  # of ssl.SSLError
    words = reason.replace("_", " ").lower() if reason else str(error) or type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        words += f": {error.verify_message}"
    return words
