"""The first inputs of tests/c/fuzz, from the catalogue: made anew, because certificates expire.

As a program: ``python tests/support/seeds.py DIRECTORY`` writes a folder for each target.
"""

from __future__ import annotations

import itertools
import re
import ssl
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pki
from cases import CASES, Chain, Clique
from cryptography import x509
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator

_SENT, _ANCHOR, _ANCHOR_WITH_SETTINGS = range(3)  # chain.c
_RESIGN = 1
_RAW, _RETRY, _OLD = 1, 2, 4  # server_name.c
_NAMES = ["mx.example", "*.example", "MX2.example", "mx3.example\0.example"]
_EKU_ONLY, _CRITICAL, _TWICE, _SETTINGS = 1, 2, 4, 8  # leaf.c


def ekus(der: bytes) -> tuple[bytes, ...]:
    """Cut out a certificate's EKU extensions, "critical" included, however malformed they are."""
    found = []
    for rest in der.split(pki.oid_der(pki.EKU))[1:]:
        start = 3 if rest.startswith(b"\x01\x01\xff") else 0
        assert rest[start] == 0x04
        assert rest[start + 1] < 0x80
        found.append(rest[: start + 2 + rest[start + 1]])
    return tuple(found)


def _block(octets: bytes) -> bytes:
    return len(octets).to_bytes(2, "big") + octets


def _leaf(chain: Chain) -> Iterator[bytes]:
    der = chain.sent[0].der
    yield bytes([0]) + der
    yield bytes([_SETTINGS]) + der
    values = [eku.partition(b"\x04")[2][1:] for eku in ekus(der)]
    critical = _CRITICAL * any(eku.startswith(b"\x01") for eku in ekus(der))
    if len(values) == 1:
        yield bytes([_EKU_ONLY | critical]) + values[0]
    elif len(values) == 2:
        yield bytes([_EKU_ONLY | _TWICE | critical]) + _block(values[0]) + values[1]


def _chain(chain: Chain) -> Iterator[bytes]:
    items = [bytes([_SENT]) + _block(certificate.der) for certificate in chain.sent]
    for kind, body in re.findall(
        r"-----BEGIN (.*?)-----\n(.*?)-----END", chain.anchors.decode(), re.DOTALL
    ):
        der = ssl.PEM_cert_to_DER_cert(f"{ssl.PEM_HEADER}\n{body}{ssl.PEM_FOOTER}\n")
        use = _ANCHOR_WITH_SETTINGS if kind.startswith("TRUSTED") else _ANCHOR
        items.append(bytes([use]) + _block(der))
    depth = (9, 0, 1, 2).index(chain.depth)
    for resign in (0, _RESIGN):
        yield bytes([resign | chain.level << 1 | depth << 3]) + b"".join(items)


def _pem(chain: Chain) -> Iterator[bytes]:
    text = b"".join(certificate.pem for certificate in chain.sent[:2])
    yield text + chain.anchors
    yield text.replace(b"\n", b"\r\n")
    yield text.replace(b"CERT", b"X509 CERT")


_OF_CHAINS = {"leaf": _leaf, "chain": _chain, "pem": _pem}


def _server_names() -> Iterator[bytes]:
    names = [b"", b"mx.example", b"mx2.example", b"MX.example", b"x" * 255]
    for first, second in itertools.product(names, names):
        for options in (0, _RETRY, _OLD):
            yield bytes([options]) + _block(first) + second
        for options in (_RAW, _RAW | _RETRY, _RAW | _OLD):
            yield bytes([options]) + _block(_extension(first)) + _extension(second)


def _extension(name: bytes) -> bytes:
    """Encode a server_name extension (RFC 6066, 3)."""
    return _block(b"\0" + _block(name))


def _long_name(clique: Clique) -> Chain:
    """Return a chain whose leaf has a CN that is too long for a verdict."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is longer than RFC 5280 allows
        attribute = x509.NameAttribute(NameOID.COMMON_NAME, "x" * 256, _validate=False)
    leaf = pki.issue(x509.Name([attribute]), clique.ca, eku=[pki.SERVER])
    return Chain([leaf, clique.ca], clique.root.pem)


def write(directory: Path) -> None:
    """Write each target's seeds into a folder with its name."""
    with tempfile.TemporaryDirectory() as files:
        clique = Clique(Path(files))
        chains = [(case.name, case.build(clique)) for case in CASES]
        chains += [("names", clique.leaf(names=_NAMES)), ("long-name", _long_name(clique))]
    for target, inputs in _OF_CHAINS.items():
        for name, chain in chains:
            _write(directory / target, name, inputs(chain))
    _write(directory / "server_name", "names", _server_names())


def _write(folder: Path, name: str, inputs: Iterator[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, octets in enumerate(inputs):
        (folder / f"{name}-{number}").write_bytes(octets)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
