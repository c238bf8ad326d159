"""What benches share: a chain of each kind of key, and the ratios of this run.

Only ratios from one run are quoted, never times: machines differ, and so do their neighbours.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import ssl
from importlib import metadata
from typing import TYPE_CHECKING

import pki
import pytest
from cryptography.hazmat.backends.openssl import backend

import ccert

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {
    "P-256": lambda serial: None,  # noqa: ARG005 - pki makes such a key
    "RSA-2048": lambda serial: pki.rsa_key(2048, serial),
}
MEDIANS = pytest.StashKey[dict[tuple[str, str], float]]()  # by kind of key and bench


@dataclasses.dataclass(frozen=True)
class Clique:
    """A trusted root, what one of its peers sends, and what another sends that must not pass."""

    root: pki.Certificate
    cafile: Path
    sent: list[bytes]
    refused: list[bytes]


def pytest_configure(config) -> None:
    config.stash[MEDIANS] = {}


def pytest_report_header() -> list[str]:
    rivals = ("cryptography", "pyhanko-certvalidator", "pytest-benchmark")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in rivals)
    return [
        f"ccert {ccert.__version__} from {ccert.__file__}, {ssl.OPENSSL_VERSION}",
        f"{versions}; cryptography's own {backend.openssl_version_text()}",
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {platform.machine()}",
    ]


@pytest.fixture(scope="session", params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def clique(kind, tmp_path_factory) -> Clique:
    keys = [KINDS[kind](serial) for serial in range(4)]
    root = pki.issue("Root", ca=True, key=keys[0])
    intermediate = pki.issue("Intermediate", root, ca=True, path_length=0, key=keys[1])
    leaf, code = (
        pki.issue("mx.example", intermediate, eku=[usage], names=["mx.example"], key=key)
        for usage, key in zip((pki.SERVER, pki.CODE), keys[2:], strict=True)
    )
    cafile = tmp_path_factory.mktemp(kind) / "root.pem"
    cafile.write_bytes(root.pem)
    sent, refused = ([end.der, intermediate.der] for end in (leaf, code))
    return Clique(root, cafile, sent, refused)


@pytest.fixture
def record(request, kind):
    """Return a function that keeps a median for the table at the end."""

    def record(name: str, median: float) -> None:
        request.config.stash[MEDIANS][kind, name] = median

    return record


@pytest.fixture
def benchmark(benchmark, request, record):
    """Keep the median of pytest-benchmark's own fixture; there is none with --benchmark-disable."""
    yield benchmark
    if benchmark.stats:
        record(request.node.originalname, benchmark.stats.stats.median)


ROWS = (
    ("ccert, vs cryptography", "test_cryptography", "test_ccert", ">= 1.5"),
    ("  ... its certificates preparsed", "test_cryptography_preparsed", "test_ccert", ""),
    ("  ... ccert's cache missed", "test_cryptography", "test_ccert_cold", ""),
    ("ccert, vs pyhanko-certvalidator", "test_pyhanko", "test_ccert", ">= 10"),
    ("ccert's C, slower than signatures alone", "ratio in C", None, "<= 1.25"),
)


@pytest.hookimpl(trylast=True)  # below the times
def pytest_terminal_summary(terminalreporter, config) -> None:
    medians = config.stash[MEDIANS]
    kinds = [kind for kind in KINDS if (kind, "test_ccert") in medians]
    if not kinds:
        return
    terminalreporter.section("ratios of medians, this run")
    line = "{:<42}{:>10}{:>10}{:>10}".format
    terminalreporter.write_line(line("", *[*kinds, ""][:2], "target"))
    for title, rival, ours, target in ROWS:
        cells = []
        for kind in kinds:
            above, below = medians.get((kind, rival)), medians.get((kind, ours), 1.0)
            cells.append(f"{above / below:.2f}" if above else "-")
        terminalreporter.write_line(line(title, *[*cells, ""][:2], target))
