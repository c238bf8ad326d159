"""Postfix's tables of client certificates: relay_clientcerts and check_ccert_access.

Clients are identified by fingerprint, whoever issued their certificate: this is direct trust, which
needs no CA.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ccert.errors import ConfigError
from ccert.postfix.actions import parse_action
from ccert.postfix.text_table import TextTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ccert.postfix.text_table import Row
    from ccert.tls.paths import StrPath
    from ccert.tls.peer import Peer

__all__ = ["AccessTable"]

_DIGESTS = {"pubkey_fingerprint": "pubkey_fingerprint", "cert_fingerprint": "fingerprint"}

_FINGERPRINT = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2})*", re.ASCII | re.IGNORECASE)
_SHA256_PAIRS = 32
_OTHER_DIGESTS = {16: "MD5", 20: "SHA-1"}  # earlier defaults of smtpd_tls_fingerprint_digest


class _Entry(NamedTuple):
    value: str
    final: bool  # permits or refuses


class AccessTable(TextTable["Mapping[str, _Entry]"]):
    """A table in a file: fingerprint, white space, right-hand side.

    ::

        # the partner's key                                    an action of access(5), or anything
        4F:0C:…:A1                                             OK

    Comments, empty lines and continuation lines are as in postmap(1), "TABLE FORMAT".  Keys are
    SHA-256 fingerprints of a public key or a certificate, in upper or lower case.

    The file is read again when it has changed.  If the new file is unusable or missing, the old
    content stays in use, and an error is logged once, to the logger "ccert".  Replace the file by
    renaming a new one (mv), so that a half-written file is never read.

    .. warning::
        A certificate's fingerprint changes when the certificate is renewed; a public key's stays
        the same as long as the key is kept.  List public keys.

    Args:
        path: the file.
        search_order: which fingerprints of a client to look up, in this order; the first match
            counts, see also :meth:`lookup`: "pubkey_fingerprint", "cert_fingerprint".  The default
            is the order of relay_clientcerts; Postfix's check_ccert_access tries the certificate
            first.
        actions: True: right-hand sides must be actions that :func:`ccert.postfix.parse_action`
            supports.  False: they may be anything, as in relay_clientcerts; the log shows them.

    Raises:
        ConfigError: ``search_order`` is empty or has an unknown name; or see :meth:`reload`.
        TypeError: ``search_order`` is a str.

    Source: postconf(5), relay_clientcerts and check_ccert_access.
    """

    _kind = "access table"

    def __init__(
        self,
        path: StrPath,
        *,
        search_order: Sequence[str] = ("pubkey_fingerprint", "cert_fingerprint"),
        actions: bool = False,
    ) -> None:
        if isinstance(search_order, str):
            raise TypeError(f"search_order must be a tuple: ({search_order!r},)")
        unknown = [name for name in search_order if name not in _DIGESTS]
        if unknown or not search_order:
            raise ConfigError(
                f"search_order: {unknown[0]!r}: unknown" if unknown else "search_order: it is empty"
            )
        self._attributes = [_DIGESTS[name] for name in search_order]
        self.actions = actions
        super().__init__(path)

    def lookup(self, peer: Peer) -> str | None:
        """Return the right-hand side for a client; None: not listed, or it has no certificate.

        The verdict on the certificate does not matter: an Untrusted client, too, has proved that
        it has the key.  With ``actions``, an entry that permits or refuses takes precedence over
        one that does neither, as in Postfix.
        """
        entries = self._current()
        digests = [getattr(peer, attribute) for attribute in self._attributes]
        found = [entries[digest] for digest in digests if digest in entries]
        found.sort(key=lambda entry: not entry.final)
        return found[0].value if found else None

    def fingerprints(self, value: str) -> list[str]:
        """Return the fingerprints whose right-hand side this is."""
        return [digest for digest, entry in self._current().items() if entry.value == value]

    def _parse(self, rows: Iterable[Row]) -> Mapping[str, _Entry]:
        entries = {}
        for row in rows:
            _check_key(row.key)
            final = not self.actions or parse_action(row.value).verb in {"permit", "refuse"}
            entries[row.key.upper()] = _Entry(row.value, final)
        return MappingProxyType(entries)


def _check_key(key: str) -> None:
    pairs = (len(key) + 1) // 3
    if not _FINGERPRINT.fullmatch(key) or pairs not in {_SHA256_PAIRS, *_OTHER_DIGESTS}:
        raise ConfigError(
            f"key {key[:100]!r}: no SHA-256 fingerprint (32 hexadecimal pairs with colons)"
        )
    if pairs != _SHA256_PAIRS:
        raise ConfigError(
            f"key {key!r}: it is as long as {_OTHER_DIGESTS[pairs]}'s; ccert compares SHA-256 "
            "fingerprints (in Postfix: smtpd_tls_fingerprint_digest)"
        )
