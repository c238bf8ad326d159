"""Deliver into a Maildir, durably: an acknowledged message survives kill -9 and a power failure.

The standard library's ``mailbox.Maildir`` writes the file, calls fsync, and links it.  This module
makes names that are unique, whatever the clock says, and makes the directory entry durable.
"""

from __future__ import annotations

import io
import mailbox
import os
import re
import secrets
import socket
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ccert.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

__all__ = ["Maildir"]

_BEGINNING = re.compile(rb"[!-9;-~]+[ \t]*:|\r?\n|\Z")  # RFC 5322, 3.6.8, 4.5; or an empty message
_MAX_BEGINNING = 1000  # octets of a line, RFC 5322, 2.1.1


class Maildir:
    """A Maildir into which several threads and processes may deliver concurrently.

    Args:
        path: the directory; it is created if its parent exists, with ``tmp``, ``new`` and ``cur``.

    Raises:
        ConfigError: it cannot be created or written to.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        try:
            for directory in (self.path, *(self.path / name for name in ("tmp", "new", "cur"))):
                if not directory.is_dir():
                    directory.mkdir(mode=0o700, exist_ok=True)
                    _fsync(directory.parent)
                if not os.access(directory, os.W_OK | os.X_OK):
                    raise ConfigError(f"maildir {path}: {directory} is not writable")
        except OSError as error:
            raise ConfigError(f"maildir {path}: {error.strerror}") from error

    @property
    def tmp(self) -> Path:
        """Where to spool messages: on the same file system to which they will be delivered."""
        return self.path / "tmp"

    def clean(self) -> None:
        """Remove files that crashes left in ``tmp`` more than 36 hours ago, see maildir(5)."""
        _Mailbox(self.path, create=False).clean()

    def deliver(self, headers: Iterable[str], message: BinaryIO) -> str:
        """Store a message; return its name once it is on disk.

        CRLF at the end of a line becomes LF, as usual in a Maildir.  If the message does not begin
        with a header field, an empty line is inserted before it; otherwise it could continue our
        last header.  Nothing else is changed.

        Args:
            headers: lines to put above the message, without line ends.
            message: read from the beginning, and closed in any case.

        Raises:
            OSError: the message is not stored, or perhaps not durably.
        """
        with message:
            message.seek(0)
            top = "".join(f"{line}\n" for line in headers).encode()
            if top and not _BEGINNING.match(message.readline(_MAX_BEGINNING)):
                top += b"\n"
            message.seek(0)
            delivery = _Mailbox(self.path, create=False)
            try:
                name = delivery.add(_Headed(top, message))  # type: ignore[arg-type] # it reads lines
            except mailbox.ExternalClashError as error:
                # no retry: the message has been read already
                raise FileExistsError(f"no unique name to be had in {self.path}") from error
            finally:
                delivery.remove_tmp()
        _fsync(self.path / "new")
        return name


class _Mailbox(mailbox.Maildir):
    """The library's Maildir, for one delivery, with a unique random name.

    The library makes names of the time, the process id and a counter, and two threads can get the
    same one.  Without hard links it renames, which would replace the other message.
    """

    _tmp: Path | None = None

    def remove_tmp(self) -> None:
        """Remove what a failed delivery left in ``tmp``; it would keep a full disk full.

        The library does not remove it if the disk becomes full only when the file is closed.
        """
        if self._tmp:
            self._tmp.unlink(missing_ok=True)

    def _create_tmp(self) -> IO[bytes]:
        host = socket.gethostname().replace("/", r"\057").replace(":", r"\072")
        name = f"{int(time.time())}.R{secrets.token_hex(16)}.{host}"
        path = Path(self._path, "tmp", name)
        file = path.open("xb+")
        self._tmp = path
        return file


def _fsync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Headed:
    """The part of the file interface that ``mailbox`` needs; reads the headers first."""

    def __init__(self, headers: bytes, body: BinaryIO) -> None:
        self._parts: list[IO[bytes]] = [io.BytesIO(headers), body]

    def readline(self) -> bytes:
        line = b""
        while self._parts and not (line := self._parts[0].readline()):
            del self._parts[0]
        return line

    def read(self) -> bytes:
        raise NotImplementedError  # mailbox only checks that it exists
