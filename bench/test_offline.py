"""Chain verification without a connection: ccert, its rivals, and the floor none can go below.

Strategy: each bench gets the DER of a leaf and an intermediate, as bytes that nobody has seen
before, hence with no hash cached: copying is in every timer, and ccert's hashing in its own.  The
trusted root is loaded beforehand.  Each asserts its verdict; two tests assert that a leaf for code
signing and forged signatures are refused.  cryptography brings another OpenSSL, see the header.
"""

from __future__ import annotations

import subprocess

import pytest
import rivals
from c_programs import CSRC, compile_c
from cryptography.x509.verification import VerificationError
from nothing_native import Anchor, InvalidChainError
from pyhanko_certvalidator.errors import InvalidCertificateError, ValidationError
from report import Row

import ccert

ROUNDS, ITERATIONS = 101, 50

WARM = "DER of two certificates to verdict, root loaded before"
TWO_SIGNATURES = (
    "both check two signatures, on P-256 the same assembly in two builds of OpenSSL: the row below "
    "it is the most that any verifier on this OpenSSL could reach"
)
ROWS = (
    Row(
        "offline: ccert / the two signature checks alone", "test_ccert", "signatures in C",
        f"{WARM}, from Python, against bare EVP_DigestVerify() in C; ccert has met these "
        "certificates before",
        "<= 1.11 1.28",
    ),
    Row(
        "  ... ccert's C", "ratio in C", None,
        "certificates decoded before, ccert_verifier_verify() against bare EVP_DigestVerify()",
        "<= 1.25",
    ),
    Row(
        "offline: cryptography / ccert", "test_cryptography", "test_ccert",
        f"{WARM}; ccert has met these certificates before", caveat=TWO_SIGNATURES,
    ),
    Row(
        "  ... / the two signature checks alone", "test_cryptography", "signatures in C",
        "the same, divided by bare EVP_DigestVerify() in C on the system's OpenSSL",
    ),
    Row(
        "  ... certificates preparsed / ccert", "test_cryptography_preparsed", "test_ccert",
        "cryptography gets objects, ccert still DER",
    ),
    Row(
        "  ... / ccert, nothing cached", "test_cryptography", "test_ccert_cold",
        f"{WARM}; ccert decodes them every time",
        caveat="OpenSSL's decoder, slow in 3.0, fast from 3.2 on",
    ),
    Row(
        "offline: pyhanko-certvalidator / ccert", "test_pyhanko", "test_ccert", WARM,
        caveat="it reads in Python and checks signatures in cryptography",
    ),
    Row(
        "offline: nothing native / ccert", "test_nothing_native", "test_ccert", WARM,
        caveat="written for the bench: asn1crypto, ecdsa without gmpy2, pow()",
    ),
    Row(
        "offline: pyOpenSSL's X509StoreContext / ccert", "test_pyopenssl", "test_ccert", WARM,
        wrong="pyOpenSSL's store looks at no extended key usage: it trusts code signing's, too",
    ),
)  # fmt: skip


def fresh(ders: list[bytes]) -> list[bytes]:
    """Copy, as if they had just come from a socket."""
    return [bytes(bytearray(der)) for der in ders]


@pytest.fixture
def verifier(clique) -> ccert.ChainVerifier:
    return ccert.ChainVerifier(cafile=clique.cafile, trust_server_ccerts=True)


@pytest.fixture
def cryptography(clique):
    return rivals.cryptography(clique.root.der)


@pytest.fixture
def pyhanko(clique):
    with rivals.pyhanko(clique.root.der) as verify:
        yield verify


@pytest.fixture
def pyopenssl(clique):
    return rivals.pyopenssl(clique.root.der)


@pytest.fixture
def nothing_native(clique):
    return Anchor(clique.root.der).verify


def test_ccert(benchmark, clique, verifier):
    """The cache is warm: the clique has met this peer before."""
    verdict = benchmark(lambda: verifier.verify(fresh(clique.sent)))
    assert verdict.trusted_as_server


def test_ccert_cold(benchmark, clique, verifier, monkeypatch):
    """Nothing stays in the cache: all is decoded, and freed, every time."""
    monkeypatch.setattr("ccert.tls.chain._CACHE_SIZE", 0)
    verdict = benchmark(lambda: verifier.verify(fresh(clique.sent)))
    assert verdict.trusted_as_server


def test_cryptography(benchmark, clique, cryptography):
    chain = benchmark(lambda: cryptography(rivals.parsed(fresh(clique.sent))))
    assert len(chain) == 3


def test_cryptography_preparsed(benchmark, clique, cryptography):
    chain = benchmark(cryptography, rivals.parsed(clique.sent))
    assert len(chain) == 3


def test_pyhanko(benchmark, clique, pyhanko):
    path = benchmark(lambda: pyhanko(fresh(clique.sent)))
    assert path.pkix_len == 2


def test_nothing_native(benchmark, clique, nothing_native):
    chain = benchmark(lambda: nothing_native(fresh(clique.sent)))
    assert len(chain) == 3


def test_pyopenssl(benchmark, clique, pyopenssl):
    chain = benchmark(lambda: pyopenssl(fresh(clique.sent)))
    assert len(chain) == 3


def test_floor(clique, record, tmp_path, smoke):
    """Compare ccert's C with the two signature checks alone; the program asserts the verdicts."""
    ders = [tmp_path / name for name in ("leaf.der", "intermediate.der")]
    for path, der in zip(ders, clique.sent, strict=True):
        path.write_bytes(der)
    program = compile_c("floor.c", tmp_path / "floor", *sorted(CSRC.glob("*.c")))
    rounds = ("1", "1") if smoke else (str(ROUNDS), str(ITERATIONS))
    command = [program, *ders, clique.cafile, *rounds]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    signatures, verification, ratio = map(float, output.split())
    record("signatures in C", signatures * 1e-9)
    record("ccert in C", verification * 1e-9)
    record("ratio in C", ratio, "")


def test_refusal(clique, verifier, cryptography, pyhanko, nothing_native, pyopenssl):
    """All of them refuse a leaf for code signing, except pyOpenSSL, which cannot be told to."""
    assert verifier.verify(clique.refused).trust is ccert.Trust.UNTRUSTED
    with pytest.raises(VerificationError, match="serverAuth is not listed"):
        cryptography(rivals.parsed(clique.refused))
    with pytest.raises(InvalidCertificateError):
        pyhanko(clique.refused)
    with pytest.raises(InvalidChainError, match="not for servers"):
        nothing_native(clique.refused)
    assert len(pyopenssl(clique.refused)) == 3, "no longer WRONG: correct its row"


@pytest.mark.parametrize("place", [0, 1])
def test_forgery(clique, verifier, cryptography, pyhanko, nothing_native, pyopenssl, place):
    """All of them look at both signatures: neither certificate may have a changed one."""
    forged = list(clique.sent)
    forged[place] = forged[place][:-1] + bytes([forged[place][-1] ^ 1])
    assert verifier.verify(forged).trust is ccert.Trust.UNTRUSTED
    for verify in (lambda ders: cryptography(rivals.parsed(ders)), pyhanko, nothing_native):
        with pytest.raises((VerificationError, ValidationError, InvalidChainError)):
            verify(forged)
    with pytest.raises(rivals.crypto.X509StoreContextError):
        pyopenssl(forged)
