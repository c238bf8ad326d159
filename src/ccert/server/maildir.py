"""Deliver into a Maildir, durably: an acknowledged message survives kill -9 and a power failure.

The standard library's ``mailbox.Maildir`` makes names of the time, the process id and a counter,
and two threads can get the same one; nor does it make the directory entry durable.
"""

from __future__ import annotations

import contextlib
import dataclasses
import mailbox
import os
import re
import secrets
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ccert.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import BinaryIO

__all__ = ["Delivery", "Maildir"]

_BEGINNING = re.compile(rb"[!-9;-~]+[ \t]*:|\r?\n|\Z")  # RFC 5322, 3.6.8, 4.5; or an empty message
_MAX_BEGINNING = 1000  # octets of a line, RFC 5322, 2.1.1
_PIECE = 2**16  # octets


@dataclasses.dataclass(eq=False)
class Delivery:
    """A message on its way into a Maildir, and what became of it.

    CRLF at the end of a line becomes LF, as usual there.  If the message does not begin with a
    header field, an empty line is inserted before it; otherwise it could continue our last header.
    Nothing else is changed.

    Attributes:
        headers: lines to put above the message, without line ends.
        message: read from the beginning, and closed in any case.
        name: of its file, once it is written.
        file: the one in ``tmp``, from then on.
        error: why the message is not stored, or perhaps not durably.
    """

    headers: Iterable[str]
    message: BinaryIO
    name: str = ""
    file: BinaryIO = dataclasses.field(init=False)
    error: Exception | None = None


class Maildir:
    """A Maildir into which several threads and processes may deliver concurrently.

    Args:
        path: the directory; it is created if its parent exists, with ``tmp``, ``new`` and ``cur``.

    Attributes:
        path: the directory.
        tmp: where to spool messages: on the file system to which they will be delivered.

    Raises:
        ConfigError: it cannot be created or written to.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.tmp, self._new = self.path / "tmp", self.path / "new"
        self._host = socket.gethostname().replace("/", r"\057").replace(":", r"\072")  # maildir(5)
        try:
            for directory in (self.path, *(self.path / name for name in ("tmp", "new", "cur"))):
                if not directory.is_dir():
                    directory.mkdir(mode=0o700, exist_ok=True)
                    _fsync(directory.parent)
                if not os.access(directory, os.W_OK | os.X_OK):
                    raise ConfigError(f"maildir {path}: {directory} is not writable")
        except OSError as error:
            raise ConfigError(f"maildir {path}: {error.strerror}") from error

    def clean(self) -> None:
        """Remove files that crashes left in ``tmp`` more than 36 hours ago, see maildir(5)."""
        mailbox.Maildir(self.path, create=False).clean()

    def write(self, delivery: Delivery) -> None:
        """Write a message into ``tmp``, where it may be lost yet."""
        self._attempt(self._write, delivery)

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Store messages, written or not: those without an error are on disk then, in ``new``.

        Each step is done for all before the next: most file systems write at once all that waits
        for fsync(2), and one fsync(2) does for the directory.
        """
        for delivery in deliveries:
            if not (delivery.name or delivery.error):
                self.write(delivery)
        for step in (_fsync_file, self._rename):
            for delivery in deliveries:
                if not delivery.error:
                    self._attempt(step, delivery)
        try:
            _fsync(self._new)
        except OSError as error:
            for delivery in deliveries:
                delivery.error = delivery.error or error

    def _attempt(self, step: Callable[[Delivery], None], delivery: Delivery) -> None:
        """Note an error, so that others go on; nothing is left of what is not stored."""
        try:
            step(delivery)
        except Exception as error:  # noqa: BLE001 - whoever waits for the delivery gets it
            delivery.error = error
            if delivery.name:
                with contextlib.suppress(OSError):
                    delivery.file.close()
                with contextlib.suppress(OSError):
                    (self.tmp / delivery.name).unlink()

    def _write(self, delivery: Delivery) -> None:
        name = f"{int(time.time())}.R{secrets.token_hex(16)}.{self._host}"
        with delivery.message as message:
            delivery.file = file = (self.tmp / name).open("xb")
            delivery.name = name
            top = "".join(f"{line}\n" for line in delivery.headers)
            message.seek(0)
            if top and not _BEGINNING.match(message.readline(_MAX_BEGINNING)):
                top += "\n"
            file.write(top.encode())
            message.seek(0)
            file.writelines(_with_lf(message))
            file.flush()

    def _rename(self, delivery: Delivery) -> None:
        (self.tmp / delivery.name).rename(self._new / delivery.name)  # no other has this name


def _fsync_file(delivery: Delivery) -> None:
    with delivery.file as file:
        os.fsync(file.fileno())


def _with_lf(message: BinaryIO) -> Iterator[bytes]:
    """Yield pieces, with LF in place of CRLF."""
    kept = b""
    while piece := message.read(_PIECE):
        piece = kept + piece
        kept = b"\r" if piece.endswith(b"\r") else b""  # a LF may follow
        yield piece[: len(piece) - len(kept)].replace(b"\r\n", b"\n")
    yield kept


def _fsync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
