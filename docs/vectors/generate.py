"""Write the catalogue (tests/support/cases.py) as files to test any implementation with.

Strategy: ``pki`` makes the certificates as for our own tests, but everything that is random or
depends on the clock comes from a source (``seeded.py``) that a seed and an instant decide.  The
expectations are ``openssl verify``'s for that instant (``oracle.py``).  ccert takes no part.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parent))  # runpy does not

import oracle
import pki
from cases import CASES, Clique
from seeded import Seeded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cases import Case, Chain

_FORMAT = 1  # of case.json and manifest.json, see schema.json
_NOW = "%Y-%m-%dT%H:%M:%SZ"
_YEARS = range(1980, 2200)  # what X.509 and every time_t can express, with a margin

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


@contextlib.contextmanager
def _made_from(source: Seeded) -> Iterator[None]:
    """Let ``pki`` make certificates from the source instead of the system."""
    system, pki.SOURCE = pki.SOURCE, source
    try:
        yield
    finally:
        pki.SOURCE = system


def _expectation(
    chain: Chain, scratch: Path, now: datetime.datetime, *, setting: bool
) -> dict[str, object]:
    judgement = oracle.judge(chain, scratch, setting=setting, at=now)
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


def _write_case(case: Case, chain: Chain, expected: dict[str, object], directory: Path) -> None:
    directory.mkdir()
    (directory / "roots.pem").write_bytes(chain.anchors)
    (directory / "chain.pem").write_bytes(b"".join(certificate.pem for certificate in chain.sent))
    (directory / "key.pem").write_bytes(chain.sent[0].key_pem)
    content = {
        "name": case.name,
        "description": case.description,
        "auth_level": chain.level,
        "verify_depth": chain.depth,
        "expected": expected,
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
    source = Seeded(seed, now)
    cases = track(
        CASES, "Writing", console=console, transient=True, disable=not console.is_terminal
    )
    with tempfile.TemporaryDirectory() as temporary, _made_from(source):
        scratch = Path(temporary)
        source.begin("clique")
        clique = Clique(scratch)
        for case in cases:
            source.begin(f"case/{case.name}")
            chain = case.build(clique)
            expected = {
                word: _expectation(chain, scratch, now, setting=word == "on")
                for word in ("off", "on")
            }
            _write_case(case, chain, expected, directory / case.name)
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
