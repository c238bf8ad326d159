"""Print what two runs of the benches found, side by side.

Usage: python bench/compare.py A.json B.json, both made by ``make bench``.  Times are of whatever
machine and load they were taken on, so the differences of these come first; B/A of two ratios says
more than B/A of two times.  Exit status 2: a file is unusable.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

UNITS = {"s": ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))}


class UnusableError(Exception):
    """The file is not what ``make bench`` has written; the message says why."""


def load(path: str) -> dict[str, Any]:
    """Read a run.

    Raises:
        UnusableError: there is no such file, or it is none of ours.
    """
    try:
        run = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UnusableError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UnusableError(f"{path}: not JSON: {error}") from error
    try:
        return {
            "machine": flat(run["machine_info"]),
            "measurements": {
                (each["name"], each["kind"]): (float(each["value"]), each["unit"])
                for each in run["measurements"]
            },
            "ratios": {
                (title, kind): (float(found["value"]), each["target"])
                for title, each in zip(titles(run["ratios"]), run["ratios"], strict=True)
                for kind, found in each["values"].items()
            },
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnusableError(f"{path}: not written by make bench: {error!r}") from error


def titles(ratios: list[dict[str, Any]]) -> list[str]:
    """Return the ratios' titles; those that begin with "..." go on with the last that does not."""
    whole: list[str] = []
    last = ""
    for title in (ratio["title"].strip() for ratio in ratios):
        last = last if title.startswith("...") else title
        whole.append(title if title == last else f"{last} {title}")
    return whole


def flat(facts: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Name nested facts by their path: ``versions.cffi``."""
    result = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[prefix + name] = str(value)
    return result


def scaled(value: float, unit: str) -> str:
    """Write a value in a unit that people can read."""
    factor, name = next(
        ((f, n) for f, n in UNITS.get(unit, ()) if abs(value) >= f), (1, unit)
    )  # fmt: skip
    return f"{value / factor:,.6g} {name}"


def compared(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Return the lines of the comparison of two loaded runs."""
    names = a["machine"].keys() | b["machine"].keys()
    facts = {name: (a["machine"].get(name, "-"), b["machine"].get(name, "-")) for name in names}
    lines = [f"{name}: {x}  |  {y}" for name, (x, y) in sorted(facts.items()) if x != y]
    line = "{:<58}{:>10}{:>17}{:>17}{:>8}".format
    for section in ("measurements", "ratios"):
        lines += ["", line(section, "", "A", "B", "B/A")]
        # as A has them, then what only B has
        for key in dict.fromkeys([*a[section], *b[section]]):
            x, y = a[section].get(key), b[section].get(key)
            write = scaled if section == "measurements" else (lambda value, _: f"{value:.4f}")
            cells = [write(*found) if found else "-" for found in (x, y)]
            lines.append(line(*key, *cells, f"{y[0] / x[0]:.3f}" if x and y and x[0] else "-"))
    return lines


def main(arguments: list[str]) -> int:
    """Return the exit status."""
    if len(arguments) != 2:
        print("usage: python bench/compare.py A.json B.json", file=sys.stderr)
        return 2
    try:
        a, b = map(load, arguments)
    except UnusableError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    print("\n".join(compared(a, b)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
