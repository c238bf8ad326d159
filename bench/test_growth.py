"""How the cost of a handshake grows: with the client's chain, and with the trusted CAs.

Strategy: handshakes in memory, in one thread; the time is of the server's calls alone, a median of
the rounds.  All sizes and both servers take turns.  P-256 only.
"""

from __future__ import annotations

import shutil
import warnings
from statistics import median
from typing import TYPE_CHECKING

import pki
import pytest
from ends import Handshakes, new_ssl
from report import Row
from variants import VARIANTS

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS, COUNT = 15, 10
CHAINS = tuple(range(2, 11))  # certificates, with leaf and root
ANCHORS = (1, 10, 20, 50, 100, 150)

CAVEATS = {
    "chain of 2": "with a leaf alone, OpenSSL's client sends the root, too",
    "chain of 10": "",
    "150 trusted CAs": "ccert names them to the client (RFC 8446, 4.2.4); ssl does not",
}
ROWS = tuple(
    Row(
        f"handshake, {size}: ccert / ssl's default",
        *(f"handshake, {size}, {variant}" for variant in VARIANTS),
        "a full TLS 1.3 handshake in memory, the server's calls alone",
        caveat=caveat,
    )
    for size, caveat in CAVEATS.items()
)

pytestmark = pytest.mark.parametrize("kind", ["P-256"], indirect=True)


def peers(clique, directory: Path, length: int) -> Path:
    """Return a directory where the chains of peers have so many certificates."""
    shutil.copytree(clique.directory, directory)
    issuer, above = clique.root, b""
    for number in range(length - 2):
        issuer = pki.issue(f"CA {number}", issuer, ca=True)
        above = issuer.pem + above
    for name, usage in (("peer", pki.SERVER), ("client", pki.CLIENT)):
        leaf = pki.issue("mx.example", issuer, eku=[usage])
        (directory / f"{name}.pem").write_bytes(leaf.pem + above + leaf.key_pem)
    return directory


def anchored(clique, directory: Path, others: list[bytes]) -> Path:
    """Return a directory where others are trusted, too."""
    shutil.copytree(clique.directory, directory)
    (directory / "root.pem").write_bytes(b"".join([*others, clique.root.pem]))
    return directory


def handshakes(variant: str, server: Path, client: Path) -> Handshakes:
    with warnings.catch_warnings():  # of many CAs
        warnings.simplefilter("ignore", UserWarning)
        context = VARIANTS[variant].server(server)
    return Handshakes(new_ssl(context), VARIANTS[variant].peer(client))


@pytest.fixture
def record_growth(record, smoke):
    """Return ``record_growth(plot, name, grown)``: shake hands, and keep what it took."""

    def record_growth(plot: str, name: str, grown: dict[tuple[int, str], Handshakes]) -> None:
        seconds = {key: [] for key in grown}
        count = 1 if smoke else COUNT
        for _ in range(1 if smoke else ROUNDS):
            for key, each in grown.items():
                before = each.server_seconds
                each.run(count)
                seconds[key].append((each.server_seconds - before) / count)
        for (size, variant), each in grown.items():
            assert VARIANTS[variant].knows(each.last.tls)
            value = median(seconds[size, variant])
            record(
                f"handshake, {name.format(size)}, {variant}", value, plot=plot, x=size, line=variant
            )

    return record_growth


def test_chain(clique, record_growth, tmp_path):
    """Each peer is trusted, whatever the length of its chain."""
    grown = {}
    for length in CHAINS:
        directory = peers(clique, tmp_path / str(length), length)
        for variant in VARIANTS:
            grown[length, variant] = handshakes(variant, directory, directory)
    record_growth("chain", "chain of {}", grown)


def test_anchors(clique, record_growth, tmp_path):
    """Each peer is trusted, however many others would be."""
    roots = [pki.issue(f"Root {number}", ca=True).pem for number in range(1, max(ANCHORS))]
    grown = {}
    for count in ANCHORS:
        directory = anchored(clique, tmp_path / str(count), roots[: count - 1])
        for variant in VARIANTS:
            grown[count, variant] = handshakes(variant, directory, clique.directory)
    record_growth("anchors", "{} trusted CAs", grown)
