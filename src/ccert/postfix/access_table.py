"""Postfix's tables of client certificates: relay_clientcerts and check_ccert_access.

The file is the text that one gives to postmap(1); ccert reads the text itself, no built database.
A key is known by its fingerprint, whoever issued the certificate: direct trust, which needs no CA.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ccert.errors import ConfigError
from ccert.postfix.actions import parse_action
from ccert.postfix.logical_lines import BLANKS, logical_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ccert.tls.files import StrPath
    from ccert.tls.peer import Peer

__all__ = ["AccessTable"]

_DIGESTS = {"pubkey_fingerprint": "pubkey_fingerprint", "cert_fingerprint": "fingerprint"}
_MAX_OCTETS = 64 * 1024 * 1024

_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")
_FINGERPRINT = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2})*", re.ASCII | re.IGNORECASE)
_SHA256_PAIRS = 32
_OTHER_DIGESTS = {16: "MD5", 20: "SHA-1"}  # what smtpd_tls_fingerprint_digest has been

_log = logging.getLogger("ccert")


class _UnreadableError(ConfigError):
    pass


class _Entry(NamedTuple):
    value: str
    final: bool  # it permits or refuses


class _Content(NamedTuple):
    signature: object  # of the file at last sight
    entries: Mapping[str, _Entry]  # of the last usable one


class AccessTable:
    """A table in a file: fingerprint, white space, right-hand side.

    ::

        # the partner's key                                    an action of access(5), or anything
        4F:0C:…:A1                                             OK

    Comments, empty lines and continuation lines are as in postmap(1), "TABLE FORMAT".  Keys are
    SHA-256 fingerprints of a public key or a certificate, in either case of letters.

    The file is read anew when it has changed.  While the new one is unusable, or gone, the old
    content stays; that is logged once, as an error, to the logger "ccert".  Rename a new file into
    place (mv): then no half-written one is ever read.

    .. warning::
        A fingerprint of a certificate ends with it; one of a public key lives on with the key.
        List keys.

    Args:
        path: the file.
        search_order: which of a client's fingerprints to look up, the first that is listed counts:
            "pubkey_fingerprint", "cert_fingerprint".  The default is that of relay_clientcerts;
            check_ccert_access of Postfix begins with the certificate's.
        actions: True: right-hand sides must be actions that :func:`ccert.postfix.parse_action` can
            do.  False: they are not looked at, as in relay_clientcerts.

    Raises:
        ConfigError: ``search_order`` is empty or has an unknown name; or as :meth:`reload`.

    Source: postconf(5), relay_clientcerts and check_ccert_access.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        search_order: Sequence[str] = ("pubkey_fingerprint", "cert_fingerprint"),
        actions: bool = False,
    ) -> None:
        unknown = [name for name in search_order if name not in _DIGESTS]
        if unknown or not search_order:
            raise ConfigError(
                f"search_order: {unknown[0]!r}: unknown" if unknown else "search_order: it is empty"
            )
        self._path = path
        self._attributes = [_DIGESTS[name] for name in search_order]
        self.actions = actions
        self._content = _Content(None, {})  # only ever replaced as a whole
        self._complaint = ""  # logged last
        self._reading = threading.RLock()  # reload() may come by signal, amid a lookup()
        self.reload()

    def lookup(self, peer: Peer) -> str | None:
        """Return the right-hand side for a client; None: not listed, or it has no certificate.

        The verdict on the certificate does not matter: an Untrusted client has proved that it has
        the key.  With ``actions``, an entry that permits or refuses beats one that does neither,
        as in Postfix.
        """
        if self._reading.acquire(blocking=False):  # else another thread looks after it
            try:
                if _signature(self._path) != self._content.signature:
                    self._load()
                    self._complaint = ""
            except ConfigError as error:
                if str(error) != self._complaint:
                    _log.error("%s; the old table stays", error)
                self._complaint = str(error)
            finally:
                self._reading.release()
        entries = self._content.entries
        digests = [getattr(peer, attribute) for attribute in self._attributes]
        found = [entries[digest] for digest in digests if digest in entries]
        found.sort(key=lambda entry: not entry.final)
        return found[0].value if found else None

    def reload(self) -> None:
        """Read the file now, changed or not.

        Raises:
            ConfigError: the file, or a line of it, is unusable: the message names file and line.
                Nothing of it is taken over, the old table stays.
        """
        with self._reading:
            self._load()

    def _load(self) -> None:
        signature = _signature(self._path)  # first, so that a file amid a change is read again
        entries = self._content.entries
        try:
            entries = MappingProxyType(dict(self._read()))
        except _UnreadableError:
            signature = None  # it may be readable in a moment, and not have changed
            raise
        finally:
            self._content = _Content(signature, entries)

    def _read(self) -> Iterator[tuple[str, _Entry]]:
        lines: dict[str, int] = {}
        for number, line in logical_lines(_text(self._path)):
            try:
                digest, entry = self._entry(line)
            except ConfigError as error:
                raise ConfigError(f"{self._path}, line {number}: {error}") from None
            if digest in lines:
                raise ConfigError(
                    f"{self._path}, line {number}: the same key as in line {lines[digest]}"
                )
            lines[digest] = number
            yield digest, entry

    def _entry(self, line: str) -> tuple[str, _Entry]:
        if line[0] in BLANKS:
            raise ConfigError("it continues a line, but there is none")
        key, *rest = re.split(f"[{BLANKS}]", line, maxsplit=1)
        value = "".join(rest).strip(BLANKS)
        _check_key(key)
        if not value:
            raise ConfigError("no right-hand side")
        final = not self.actions or parse_action(value).verb in {"permit", "refuse"}
        return key.upper(), _Entry(value, final)


def _signature(path: StrPath) -> object:
    """Return what changes with the file; without a file, the reason."""
    try:
        status = os.stat(path)  # noqa: PTH116 - like open(), it takes any path
    except OSError as error:
        return error.errno
    # The time of the inode's change as well: "cp -p" and chmod do not change the content's.
    return (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
    )  # fmt: skip


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else a named pipe waits for a writer


def _text(path: StrPath) -> str:
    try:
        with open(path, "rb", opener=_open) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"access table {path}: not a regular file")
            octets = file.read(_MAX_OCTETS + 1)
    except OSError as error:
        raise _UnreadableError(f"access table {path}: {error.strerror}") from error
    if len(octets) > _MAX_OCTETS:
        raise ConfigError(f"access table {path}: more than {_MAX_OCTETS >> 20} MB")
    try:
        text = octets.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8") from error
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise ConfigError(f"{path}, line {line}: control character {control[0]!r}")
    return text


def _check_key(key: str) -> None:
    pairs = (len(key) + 1) // 3
    if not _FINGERPRINT.fullmatch(key) or pairs not in {_SHA256_PAIRS, *_OTHER_DIGESTS}:
        raise ConfigError(
            f"key {key[:100]!r}: no SHA-256 fingerprint; that is 32 hexadecimal pairs with colons"
        )
    if pairs != _SHA256_PAIRS:
        raise ConfigError(
            f"key {key!r}: it is as long as {_OTHER_DIGESTS[pairs]}'s; ccert compares SHA-256 "
            "fingerprints, see smtpd_tls_fingerprint_digest"
        )
