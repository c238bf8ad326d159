"""Get the chain that a live server presents; most mail servers present it as clients, too."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Any, NamedTuple

from ccert.errors import ConfigError
from ccert.text import printable
from ccert.tls.files import read_file

__all__ = ["Server", "presented_chain", "servers_in"]

_TIMEOUT = 30  # seconds in total
_LONGEST_LINE = 4096  # octets; RFC 5321, 4.5.3.1.5 allows 512
_MOST_LINES = 100  # of one reply


class Server(NamedTuple):
    """A server to ask."""

    host: str
    port: int

    @classmethod
    def parse(cls, where: str, text: str, default_port: int | None = None) -> Server:
        """Read HOST:PORT or [ADDRESS]:PORT; the port may be missing if there is a default.

        Raises:
            ConfigError: it is something else; ``where`` says where it stands.
        """
        host, colon, port = text.rpartition(":")
        if default_port and (not colon or text.endswith("]")):
            host, port = text, str(default_port)
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise ConfigError(f"{where}: give HOST:PORT, such as mx.example:25")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def servers_in(path: str, default_port: int) -> list[Server]:
    """Read a file with a HOST, or HOST:PORT, a line; "#" begins a comment.

    Raises:
        ConfigError: the file cannot be read, or has a line that is something else.
    """
    text = read_file("peers file", path).decode("utf-8-sig", "replace")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [
        Server.parse(f"{path}, line {number}", line, default_port)
        for number, line in enumerate(lines, 1)
        if line
    ]


def presented_chain(server: Server, starttls: str | None) -> list[bytes]:
    """Do a TLS handshake with a server, and close the connection.

    Args:
        server: whom to ask.
        starttls: "smtp": speak SMTP first; None: TLS at once.

    Returns:
        DER certificates, as sent.

    Raises:
        ConfigError: the server cannot be reached, or there is no handshake within 30 seconds.
    """
    try:
        return asyncio.run(asyncio.wait_for(_chain(server.host, server.port, starttls), _TIMEOUT))
    except asyncio.TimeoutError as error:
        raise ConfigError(f"{server}: no handshake within {_TIMEOUT} seconds") from error
    except ssl.SSLError as error:
        hint = (
            "It does not speak TLS: is --starttls smtp missing?"
            if error.reason == "WRONG_VERSION_NUMBER"
            else "(If a server requires a client certificate, this works with TLS 1.3 only.)"
        )
        raise ConfigError(f"{server}: {error.reason or error}.  {hint}") from error
    except OSError as error:
        number = error.errno or 0  # a resolver's errors are negative
        words = os.strerror(number) if number > 0 else error.strerror or str(error)
        raise ConfigError(f"{server}: {words or 'connection lost'}") from error
    except (EOFError, ValueError) as error:
        raise ConfigError(f"{server}: {error}") from error


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
