"""The page on performance says what results.json has found, and so do its plots."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import page
import plots
import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs" / "explanation"


@pytest.fixture
def run() -> dict:
    return json.loads((DOCS / "performance/results.json").read_text("utf-8"))


def test_committed(run):
    """Nobody has written between the markers by hand."""
    for path in (DOCS / "performance.md", DOCS.parents[1] / "README.md"):
        text = path.read_text("utf-8")
        assert "<!-- begin" in text
        assert page.filled(text, run) == text


def test_targets(run):
    """The first table has what was aimed at, whether reached or missed, and nothing else."""
    text = (DOCS / "performance.md").read_text("utf-8")
    table = text.partition("<!-- begin targets -->")[2].partition("<!--")[0]
    assert table.count("\n| ") - 2 == sum(bool(ratio["target"]) for ratio in run["ratios"])
    missed = [f for r in run["ratios"] for f in r["values"].values() if f["met"] is False]
    assert table.count("missed") == len(missed)


def test_every_ratio_is_told(run):
    """No bench is left out: each of its ratios is on the page, with the number and the caveat."""
    text = (DOCS / "performance.md").read_text("utf-8")
    for ratio in run["ratios"]:
        title = re.escape(ratio["title"].replace("  ... ", "… "))
        lines = re.findall(rf"^\| {title} \|.*", text, re.MULTILINE)
        for found in ratio["values"].values():
            number = f"{found['value']:.{ratio['digits']}f}"
            assert any(number in line and ratio["caveat"] in line for line in lines), title


def test_missed_target():
    """A target that is missed, and a rival that is wrong, are said to be so."""
    ratio = {
        "title": "a / b", "measures": "time", "target": ">= 2", "kinds": ["P-256", "RSA-2048"],
        "caveat": "noisy", "wrong": "trusts everybody", "digits": 1, "bench": "x",
        "values": {"P-256": {"value": 1.5, "met": False}, "RSA-2048": {"value": 2.5, "met": True}},
    }  # fmt: skip
    text = page.filled("<!-- begin x -->\nold\n<!-- end x -->\n", {"ratios": [ratio]})
    assert "old" not in text
    told = "time; **wrong verdicts**: trusts everybody; *noisy*"
    assert f"| a / b | **1.5**, missed | 2.5 | ≥ 2 | {told} |\n" in text


def test_plots(run, tmp_path):
    """The same numbers make the same plots, octet by octet; other numbers make others."""
    drawn = []
    for name in ("once", "again", "other"):
        if name == "other":
            for each in run["measurements"]:
                each["value"] *= 2
                each["range"] = [2 * end for end in each.get("range", ())]
        (tmp_path / name).mkdir()
        plots.draw(run, tmp_path / name)
        drawn.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    once, again, other = drawn
    assert len(once) == 4
    assert once == again
    assert all(b"<dc:date>" not in svg for svg in once)
    assert all(a != b for a, b in zip(once, other, strict=True))


def test_main(tmp_path):
    """What is kept of a run makes the same pages as the run, and nothing else of them changes."""
    copy = tmp_path / "docs/explanation"
    shutil.copytree(DOCS / "performance", copy / "performance")
    for path in ("docs/explanation/performance.md", "README.md"):
        shutil.copy(DOCS.parents[1] / path, tmp_path / path)
    page.main(str(copy), str(copy / "performance/results.json"))
    for path in ("performance.md", "performance/results.json", "../../README.md"):
        assert (copy / path).read_bytes() == (DOCS / path).read_bytes()
