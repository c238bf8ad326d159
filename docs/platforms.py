"""Write down where the test suite ran, in ``docs/reference/platforms.md``, in short in README.md.

Usage: python docs/platforms.py [WHERE RESULT.xml].  RESULT.xml is what pytest's ``--junitxml``
wrote.  The row of WHERE is replaced in ``platforms.json``, from which the tables are made.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

PAGE = Path(__file__).parent / "reference" / "platforms.md"
ROWS = PAGE.with_suffix(".json")
README = Path(__file__).parents[1] / "README.md"
SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13", "sid": "Debian unstable"}
_HEAD = ("where", "OpenSSL", "Python", "passed", "skipped", "failed", "date", "seconds")

Row = dict[str, Any]


def row(where: str, result: Path) -> Row:
    """Return what a run of pytest was, from its JUnit file."""
    (suite,) = ET.parse(result).getroot()
    versions = {each.get("name"): each.get("value") for each in suite.iter("property")}
    tests, skipped, failures, errors = (
        int(suite.attrib[name]) for name in ("tests", "skipped", "failures", "errors")
    )
    reasons = [each.attrib["message"].removeprefix("Skipped: ") for each in suite.iter("skipped")]
    return {
        "where": where,
        "OpenSSL": versions["OpenSSL"],
        "Python": versions["Python"],
        "passed": tests - skipped - failures - errors,
        "skipped": skipped,
        "failed": failures + errors,
        "date": suite.attrib["timestamp"][:10],
        "seconds": round(float(suite.attrib["time"])),
        "reasons": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
    }


def table(rows: list[Row]) -> str:
    """Return the rows as a table, and below it why tests were skipped."""
    lines = [_HEAD, ["---"] * 3 + ["--:"] * 3 + ["---", "--:"]]
    lines += [[str(each[name]) for name in _HEAD] for each in rows]
    reasons: dict[str, list[str]] = {}
    for each in rows:
        for reason, count in each["reasons"].items():
            reasons.setdefault(reason, []).append(f"{each['where']} ({count})")
    skipped = [f"- {reason}: {', '.join(places)}" for reason, places in sorted(reasons.items())]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *skipped, ""])


def summary(rows: list[Row]) -> str:
    """Return what an administrator looks for, as a table."""
    lines = [
        "| tests on | OpenSSL | Python | passed | failed | date |",
        "|---|---|---|--:|--:|---|",
    ]
    lines += [
        f"| {SUITES[each['where']]} | {each['OpenSSL']} | {each['Python']} | {each['passed']} "
        f"| {each['failed']} | {each['date']} |"
        for each in rows
        if each["where"] in SUITES
    ]
    return "\n".join(lines)


def fill(path: Path, content: str) -> None:
    """Put a table between the markers of a page; other markers of README are of bench/page.py."""
    page = re.sub(
        r"(?s)(<!-- platforms: begin -->\n).*(<!-- platforms: end -->)",
        lambda marks: f"{marks[1]}{content}\n{marks[2]}",
        path.read_text(encoding="utf-8"),
    )
    path.write_text(page, encoding="utf-8")


def main(*run: str) -> None:
    """Replace a row, if there is one; then make the tables."""
    rows = json.loads(ROWS.read_text(encoding="utf-8"))
    if run:
        where, result = run
        new = row(where, Path(result))
        rows = [new if each["where"] == where else each for each in rows]
        rows += [] if new in rows else [new]
        ROWS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    fill(PAGE, f"\n{table(rows)}")
    fill(README, summary(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
