"""What benches share: certificates of each kind of key, and what becomes of a measurement.

``--benchmark-disable`` is the smoke mode: every bench runs once and asserts its verdicts, nothing
is timed and nothing recorded.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pki
import pytest
import report
from c_programs import compile_c
from certificates import write_certificates
from loop import Library

import ccert

RUN = pytest.StashKey[report.Run]()
KEYS = {
    "P-256": lambda serial: None,  # noqa: ARG005 - pki makes such a key
    "RSA-2048": lambda serial: pki.rsa_key(2048, serial),
}


@dataclasses.dataclass(frozen=True)
class Clique:
    """A root, an intermediate below it, and what hosts with certificates of that send.

    Attributes:
        root: which all trust.
        cafile: the root's, PEM.
        sent: DER as a peer sends it whose certificate lists serverAuth only.
        refused: ... and as one sends it whose certificate is for code signing.
        directory: has chains with their keys, see certificates.py.
    """

    root: pki.Certificate
    cafile: Path
    sent: list[bytes]
    refused: list[bytes]
    directory: Path


def pytest_addoption(parser) -> None:
    parser.addoption("--results", type=Path, metavar="FILE", help="write what was measured: JSON")


def pytest_configure(config) -> None:
    config.stash[RUN] = report.Run()


def pytest_report_header(config) -> list[str]:
    about = config.stash[RUN].machine
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return [
        f"ccert {about['ccert']} from {ccert.__file__}",
        f"{about['openssl']}; cryptography's own {about['openssl_of_cryptography']}",
        f"{versions}, {about['valgrind']}",
        f"Python {about['python']}, {about['system']}",
        f"{about['cpus']} CPUs, {about['cpu_model']}, load {about['load']}",
    ]


def pytest_collection_finish(session) -> None:
    modules = dict.fromkeys(item.module for item in session.items)
    session.config.stash[RUN].rows = [
        dataclasses.replace(row, bench=module.__name__.removeprefix("test_"))
        for module in modules
        for row in getattr(module, "ROWS", ())
    ]


def pytest_sessionfinish(session) -> None:
    path, run = session.config.getoption("results"), session.config.stash[RUN]
    if path and run.measurements:
        path.write_text(json.dumps(run.document(), indent=1, ensure_ascii=False) + "\n")


@pytest.hookimpl(trylast=True)  # below the times
def pytest_terminal_summary(terminalreporter, config) -> None:
    if lines := config.stash[RUN].lines():
        terminalreporter.section("ratios of medians, this run; [1.23] misses its target")
        terminalreporter.write("\n".join([*lines, ""]))


@pytest.fixture(scope="session", params=report.KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def clique(kind, tmp_path_factory) -> Clique:
    directory = tmp_path_factory.mktemp(kind)
    keys = [KEYS[kind](serial) for serial in range(4)]
    root, intermediate, hosts = write_certificates(directory, keys)
    sent, refused = ([hosts[name].der, intermediate.der] for name in ("peer", "signer"))
    return Clique(root, directory / "root.pem", sent, refused, directory)


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Library:
    """Compile the bare C loop."""
    path = tmp_path_factory.mktemp("c") / "handshake.so"
    return Library(compile_c("handshake.c", path, "-shared", "-fPIC"))


@pytest.fixture(scope="session")
def smoke(pytestconfig) -> bool:
    """Tell whether to run everything once, for its verdicts only."""
    return pytestconfig.getoption("benchmark_disable")


@pytest.fixture(scope="session")
def run(pytestconfig) -> report.Run:
    return pytestconfig.stash[RUN]


@pytest.fixture
def record(run, kind, smoke):
    """Return ``record(name, value, unit, **about)``, which keeps a measurement of this kind."""

    def record(name: str, value: float, unit: str = "s", **about) -> None:
        if not smoke:
            run.record(name, kind, value, unit, load=round(os.getloadavg()[0], 2), **about)

    return record


@pytest.fixture
def benchmark(benchmark, request, record):
    """Keep the median of pytest-benchmark's own fixture; there is none with --benchmark-disable."""
    yield benchmark
    if benchmark.stats:
        stats = benchmark.stats.stats
        name = request.node.originalname
        record(name, stats.median, quartiles=[stats.q1, stats.q3], rounds=stats.rounds)
