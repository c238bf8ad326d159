"""Deliver into a Maildir, durably: an acknowledged message survives kill -9 and a power failure.

The standard library's ``mailbox.Maildir`` makes names of the time, the process id and a counter,
and two threads can get the same one; nor does it make the directory entry durable.
"""

from __future__ import annotations

import contextlib
import errno
import logging
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
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

__all__ = ["Maildir", "refusal"]

_log = logging.getLogger("ccert")

_BEGINNING = re.compile(rb"[!-9;-~]+[ \t]*:|\r?\n|\Z")  # RFC 5322, 3.6.8, 4.5; or an empty message
_MAX_BEGINNING = 1000  # octets of a line, RFC 5322, 2.1.1
_PIECE = 2**13  # octets


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
                if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                    raise ConfigError(f"maildir {path}: {directory} is not readable and writable")
        except OSError as error:
            raise ConfigError(f"maildir {path}: {error.strerror}") from error

    def clean(self) -> None:
        """Remove files that crashes left in ``tmp`` more than 36 hours ago, see maildir(5)."""
        mailbox.Maildir(self.path, create=False).clean()

    def deliver(self, headers: Iterable[str], message: BinaryIO) -> str:
        """Store a message; return its name once it is on disk.

        CRLF at the end of a line becomes LF, as usual in a Maildir.  If the message does not begin
        with a header field, an empty line is inserted before it; otherwise it could continue our
        last header.  Nothing else is changed.

        Args:
            headers: lines to put above the message, without line ends.
            message: read from the beginning, and closed in any case.  Whoever closes it before
                gives up the delivery.

        Raises:
            OSError: the message is not stored.
        """
        name = f"{int(time.time())}.R{secrets.token_hex(16)}.{self._host}"  # no other file's
        spooled = self.tmp / name
        new, stored = -1, False
        try:
            with message, spooled.open("xb", _PIECE) as file:
                top = "".join(f"{line}\n" for line in headers)
                message.seek(0)
                if top and not _BEGINNING.match(message.readline(_MAX_BEGINNING)):
                    top += "\n"
                file.write(top.encode())
                message.seek(0)
                file.writelines(_with_lf(message))
                file.flush()
                os.fsync(file.fileno())
                new = os.open(self._new, os.O_RDONLY | os.O_DIRECTORY)
                if message.closed:
                    raise OSError(errno.ECANCELED, "given up")
            os.rename(spooled, name, dst_dir_fd=new)
            os.fsync(new)
            stored = True
        finally:
            if not stored:
                _remove(spooled)
            if not stored and new >= 0:
                _remove(name, new)
            if new >= 0:
                _close(new)
        return name


def refusal(error: OSError) -> str:
    """Return the reply to a client whose message is not stored."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "452 4.3.1 Insufficient system storage"
    return "451 4.3.0 Error: queue file write error"


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


def _remove(path: str | Path, directory: int | None = None) -> None:
    try:
        os.unlink(path, dir_fd=directory)
    except FileNotFoundError:
        pass  # it never was there, or a reader has moved it
    except OSError as error:
        _log.error("%s: a refused message cannot be removed: %s", path, error.strerror)


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # it has been fsynced
        os.close(descriptor)
