"""Chain verification without a connection: ccert, its rivals, and the floor none can go below.

Strategy: each bench gets the DER of a leaf and an intermediate, as bytes that nobody has seen
before, hence with no hash cached: copying is in every timer, and ccert's hashing in its own.  The
trusted root is loaded beforehand.  Each asserts its verdict; one test asserts that all of them
refuse a leaf for code signing.  cryptography brings another OpenSSL, see the header.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from pathlib import Path

import asn1crypto.x509
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import InvalidCertificateError

import ccert

CSRC = Path(__file__).resolve().parent.parent / "csrc"
COMPILE = (
    "gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes",
    "-Werror", f"-I{CSRC}",
)  # fmt: skip
ROUNDS, ITERATIONS = 101, 50


def fresh(ders: list[bytes]) -> list[bytes]:
    """Copy, as if they had just come from a socket."""
    return [bytes(bytearray(der)) for der in ders]


@pytest.fixture
def verifier(clique) -> ccert.ChainVerifier:
    return ccert.ChainVerifier(cafile=clique.cafile, trust_server_ccerts=True)


def parse(ders: list[bytes]) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(der) for der in ders]


def _lists_server(policy, certificate, usages) -> None:  # noqa: ARG001 - the callback's signature
    if usages is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        raise ValueError("serverAuth is not listed")


@pytest.fixture
def cryptography(clique):
    """Return ``verify(leaf, intermediate)`` of cryptography, for clients with serverAuth."""
    usage = (x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _lists_server)
    verifier = (
        PolicyBuilder()
        .store(Store(parse([clique.root.der])))
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca().may_be_present(*usage),
            ee_policy=ExtensionPolicy.webpki_defaults_ee().may_be_present(*usage),
        )
        .build_client_verifier()
    )
    return lambda leaf, *intermediates: verifier.verify(leaf, list(intermediates)).chain


@pytest.fixture
def pyhanko(clique):
    """Return ``verify(ders)`` of pyhanko-certvalidator; the event loop is 1 % of it."""
    root = asn1crypto.x509.Certificate.load(clique.root.der)

    def verify(ders: list[bytes]):
        leaf, *intermediates = (asn1crypto.x509.Certificate.load(der) for der in ders)
        context = ValidationContext(trust_roots=[root], allow_fetching=False)
        validator = CertificateValidator(leaf, intermediates, validation_context=context)
        return loop.run_until_complete(validator.async_validate_usage(set(), {"server_auth"}))

    with contextlib.closing(asyncio.new_event_loop()) as loop:
        yield verify


def test_ccert(benchmark, clique, verifier):
    """The cache is warm: the clique has met this peer before."""
    verdict = benchmark(lambda: verifier.verify(fresh(clique.sent)))
    assert verdict.trusted_as_server


def test_ccert_cold(benchmark, clique, verifier, monkeypatch):
    """Nothing stays in the cache: all is decoded, and freed, every time."""
    monkeypatch.setattr("ccert.chain._CACHE_SIZE", 0)
    verdict = benchmark(lambda: verifier.verify(fresh(clique.sent)))
    assert verdict.trusted_as_server


def test_cryptography(benchmark, clique, cryptography):
    chain = benchmark(lambda: cryptography(*parse(fresh(clique.sent))))
    assert len(chain) == 3


def test_cryptography_preparsed(benchmark, clique, cryptography):
    chain = benchmark(cryptography, *parse(clique.sent))
    assert len(chain) == 3


def test_pyhanko(benchmark, clique, pyhanko):
    path = benchmark(lambda: pyhanko(fresh(clique.sent)))
    assert path.pkix_len == 2


def test_floor(clique, record, tmp_path, request):
    """Compare ccert's C with the two signature checks alone; the program asserts the verdicts."""
    program, *ders = (tmp_path / name for name in ("floor", "leaf.der", "intermediate.der"))
    for path, der in zip(ders, clique.sent, strict=True):
        path.write_bytes(der)
    sources = [Path(__file__).parent / "floor.c", *sorted(CSRC.glob("*.c"))]
    subprocess.run([*COMPILE, *sources, "-o", program, "-lssl", "-lcrypto"], check=True)
    smoke = request.config.getoption("benchmark_disable")
    rounds = ("1", "1") if smoke else (str(ROUNDS), str(ITERATIONS))
    command = [program, *ders, clique.cafile, *rounds]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    *_, ratio = output.split()
    record("ratio in C", float(ratio))


def test_refusal(clique, verifier, cryptography, pyhanko):
    """All of them refuse a leaf for code signing."""
    assert verifier.verify(clique.refused).trust is ccert.Trust.UNTRUSTED
    with pytest.raises(VerificationError, match="serverAuth is not listed"):
        cryptography(*parse(clique.refused))
    with pytest.raises(InvalidCertificateError):
        pyhanko(clique.refused)
