"""Get the chain that a live server presents; most mail servers present it as clients, too."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Any

from ccert.errors import ConfigError
from ccert.text import printable

__all__ = ["presented_chain"]

_TIMEOUT = 30  # seconds in total
_LONGEST_LINE = 4096  # octets; RFC 5321, 4.5.3.1.5 allows 512
_MOST_LINES = 100  # of one reply


def presented_chain(address: str, starttls: str | None) -> list[bytes]:
    """Do a TLS handshake with a server, and close the connection.

    Args:
        address: HOST:PORT or [ADDRESS]:PORT.
        starttls: "smtp": speak SMTP first; None: TLS at once.

    Returns:
        DER certificates, as sent.

    Raises:
        ConfigError: the server cannot be reached, or there is no handshake within 30 seconds.
    """
    host, port = _host_and_port(address)
    try:
        return asyncio.run(asyncio.wait_for(_chain(host, port, starttls), _TIMEOUT))
    except asyncio.TimeoutError as error:
        raise ConfigError(f"{address}: no handshake within {_TIMEOUT} seconds") from error
    except ssl.SSLError as error:
        hint = (
            "It does not speak TLS: is --starttls smtp missing?"
            if error.reason == "WRONG_VERSION_NUMBER"
            else "(If a server requires a client certificate, this works with TLS 1.3 only.)"
        )
        raise ConfigError(f"{address}: {error.reason or error}.  {hint}") from error
    except OSError as error:
        number = error.errno or 0  # a resolver's errors are negative
        words = os.strerror(number) if number > 0 else error.strerror or "connection lost"
        raise ConfigError(f"{address}: {words}") from error
    except (EOFError, ValueError) as error:
        raise ConfigError(f"{address}: {error}") from error


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise ConfigError(f"--connect {address}: give HOST:PORT, such as mx.example:25")
    return host, int(port)


async def _chain(host: str, port: int, starttls: str | None) -> list[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # only the chain is of interest
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, limit=_LONGEST_LINE)
    transport: Any = writer.transport
    try:
        if starttls:
            await _expect(reader, "220")
            for command, code in (("EHLO ccert.invalid", "250"), ("STARTTLS", "220")):
                writer.write(f"{command}\r\n".encode())
                await _expect(reader, code)
        transport = await asyncio.get_running_loop().start_tls(
            transport, asyncio.Protocol(), context, server_hostname=host
        )
        tls = transport.get_extra_info("ssl_object")
        chain = tls._sslobj.get_unverified_chain()  # noqa: SLF001 - public from 3.13 on
        return [ssl.PEM_cert_to_DER_cert(c.public_bytes()) for c in chain]
    finally:
        transport.abort()


async def _expect(reader: asyncio.StreamReader, code: str) -> None:
    """Read a reply (RFC 5321, 4.2)."""
    for _ in range(_MOST_LINES):
        try:
            line = (await reader.readline()).decode("ascii", "replace").rstrip()
        except ValueError:
            raise ValueError(f"a line of more than {_LONGEST_LINE} octets") from None
        if not line.startswith(code):
            raise ValueError(
                f"it says {printable(line)!r} instead of {code}" if line else "it hangs up"
            )
        if line[3:4] != "-":
            return
    raise ValueError(f"a reply of more than {_MOST_LINES} lines")
