"""Who connects: each kind of certificate, and the verdict that its messages must carry.

Written as PEM files, so that the processes that play the clients need the directory alone.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import ssl
from typing import TYPE_CHECKING, Any

import pki
from cases import Chain, Clique
from cryptography.hazmat.primitives import serialization
from foreign import VERSIONS, ForeignClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MALFORMED = pki.eku_der(pki.SERVER)[:-1]
_LARGE, _TOO_LARGE = 95_000, 200_000  # octets: libssl takes 102 400 (SSL_CTX_set_max_cert_list)


@dataclasses.dataclass(frozen=True)
class Role:
    """A kind of client.

    Attributes:
        name: of its files, of the domain that it sends from, and in its certificate.
        trust: the verdict with ``tls_trust_server_ccerts = yes``.
        chain: makes its chain; None: it has no certificate.
        foreign: only a foreign TLS stack presents this chain.
    """

    name: str
    trust: str
    chain: Callable[[Clique, str], list[pki.Certificate]] | None
    foreign: bool = False

    @property
    def domain(self) -> str:
        return f"{self.name}.example"


def _leaf(**deviation) -> Callable[[Clique, str], list[pki.Certificate]]:
    return lambda clique, name: [pki.issue(name, clique.ca, **deviation), clique.ca]


def _stranger(_clique: Clique, name: str) -> list[pki.Certificate]:
    return [pki.issue(name, pki.issue("Strange Root", ca=True), eku=[pki.CLIENT])]


def _with_extra(clique: Clique, name: str) -> list[pki.Certificate]:
    extra = pki.issue("Extra", clique.root, eku=_MALFORMED)
    return [*_leaf(eku=[pki.SERVER])(clique, name), extra]


def _padded(size: int) -> Callable[[Clique, str], list[pki.Certificate]]:
    def chain(clique: Clique, name: str) -> list[pki.Certificate]:
        return _leaf(eku=[pki.SERVER])(clique, name) + [clique.ca] * (size // len(clique.ca.der))

    return chain


_MAIL = (
    Role("server-only", "Trusted", _leaf(eku=[pki.SERVER])),
    Role("client-only", "Trusted", _leaf(eku=[pki.CLIENT])),
    Role("both", "Trusted", _leaf(eku=[pki.SERVER, pki.CLIENT])),
    Role("email-only", "Untrusted", _leaf(eku=[pki.EMAIL])),
    Role("stranger", "Untrusted", _stranger),
    Role("none", "Anonymous", None),
    # these leave entries on OpenSSL's error queue
    Role("malformed", "Untrusted", _leaf(eku=_MALFORMED), foreign=True),
    Role("extra", "Trusted", _with_extra, foreign=True),
)
MAIL_ROLES = tuple(role.name for role in _MAIL)
ROLES = {
    role.name: role
    for role in (
        *_MAIL,
        Role("large", "Trusted", _padded(_LARGE)),
        Role("too-large", "refused", _padded(_TOO_LARGE)),
    )
}


def write_cast(clique: Clique, host_ca: bytes, directory: Path) -> None:
    """Make everybody's certificates."""
    (directory / "host-ca.pem").write_bytes(host_ca)
    for role in ROLES.values():
        if role.chain:
            leaf, *others = role.chain(clique, role.domain)
            pems = [leaf.key_pem, leaf.pem, *(other.pem for other in others)]
            (directory / f"{role.name}.pem").write_bytes(b"".join(pems))


class Cast:
    """The clients' TLS contexts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @functools.cache  # noqa: B019 - sessions belong to a context; both live as long as the process
    def context(self, name: str, version: ssl.TLSVersion) -> Any:
        """Return the context of a role, with one TLS version."""
        role = ROLES[name]
        cafile, path = self._directory / "host-ca.pem", self._directory / f"{name}.pem"
        if role.foreign:
            client = ForeignClient(cafile, _read_chain(path))
            client._context.set_min_proto_version(VERSIONS[version])
            client._context.set_max_proto_version(VERSIONS[version])
            return client
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile)
        context.minimum_version = context.maximum_version = version
        if role.chain:
            context.load_cert_chain(path)
        return context


def _read_chain(path: Path) -> Chain:
    pem = path.read_bytes()
    key: Any = serialization.load_pem_private_key(pem, None)
    blocks = re.findall(b"-+BEGIN CERT.*?END CERTIFICATE-+", pem, re.DOTALL)
    ders = [ssl.PEM_cert_to_DER_cert(block.decode()) for block in blocks]
    return Chain([pki.Certificate(der, key, pki.common_name(path.stem)) for der in ders], b"")
