"""Receive a message after DATA into a file, line by line, up to the line with the dot.

aiosmtpd keeps each line as an object: ten megabytes of empty lines take 800 megabytes of memory.
Here, memory does not grow with messages or lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from typing import TYPE_CHECKING, Any

from ccert.server.maildir import refusal

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["Reception"]

_log = logging.getLogger("ccert")

_TURN = 100  # lines, after which other sessions get a turn

_IN_MEMORY = 2**18  # octets; longer messages go to disk


class Reception:
    """A message that is being received.

    Args:
        spool: the directory for messages that are too long for memory.
        limit: the maximum size of a message in octets; 0: no limit.

    Attributes:
        message: the file; the code that delivers it must close it.
        size: of the message, with CRLF at the ends of lines.
        refusal: the reply if the message is refused; "" otherwise.
    """

    def __init__(self, spool: Path, limit: int) -> None:
        file: Any = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(spool))  # noqa: SIM115
        self.message: BinaryIO = file
        self.size = 0
        self.refusal = ""
        self._spool = spool
        self._limit = limit

    async def receive(self, reader: asyncio.StreamReader) -> None:
        """Read to the end, even if the message is refused: the client reads the reply only then.

        Only CRLF ends a line (RFC 5321, 2.3.8), so that all servers agree on the end of the data.
        """
        in_line = False
        lines = 0
        while True:
            try:
                line = await reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as overrun:
                line = await reader.read(overrun.consumed)  # a piece of a very long line
            if not in_line:
                if line == b".\r\n":
                    return
                line = line[line.startswith(b".") :]
            in_line = not line.endswith(b"\r\n")
            self._take(line)
            lines += 1
            if lines % _TURN == 0:
                await asyncio.sleep(0)

    def discard(self) -> None:
        """Close the file; on a full disk that fails again, after what has been said of it."""
        with contextlib.suppress(OSError):
            self.message.close()

    def _take(self, line: bytes) -> None:
        self.size += len(line)
        if self._limit and self.size > self._limit:
            self.refusal = "552 5.3.4 Error: message size exceeds fixed limit"
        if self.refusal:
            return
        try:
            self.message.write(line)
        except OSError as error:
            _log.error("cannot write to %s: %s", self._spool, error.strerror)
            self.refusal = refusal(error)
