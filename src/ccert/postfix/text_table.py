"""A table in a text file, in Postfix's form: see postmap(1), "TABLE FORMAT".

ccert reads the text itself, no database that postmap(1) has built from it.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ccert.errors import ConfigError
from ccert.postfix.logical_lines import BLANKS, logical_lines
from ccert.tls.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ccert.tls.paths import StrPath

__all__ = ["Row", "TextTable"]

_MAX_OCTETS = 64 * 1024 * 1024

_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")

_log = logging.getLogger("ccert")

_T = TypeVar("_T")


class Row(NamedTuple):
    """A line of the file: the key up to white space, and the right-hand side."""

    number: int
    key: str
    value: str


class TextTable(ABC, Generic[_T]):
    """Reads the file, and reads it again when it has changed.

    While the new file is unusable, or gone, the old content stays; that is logged once, as an
    error, to the logger "ccert".

    Args:
        path: the file.

    Raises:
        ConfigError: as :meth:`reload`.
    """

    _kind: str  # of table, for messages

    def __init__(self, path: StrPath) -> None:
        check_path(self._kind, path)
        self._path = path
        self._signature: object = None  # of the file when last read
        self._content: _T | None = None  # the last usable one; always replaced as a whole
        self._complaint = ""  # the last one logged
        self._reading = threading.RLock()  # a signal may call reload() during a look-up
        self.reload()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({os.fspath(self._path)!r})"

    @abstractmethod
    def _parse(self, rows: Iterable[Row]) -> _T:
        """Make the content; a ConfigError names what is wrong with the row that is read."""

    def reload(self) -> None:
        """Read the file now, changed or not.

        Raises:
            ConfigError: the file, or a line of it, is unusable: the message names file and line.
                The old content stays.
        """
        with self._reading:
            self._load()

    def _current(self) -> _T:
        if self._reading.acquire(blocking=False):  # else another thread is checking the file
            try:
                if _signature(self._path) != self._signature:
                    self._load()
                    self._complaint = ""
            except ConfigError as error:
                if str(error) != self._complaint:
                    _log.error("%s; the old table stays", error)
                self._complaint = str(error)
            finally:
                self._reading.release()
        content: _T = self._content  # type: ignore[assignment] # __init__ has read it
        return content

    def _load(self) -> None:
        signature = _signature(self._path)  # first, so that a later change is seen
        try:
            self._content = self._parsed()
        except ConfigError as error:
            if isinstance(error.__cause__, OSError):  # it may become readable without a change
                signature = None
            raise
        finally:
            self._signature = signature

    def _parsed(self) -> _T:
        number = 0

        def rows() -> Iterator[Row]:
            nonlocal number
            lines: dict[str, int] = {}
            for number, line in logical_lines(self._text()):
                key, value = _split(line)
                if key.lower() in lines:
                    raise ConfigError(f"the same key as in line {lines[key.lower()]}")
                lines[key.lower()] = number
                yield Row(number, key, value)

        try:
            return self._parse(rows())
        except ConfigError as error:
            if not number:  # not even the first line could be read
                raise
            raise ConfigError(f"{self._path}, line {number}: {error}") from None

    def _text(self) -> str:
        try:
            with open(self._path, "rb", opener=_open) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise ConfigError(f"{self._kind} {self._path}: not a regular file")
                octets = file.read(_MAX_OCTETS + 1)
        except OSError as error:
            raise ConfigError(f"{self._kind} {self._path}: {error.strerror}") from error
        if len(octets) > _MAX_OCTETS:
            raise ConfigError(f"{self._kind} {self._path}: more than {_MAX_OCTETS >> 20} MB")
        try:
            text = octets.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = octets.count(b"\n", 0, error.start) + 1
            raise ConfigError(f"{self._path}, line {line}: not UTF-8") from error
        if control := _CONTROL.search(text):
            line = text.count("\n", 0, control.start()) + 1
            raise ConfigError(f"{self._path}, line {line}: control character {control[0]!r}")
        return text


def _split(line: str) -> tuple[str, str]:
    if line[0] in BLANKS:
        raise ConfigError("white space in front continues a line, but there is none")
    key, *rest = re.split(f"[{BLANKS}]", line, maxsplit=1)
    value = "".join(rest).strip(BLANKS)
    if not value:
        raise ConfigError("no right-hand side: write something after the key, such as OK")
    return key, value


def _signature(path: StrPath) -> object:
    """Return a value that changes with the file; without a file, the error number."""
    try:
        status = os.stat(path)  # noqa: PTH116 - like open(), it takes any path
    except OSError as error:
        return error.errno
    # ctime as well: "cp -p" and chmod can leave mtime unchanged.
    return (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
    )  # fmt: skip


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else opening a named pipe blocks
