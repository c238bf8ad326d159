"""Deliver into a Maildir, durably: what was acknowledged survives kill -9 and the power cut.

The standard library's ``mailbox.Maildir`` makes the unique name, writes, fsyncs and links; that the
*name* survives is ours: it does once the directory is fsynced, too.
"""

from __future__ import annotations

import io
import mailbox
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ccert.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

__all__ = ["Maildir"]

_NAMES_TO_TRY = 10


class Maildir:
    """A Maildir that several threads and processes may deliver into at a time.

    Args:
        path: the directory; it is made if its parent exists, with ``tmp``, ``new`` and ``cur``.

    Raises:
        ConfigError: it cannot be made or written to.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        try:
            for directory in (self.path, *(self.path / name for name in ("tmp", "new", "cur"))):
                directory.mkdir(mode=0o700, exist_ok=True)
                if not os.access(directory, os.W_OK | os.X_OK):
                    raise ConfigError(f"maildir {path}: {directory} is not writable")
        except OSError as error:
            raise ConfigError(f"maildir {path}: {error.strerror}") from error
        self._maildir = mailbox.Maildir(self.path, create=False)

    @property
    def tmp(self) -> Path:
        """Where to keep what is to be delivered: the disk that will have it is the one to fill."""
        return self.path / "tmp"

    def clean(self) -> None:
        """Remove what crashes left in ``tmp`` more than 36 hours ago, as maildir(5) asks."""
        self._maildir.clean()

    def deliver(self, headers: Iterable[str], message: BinaryIO) -> str:
        """Store a message; return its name once it is on disk.

        Lines that end in CRLF end in LF there, as is the way in a Maildir; nothing else changes.

        Args:
            headers: lines to stand above the message, without their ends.
            message: read from its beginning, and closed whatever happens.

        Raises:
            OSError: it is not stored, or perhaps not durably.
        """
        with message:
            message.seek(0)
            name = self._add(_Headed("".join(f"{line}\n" for line in headers).encode(), message))
        new = os.open(self.path / "new", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(new)
        finally:
            os.close(new)
        return name

    def _add(self, message: _Headed) -> str:
        """Let the library choose a name until it is unique.

        Two threads can choose the same in one microsecond; that is noticed before anything is
        written.
        """
        for _ in range(_NAMES_TO_TRY):
            try:
                return self._maildir.add(message)  # type: ignore[arg-type] # it reads lines
            except mailbox.ExternalClashError:
                continue
        raise FileExistsError(f"no unique name to be had in {self.path}")


class _Headed:
    """As much of a file as ``mailbox`` needs: its lines, headers first."""

    def __init__(self, headers: bytes, body: BinaryIO) -> None:
        self._parts: list[IO[bytes]] = [io.BytesIO(headers), body]

    def readline(self) -> bytes:
        line = b""
        while self._parts and not (line := self._parts[0].readline()):
            del self._parts[0]
        return line

    def read(self) -> bytes:
        raise NotImplementedError  # mailbox looks whether it is there
