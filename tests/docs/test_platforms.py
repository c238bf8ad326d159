"""The table of where the suite ran is that of its data, and nothing in it was left out."""

import json
import subprocess
import sys

from pages import DOCS, text

PAGE = "docs/reference/platforms.md"

JUNIT = """<testsuites><testsuite errors="1" failures="2" skipped="3" tests="10" time="61.7"
    timestamp="2026-01-02T23:59:59.9+00:00">
<properties><property name="OpenSSL" value="3.0.0"/>
<property name="Python" value="3.11.2"/></properties>
<testcase><skipped message="no valgrind"/></testcase>
<testcase><skipped message="no IPv6"/></testcase>
<testcase><skipped message="no IPv6"/></testcase></testsuite></testsuites>
"""


def _written(directory, *run) -> str:
    """Run a copy of docs/platforms.py on a copy of the page; return the page."""
    (directory / "reference").mkdir(exist_ok=True)
    for name in ("platforms.py", "reference/platforms.md", "reference/platforms.json"):
        if not (directory / name).exists():
            (directory / name).write_bytes((DOCS / name).read_bytes())
    subprocess.run([sys.executable, directory / "platforms.py", *run], check=True)
    return (directory / "reference" / "platforms.md").read_text(encoding="utf-8")


def test_table_is_current(tmp_path):
    """The page's table is made from the rows."""
    assert _written(tmp_path) == text(PAGE)


def test_every_place_is_described():
    """What a row's name means stands above the table."""
    legend = text(PAGE).partition("<!-- begin table -->")[0]
    for row in json.loads(text("docs/reference/platforms.json")):
        assert row["where"] in legend


def test_a_run_replaces_its_row(tmp_path):
    """Failures, errors and the reason of each skipped test are told; an old row goes."""
    for seconds in ("1.0", "61.7"):
        (tmp_path / "run.xml").write_text(JUNIT.replace("61.7", seconds))
        page = _written(tmp_path, "elsewhere", tmp_path / "run.xml")
    assert "| elsewhere | 3.0.0 | 3.11.2 | 4 | 3 | 3 | 2026-01-02 | 62 |\n" in page
    assert page.count("| elsewhere |") == 1
    assert "\n- no IPv6: elsewhere (2)\n- no valgrind: elsewhere (1)\n" in page
