"""Write performance.md's numbers, its plots, and the part of a run's JSON that they are from.

Usage: python bench/page.py DIRECTORY RUN.json [BESIDE.json].  ``DIRECTORY/performance.md`` and the
README are changed between their markers only, ``<!-- begin NAME -->`` and ``<!-- end NAME -->``:
NAME is a bench, whose ratios go there, or one of ``BLOCKS``.  ``DIRECTORY/performance`` gets the
plots and ``results.json``; that file may be RUN.json, too, and then only what is made from it
changes.  BESIDE.json is some of the same benches with another OpenSSL.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import plots
from report import KINDS

__all__ = ["filled", "trimmed"]

MARKED = re.compile(r"(<!-- begin (\S+) -->\n).*?(<!-- end \2 -->\n)", re.DOTALL)
HEAD = ("ratio", *KINDS, "target", "what is measured; *caveat*")
SERVERS = (
    ("sessions/s", "SMTP sessions, {}", 1, 0),
    ("CPU, ms", "SMTP CPU, {}", 1e3, 2),
    ("handshake p50, ms", "SMTP handshake p50, {}", 1e3, 1),
    ("p99", "SMTP handshake p99, {}", 1e3, 1),
    ("EHLO p50, ms", "SMTP greeting p50, {}", 1e3, 1),
    ("p99", "SMTP greeting p99, {}", 1e3, 1),
)  # heading, measurement, factor, digits

# for README: measurements that are divided, and what an administrator calls that
SUMMARY = {
    ("ServerContext, full", "ssl's defaults, full"): "a full handshake's instructions",
    ("ServerContext, resumed", "ssl's defaults, resumed"): "a resumed handshake's",
    (
        "memory of an idle TLS connection, ccert", "memory of an idle TLS connection, ssl's default"
    ): "the memory of an idle connection",
    (
        "SMTP CPU, asyncio, 1 worker, ccert", "SMTP CPU, asyncio, 1 worker, ssl's default"
    ): "the CPU time of a mail session with aiosmtpd",
    (
        "SMTP sessions, ccert serve", "SMTP sessions, stock on uvloop"
    ): "mail sessions a second of `ccert serve`, which stores each message",
    ("test_ccert", "test_cryptography"): "a chain's verification, beside that of `cryptography`",
}  # fmt: skip

Run = dict[str, Any]


def trimmed(run: Run) -> Run:
    """Return a run without what was measured in such detail that nobody reads it here."""
    kept = [
        {name: value for name, value in each.items() if not isinstance(value, dict)}
        for each in run["measurements"]
    ]
    return {**run, "measurements": kept}


def lines(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """Return a table in Markdown; all but the first and the last column are numbers."""
    rules = ["---", *["--:"] * (len(head) - 2), "---" if head == HEAD else "--:"]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rules, *rows))


def number(ratio: dict[str, Any], kind: str) -> str:
    found = ratio["values"].get(kind)
    if not found:
        return ""
    text = f"{found['value']:.{ratio['digits']}f}"
    return f"**{text}**, missed" if found["met"] is False else text


def title(ratio: dict[str, Any]) -> str:
    return ratio["title"].replace("  ... ", "… ")


def target(ratio: dict[str, Any]) -> str:
    text = ratio["target"].replace(">=", "≥").replace("<=", "≤")
    text = re.sub(r"(?<=\d) ", ", ", text)  # a bound for each kind of key
    return (
        f"{text} ({', '.join(ratio['kinds'])})" if text and tuple(ratio["kinds"]) != KINDS else text
    )


def ratio_table(ratios: list[dict[str, Any]]) -> str:
    rows = []
    for ratio in ratios:
        measures = "; ".join(
            filter(
                None,
                (
                    ratio["measures"],
                    ratio["wrong"] and f"**wrong verdicts**: {ratio['wrong']}",
                    ratio["caveat"] and f"*{ratio['caveat']}*",
                ),
            )
        )
        numbers = (number(ratio, kind) for kind in KINDS)
        rows.append([title(ratio), *numbers, target(ratio), measures])
    return lines(HEAD, rows)


def machine(run: Run) -> str:
    about = run["machine_info"]
    libraries = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    mta = [each["version"] for each in run["measurements"] if "version" in each]
    return (
        f"- {about['cpus']} CPUs, {about['cpu_model']}, {about['system']}; load {about['load']} at "
        "the beginning\n"
        f"- ccert {about['ccert']}, Python {about['python']}, {about['openssl']}; cryptography's "
        f"own is {about['openssl_of_cryptography']}\n"
        f"- {libraries}, {about['valgrind']}{f', Postfix {mta[0]}' if mta else ''}\n"
    )


def servers(run: Run) -> str:
    """Return the table of what SMTP clients saw, in numbers that hold for that machine only."""
    found = {(each["name"], each["kind"]): each["value"] for each in run["measurements"]}
    names = [
        (each["name"].removeprefix("SMTP sessions, "), each["kind"])
        for each in run["measurements"]
        if each.get("plot") == "smtp"
    ]
    rows = []
    for name, kind in names:
        cells = [
            f"{value * factor:.{digits}f}"
            if (value := found.get((measured.format(name), kind)))
            else ""
            for _, measured, factor, digits in SERVERS
        ]
        rows.append([f"{name}, {kind}", *cells])
    return lines(("server", *(heading for heading, *_ in SERVERS)), rows)


def openssl(run: Run) -> str:
    """Return the table of two runs with different libraries."""
    runs = (run, run["beside"])
    versions = (each["machine_info"]["openssl"].split()[1] for each in runs)
    head = ("ratio", *(f"{version}, {kind}" for version in versions for kind in KINDS), "target")
    theirs = {(ratio["above"], ratio["below"]): ratio for ratio in run["beside"]["ratios"]}
    rows = []
    for ratio in run["ratios"]:
        if other := theirs.get((ratio["above"], ratio["below"])):
            numbers = (number(each, kind) for each in (ratio, other) for kind in KINDS)
            targets = dict.fromkeys(filter(None, map(target, (ratio, other))))
            rows.append([title(ratio), *numbers, "; ".join(targets)])
    return lines(head, rows)


def summary(run: Run) -> str:
    """Return README's table: what costs how much of what it costs with ``ssl``."""
    found = {(each["name"], each["kind"]): each["value"] for each in run["measurements"]}
    rows = [
        [words, *(f"{found[above, kind] / found[below, kind]:.2f}" for kind in KINDS)]
        for (above, below), words in SUMMARY.items()
    ]
    return lines(("with ccert, as a multiple of stock `ssl`", *KINDS), rows)


