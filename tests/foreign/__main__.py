"""Other people's tests, on servers with ccert attached and on stock ones: ``make foreign``.

Usage: foreign PYTHON TLSFUZZER.  PYTHON: an interpreter that has sslyze and what tlsfuzzer needs;
TLSFUZZER: its source tree, if it could be fetched.  Prints a table; exits with 1 if something
passes stock and fails with ccert.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "support"))

import pki
import scans
import scripts
import suites
from server import KINDS, Identity

WIDTH = 44


def _identity(folder: Path) -> Identity:
    root = pki.issue("Foreign Root", ca=True, key=pki.rsa_key(2048, 1))
    usages, key = [pki.SERVER, pki.CLIENT], pki.rsa_key(2048, 2)
    leaf = pki.issue("localhost", root, eku=usages, names=["localhost"], key=key)
    certificate, ca = folder / "both.pem", folder / "ca.pem"
    certificate.write_bytes(leaf.key_pem + leaf.pem)
    ca.write_bytes(root.pem)
    return Identity(certificate, ca)


def _row(name: str, *cells: object) -> None:
    print(f"{name:{WIDTH}}", *(f"{cell!s:>12}" for cell in cells), flush=True)


def _report_suites() -> list[str]:
    outcomes = suites.run_suites()
    _row("CPython: tests passed", *KINDS)
    for module in suites.MODULES:
        counts = [suites.count(outcomes[kind], module) for kind in KINDS]
        _row(
            module,
            *(f"{count['passed']} of {count.total() - count['skipped']}" for count in counts),
        )
    return [f"{name} ({kind})" for kind in KINDS for name in suites.worse(outcomes, kind)]


def _report_scripts(tlsfuzzer: Path, python: Path, identity: Identity) -> list[str]:
    found = scripts.run_scripts(tlsfuzzer, python, identity)
    _row("tlsfuzzer: conversations passed", *KINDS)
    for name, outcomes in found.items():
        _row(name, *outcomes.values())
    _row(
        "scripts that succeed",
        *(sum(outcomes[kind].succeeded for outcomes in found.values()) for kind in KINDS),
    )
    return [
        f"{name} ({kind})"
        for name, outcomes in found.items()
        for kind in KINDS
        if outcomes[kind].is_worse_than(outcomes["stock"])
    ]


def _report_scans(python: Path, identity: Identity) -> list[str]:
    found = scans.run_scans(python, identity)
    stock = found.pop("stock")
    _row("sslyze on ccert serve: as stock", *found)
    for name, result in stock.items():
        _row(name, *("yes" if checks[name] == result else "NO" for checks in found.values()))
    return [
        f"{name} ({server}): {checks[name]}, stock: {result}"
        for name, result in stock.items()
        for server, checks in found.items()
        if checks[name] != result
    ]


def main() -> int:
    python, tlsfuzzer = (Path(word).absolute() for word in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        identity = _identity(Path(folder))
        worse = _report_suites()
        worse += _report_scans(python, identity)
        if tlsfuzzer.is_dir():
            worse += _report_scripts(tlsfuzzer, python, identity)
        else:
            print("NOT TESTED: tlsfuzzer cannot be fetched")
    for one in worse:
        print(f"WORSE THAN STOCK: {one}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
