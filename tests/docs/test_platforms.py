"""The tables of where the suite ran are those of its data, and nothing in them was left out."""

import json
import subprocess
import sys

from pages import ROOT, text

FILES = ("docs/platforms.py", "docs/reference/platforms.json")
PAGE, README = PAGES = ("docs/reference/platforms.md", "README.md")

JUNIT = """<testsuites><testsuite errors="1" failures="2" skipped="3" tests="10" time="61.7"
    timestamp="2026-01-02T23:59:59.9+00:00">
<properties><property name="OpenSSL" value="3.0.0"/>
<property name="Python" value="3.11.2"/></properties>
<testcase><skipped message="no valgrind"/></testcase>
<testcase><skipped message="no IPv6"/></testcase>
<testcase><skipped message="no IPv6"/></testcase></testsuite></testsuites>
"""


def _written(directory, *run) -> list[str]:
    """Run a copy of docs/platforms.py on copies of the pages; return them."""
    (directory / "docs" / "reference").mkdir(parents=True, exist_ok=True)
    for name in (*FILES, *PAGES):
        if not (directory / name).exists():
            (directory / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, directory / FILES[0], *run], check=True)
    return [(directory / name).read_text(encoding="utf-8") for name in PAGES]


def test_tables_are_current(tmp_path):
    """The pages' tables are made from the rows."""
    assert _written(tmp_path) == [text(PAGE), text(README)]


def test_every_place_is_described():
    """What a row's name means stands above the table."""
    legend = text(PAGE).partition("<!-- platforms: begin -->")[0]
    for row in json.loads(text("docs/reference/platforms.json")):
        assert row["where"] in legend


def test_a_run_replaces_its_row(tmp_path):
    """Failures, errors and the reason of each skipped test are told; an old row goes."""
    for seconds in ("1.0", "61.7"):
        (tmp_path / "run.xml").write_text(JUNIT.replace("61.7", seconds))
        page, _ = _written(tmp_path, "elsewhere", tmp_path / "run.xml")
    assert "| elsewhere | 3.0.0 | 3.11.2 | 4 | 3 | 3 | 2026-01-02 | 62 |\n" in page
    assert page.count("| elsewhere |") == 1
    assert "\n- no IPv6: elsewhere (2)\n- no valgrind: elsewhere (1)\n" in page


def test_readme_tells_of_failures(tmp_path):
    """README has the three Debians, with what failed there."""
    (tmp_path / "run.xml").write_text(JUNIT)
    page, readme = _written(tmp_path, "trixie", tmp_path / "run.xml")
    assert "| trixie | 3.0.0 | 3.11.2 | 4 | 3 | 3 | 2026-01-02 | 62 |\n" in page
    assert "| Debian 13 | 3.0.0 | 3.11.2 | 4 | 3 | 2026-01-02 |\n" in readme
    assert readme.count("| Debian ") == 3