def wanted(run: Run) -> list[dict[str, Any]]:
    """Return the ratios that have a target."""
    return [ratio for ratio in run["ratios"] if ratio["target"]]


BLOCKS = {
    "machine": machine,
    "openssl": openssl,
    "servers": servers,
    "summary": summary,
    "targets": lambda run: ratio_table(wanted(run)),
}


def filled(text: str, run: Run) -> str:
    """Return a page with everything between its markers made anew."""

    def block(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name in BLOCKS:
            return begin + BLOCKS[name](run) + end
        return begin + ratio_table([r for r in run["ratios"] if r["bench"] == name]) + end

    return MARKED.sub(block, text)


def main(directory: str, source: str, beside: str = "") -> None:
    kept = Path(directory, "performance")
    run = trimmed(json.loads(Path(source).read_text("utf-8")))
    other = json.loads(Path(beside or kept / "results.json").read_text("utf-8"))
    run["beside"] = trimmed(other if beside else other["beside"])
    text = json.dumps(run, indent=1, ensure_ascii=False) + "\n"
    (kept / "results.json").write_text(text, "utf-8")
    for page in (Path(directory, "performance.md"), Path(directory).parents[1] / "README.md"):
        page.write_text(filled(page.read_text("utf-8"), run), "utf-8")
    plots.draw(run, kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
