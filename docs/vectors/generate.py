"""Write the catalogue of tests/cases.py as files that any implementation can be tested with.

Strategy: ``pki`` makes the certificates as for our own tests, but everything that is random or
depends on the clock comes from a :class:`Source`, so that a seed and an instant decide every octet.
The expectations are ``openssl verify``'s for that instant (``oracle.py``).  ccert takes no part.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import hashlib
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import types
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import oracle
import pki
from cases import CASES, Clique

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cases import Case, Chain

_FORMAT = 1  # of case.json and manifest.json, see schema.json
_NOW = "%Y-%m-%dT%H:%M:%SZ"
_YEARS = range(1980, 2200)  # what X.509 and every time_t can express, with a margin
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_EXPONENT = 65537  # of RSA
_PRIMES = [n for n in range(2, 2000) if all(n % d for d in range(2, math.isqrt(n) + 1))]

_DESCRIPTION = """\
Write test vectors: client certificate chains, and whether a TLS server trusts them, with a setting
like Postfix's tls_trust_server_ccerts off and on.  Each case becomes a directory:

  roots.pem   the trusted CAs
  chain.pem   what the client sends, its own certificate first
  key.pem     the client's private key
  case.json   description, security level, verify depth, and what openssl verify says

manifest.json, written last, names the cases, the seed, the instant and the OpenSSL that judged.
"""
_END = """\
The same seed and the same --now give the same files, octet for octet.  The certificates are valid
for a month from --now; make them anew then, or set the clock of what you test (openssl verify has
-attime).  The private keys follow from the seed: never trust these roots anywhere else.

Exit status: 0 if all is written, 1 if OpenSSL is missing or fails, 2 for a wrong usage.

Examples:
  generate.py vectors
  generate.py vectors --seed 7 --now 2026-03-23T12:00:00Z
