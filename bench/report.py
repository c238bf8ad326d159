"""What a run of the benches found: measurements, ratios of them with their targets, the machine.

Only ratios from one run are quoted, never times: machines differ, and so do their neighbours.  A
bench file names its ratios in ``ROWS``; the table at the end and the JSON are made from these, so
that whoever writes or draws something about a run needs nothing but its JSON:

- ``machine_info``: also libraries' versions, which OpenSSL, and the load when the run began;
- ``measurements``: name, kind of key, value, unit, and whatever the bench adds;
- ``ratios``: one for each ``Row``, with its value for each kind of key, and whether that met the
  target.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import ssl
import subprocess
from importlib import metadata
from typing import Any

from cryptography.hazmat.backends.openssl import backend

import ccert

__all__ = ["KINDS", "Row", "Run"]

KINDS = ("P-256", "RSA-2048")  # of key
RIVALS = (
    "cryptography", "pyhanko-certvalidator", "pyOpenSSL", "asn1crypto", "ecdsa", "aiosmtpd",
    "uvloop", "cffi", "pytest-benchmark",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table: one measurement divided by another.

    Attributes:
        title: what is compared with what.
        above: the name of the measurement that is divided.
        below: ... and by which; None: ``above`` is worth telling by itself.
        measures: what is in both, and what is not.
        target: ">= 1.7", or "<= 1.11 1.28" for each kind of key; "": none.
        kinds: of key, which the target is for.
        caveat: what a reader might take it for, and it is not.
        wrong: what a rival accepts or refuses wrongly: its row is marked.
        digits: after the decimal point.
        bench: whose row it is; filled in for the JSON.
    """

    title: str
    above: str
    below: str | None
    measures: str
    target: str = ""
    kinds: tuple[str, ...] = KINDS
    caveat: str = ""
    wrong: str = ""
    digits: int = 2
    bench: str = ""

    def met(self, value: float, kind: str) -> bool | None:
        """Tell whether the value meets the target; None: there is no target."""
        if not self.target or kind not in self.kinds:
            return None
        relation, *bounds = self.target.split()
        bound = float(bounds[KINDS.index(kind) if bounds[1:] else 0])
        return {"<=": value <= bound, ">=": value >= bound}[relation]


class Run:
    """All that one run of the benches found.

    Attributes:
        rows: what the table is to have, in order.
        measurements: by name and kind of key.
        machine: what it depends on, as of now.
    """

    def __init__(self) -> None:
        self.machine = machine()
        self.rows: list[Row] = []
        self.measurements: dict[tuple[str, str], dict[str, Any]] = {}

    def record(self, name: str, kind: str, value: float, unit: str = "s", **about: object) -> None:
        """Keep a measurement.

        Args:
            name: of what was measured; a ``Row`` names it.
            kind: of key.
            value: usually a median.
            unit: of the value.
            about: what else the JSON shall say, such as a plot's other coordinate.
        """
        self.measurements[name, kind] = {
            "name": name, "kind": kind, "value": value, "unit": unit, **about
        }  # fmt: skip

    def ratios(self) -> list[dict[str, Any]]:
        """Return the rows that have a value, each with its values by kind of key."""
        return [
            {**dataclasses.asdict(row), "values": values}
            for row in self.rows
            if (values := self._values(row))
        ]

    def document(self) -> dict[str, Any]:
        """Return what goes into the JSON."""
        return {
            "machine_info": self.machine,
            "measurements": list(self.measurements.values()),
            "ratios": self.ratios(),
        }

    def _values(self, row: Row) -> dict[str, dict[str, Any]]:
        values = {}
        for kind in KINDS:
            above = self.measurements.get((row.above, kind))
            below = self.measurements.get((row.below, kind)) if row.below else {"value": 1}
            if above and below:
                ratio = above["value"] / below["value"]
                values[kind] = {"value": ratio, "met": row.met(ratio, kind)}
        return values

    def lines(self) -> list[str]:
        """Return the table for a terminal; [1.23] missed its target."""
        line = "{:<58}{:>10}{:>10}{:>10}".format
        ratios = self.ratios()
        lines = [line("", *KINDS, "target")] if ratios else []
        for ratio in ratios:
            cells = []
            for kind in KINDS:
                value = ratio["values"].get(kind)
                text = f"{value['value']:.{ratio['digits']}f}" if value else "-"
                cells.append(f"[{text}]" if value and value["met"] is False else text)
            lines.append(line(ratio["title"], *cells, ratio["target"]))
            if ratio["wrong"]:
                lines.append(f"    WRONG: {ratio['wrong']}")
        return lines


def machine() -> dict[str, Any]:
    """Return what a run depends on."""
    return {
        "ccert": ccert.__version__,
        "openssl": ssl.OPENSSL_VERSION,
        "openssl_of_cryptography": backend.openssl_version_text(),
        "python": platform.python_version(),
        "cpu_model": _cpu_model(),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2),
        "valgrind": _first_line("valgrind", "--version"),
        "versions": {name: metadata.version(name) for name in RIVALS},
    }


def _cpu_model() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - Linux has it as a file
        names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(names, platform.processor())


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return done.stdout.partition("\n")[0]
