"""A table of the hosts whose certificates may send mail: relay_clientnames."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ccert.errors import ConfigError
from ccert.names import covers, host_name, wildcard_parent
from ccert.postfix.text_table import TextTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ccert.postfix.text_table import Row
    from ccert.verdict import Verdict

__all__ = ["NameTable"]


class _Names(NamedTuple):
    hosts: frozenset[str]
    domains: frozenset[str]  # whose subdomains are listed
    children: Mapping[str, list[str]]  # the hosts directly below a domain


class NameTable(TextTable[_Names]):
    """A table in a file: host name, white space, anything.

    ::

        # host, or .domain for all hosts below it              anything
        mx.partner.example                                     OK
        .other.example                                         OK

    A client is listed if its certificate is Trusted and *valid for* a listed name, as
    ``X509_check_host(3)`` decides: by the same DNS name, or by a wildcard for one whole label.
    Names are A-labels, in either case of letters; a wildcard in the table is an error.

    The file is read, and read again, as for :class:`AccessTable`.  A look-up takes as long in a
    table of 100 000 names as in one of ten.

    Args:
        path: the file.

    Raises:
        ConfigError: as :meth:`reload`.
    """

    _kind = "name table"

    def lookup(self, peer: Verdict) -> str | None:
        """Return the listed name that a client's certificate is valid for, None if there is none.

        A listed domain has its dot in front.  Of several the first in the certificate's order.
        """
        if not peer.trust:
            return None
        names = self._current()
        for name in peer.names:
            if found := _listed(name, names):
                return found
        return None

    def _parse(self, rows: Iterable[Row]) -> _Names:
        hosts: set[str] = set()
        domains: set[str] = set()
        children: dict[str, list[str]] = {}
        for row in rows:
            if row.key.startswith("*"):
                raise ConfigError(f"key {row.key[:100]!r}: write .DOMAIN for all hosts below it")
            try:
                name = host_name(row.key.removeprefix("."))
            except ValueError as error:
                raise ConfigError(f"key {error}") from None
            if row.key.startswith("."):
                domains.add(name)
            else:
                hosts.add(name)
                children.setdefault(name.partition(".")[2], []).append(name)
        return _Names(frozenset(hosts), frozenset(domains), children)


def _listed(name: str, names: _Names) -> str | None:
    if name in names.hosts:
        return name
    parent = wildcard_parent(name)
    for host in names.children.get(parent, ()) if parent else ():
        if covers(name, host):
            return host
    at = name.find(".")
    while at >= 0:
        if name[at + 1 :] in names.domains:
            return name[at:]
        at = name.find(".", at + 1)
    return None