"""


class Source:
    """Whatever is random or now, from a seed: each label begins a stream of its own.

    Labels keep cases apart: a case that is added or changed leaves the others' octets alone.
    """

    def __init__(self, seed: int, now: datetime.datetime) -> None:
        self._seed = seed
        self._now = now
        self._rsa_keys: dict[tuple[int, int], rsa.RSAPrivateKey] = {}
        self.begin("")

    def begin(self, label: str) -> None:
        """Begin the stream of this label, which is the same each time."""
        self._label = label
        self._count = 0

    def _number(self, bits: int) -> int:
        self._count += 1
        text = f"ccert vectors/{self._seed}/{self._label}/{self._count}"
        octets = hashlib.shake_256(text.encode()).digest((bits + 7) // 8)
        return int.from_bytes(octets, "big") >> (-bits % 8)

    def now(self, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        """Return the instant, as ``datetime.datetime.now`` does."""
        return self._now.astimezone(tz)

    def serial(self) -> int:
        """Return a serial number of 159 bits, as ``x509.random_serial_number`` does."""
        return 1 << 158 | self._number(158)

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Make a P-256 key, as :func:`pki.new_key` does."""
        return ec.derive_private_key(1 + self._number(320) % (_P256_ORDER - 1), ec.SECP256R1())

    def rsa_key(self, bits: int, serial: int = 0) -> rsa.RSAPrivateKey:
        """Make one key a size and serial, as :func:`pki.rsa_key` does."""
        if (bits, serial) not in self._rsa_keys:
            own = Source(self._seed, self._now)
            own.begin(f"rsa/{bits}/{serial}")
            self._rsa_keys[bits, serial] = _rsa_key(own._prime(bits // 2), own._prime(bits // 2))
        return self._rsa_keys[bits, serial]

    def _prime(self, bits: int) -> int:
        top = 3 << (bits - 2)  # so that a product has twice the bits
        while not _is_prime(candidate := self._number(bits) | top | 1):
            pass
        return candidate


def _is_prime(number: int) -> bool:
    """Miller and Rabin's test of a large random number that fits RSA's public exponent, too."""
    if any(number % prime == 0 for prime in _PRIMES) or number % _EXPONENT == 1:
        return False
    twos = ((number - 1) & -(number - 1)).bit_length() - 1
    for base in _PRIMES[:40]:
        power = pow(base, number >> twos, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def _rsa_key(p: int, q: int) -> rsa.RSAPrivateKey:
    d = pow(_EXPONENT, -1, math.lcm(p - 1, q - 1))
    crt = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    public = rsa.RSAPublicNumbers(_EXPONENT, p * q)
    # Unchecked, because 768 bits are too few for cryptography: that is what the case is about.
    return rsa.RSAPrivateNumbers(p, q, d, *crt, public).private_key(
        unsafe_skip_rsa_key_validation=True
    )


def _altered(module: types.ModuleType, **changes: object) -> types.SimpleNamespace:
    return types.SimpleNamespace(**{**vars(module), **changes})


@contextlib.contextmanager
def _determined_by(source: Source) -> Iterator[None]:
    """Let ``pki`` take from the source what it takes from the system otherwise."""
    sign = x509.CertificateBuilder.sign

    def sign_deterministically(builder, key, *arguments, **options):
        if isinstance(key, ec.EllipticCurvePrivateKey):
            options["ecdsa_deterministic"] = True  # RFC 6979
        return sign(builder, key, *arguments, **options)

    def ecdsa(algorithm):
        return ec.ECDSA(algorithm, deterministic_signing=True)

    clock = types.SimpleNamespace(now=source.now)
    with (
        mock.patch.object(pki, "new_key", source.key),
        mock.patch.object(pki, "rsa_key", source.rsa_key),
        mock.patch.object(pki, "datetime", _altered(datetime, datetime=clock)),
        mock.patch.object(pki, "x509", _altered(x509, random_serial_number=source.serial)),
        mock.patch.object(pki, "ec", _altered(ec, ECDSA=ecdsa)),
        mock.patch.object(x509.CertificateBuilder, "sign", sign_deterministically),
    ):
        yield


@contextlib.contextmanager
def _judging_at(moment: datetime.datetime) -> Iterator[None]:
    """Let the oracle judge for a moment other than now."""
    run = oracle._run

    def run_at(*command):
        if command[:2] == ("openssl", "verify"):
            command = (*command[:2], "-attime", str(int(moment.timestamp())), *command[2:])
        return run(*command)

    with mock.patch.object(oracle, "_run", run_at):
        yield


def _expectation(chain: Chain, directory: Path, *, setting: bool) -> dict[str, object]:
    judgement = oracle.judge(chain, directory, setting=setting)
    printed = re.search(r"error \d+ at \d+ depth lookup: *(.*)", judgement.transcript)
    return {
        "trusted": judgement.trusted,
        "as_server": judgement.as_server,
        "error_code": judgement.error_code,
        "error": printed[1].strip() if printed else "",
        "error_depth": None if judgement.trusted else judgement.error_depth,
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_case(case: Case, chain: Chain, directory: Path, scratch: Path) -> None:
    directory.mkdir()
    (directory / "roots.pem").write_bytes(chain.anchors)
    (directory / "chain.pem").write_bytes(b"".join(certificate.pem for certificate in chain.sent))
    (directory / "key.pem").write_bytes(chain.sent[0].key_pem)
    content = {
        "name": case.name,
        "description": case.description,
        "auth_level": chain.level,
        "verify_depth": chain.depth,
        "expected": {
            word: _expectation(chain, scratch, setting=word == "on") for word in ("off", "on")
        },
    }
    _write_json(directory / "case.json", content)


def generate(directory: Path, seed: int, now: datetime.datetime, console: Console) -> None:
    """Write all cases and the manifest.

    Args:
        directory: is empty, or will be made.
        seed: decides keys and serial numbers.
        now: the instant, UTC, at which the certificates are made and judged.
        console: where progress is shown if it is a terminal.
    """
    version = subprocess.run(["openssl", "version"], check=True, capture_output=True, text=True)
    directory.mkdir(parents=True, exist_ok=True)
    source = Source(seed, now)
    cases = track(
        CASES, "Writing", console=console, transient=True, disable=not console.is_terminal
    )
    with (
        tempfile.TemporaryDirectory() as scratch,
        _determined_by(source),
        _judging_at(now),
    ):
        source.begin("clique")
        clique = Clique(Path(scratch))
        for case in cases:
            source.begin(f"case/{case.name}")
            _write_case(case, case.build(clique), directory / case.name, Path(scratch))
    manifest = {
        "format": _FORMAT,
        "seed": seed,
        "now": now.strftime(_NOW),
        "openssl": version.stdout.strip(),
        "cases": [case.name for case in CASES],
    }
    _write_json(directory / "manifest.json", manifest)


def _instant(text: str) -> datetime.datetime:
    try:
        parsed = datetime.datetime.strptime(text, _NOW).replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2026-03-23T12:00:00Z") from None
    if parsed.year not in _YEARS:
        raise argparse.ArgumentTypeError(f"the year must be {_YEARS[0]} to {_YEARS[-1]}")
    return parsed


def _seed(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):  # JSON's integers end soon after
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 to 15 digits")
    return int(text)


def _directory(text: str) -> Path:
    path = Path(text)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise argparse.ArgumentTypeError(f"{path} is there and no empty directory")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="generate.py",
        description=_DESCRIPTION,
        epilog=_END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "directory", metavar="DIRECTORY", type=_directory, help="a new or empty directory"
    )
    parser.add_argument(
        "--seed", metavar="N", type=_seed, default=0, help="decides keys and serials (default: 0)"
    )
    parser.add_argument(
        "--now",
        metavar="INSTANT",
        type=_instant,
        default=datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0),
        help="decides validity, like 2026-03-23T12:00:00Z (default: now)",
    )
    given = parser.parse_args(arguments)
    if not shutil.which("openssl"):
        print("generate.py: there is no openssl command", file=sys.stderr)
        return 1
    try:
        generate(given.directory, given.seed, given.now, Console(stderr=True))
    except OSError as error:
        parser.error(f"cannot write: {error}")
    except subprocess.SubprocessError as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 1
    print(f"{len(CASES)} cases in {given.directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
