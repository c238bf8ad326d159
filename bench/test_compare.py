"""compare.py: two runs side by side, and a clear word on what is no run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import report


def compare(*paths):
    command = [sys.executable, Path(__file__).with_name("compare.py"), *paths]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def written(path, value: float, **machine_info):
    """Write a run with a measurement and a ratio."""
    run = report.Run()
    run.machine = machine_info
    run.record("a handshake", "P-256", value)
    run.rows = [
        report.Row(title, "a handshake", None, "all of it", "<= 2")
        for title in ("handshakes", "  ... again", "others", "  ... again")
    ]
    path.write_text(json.dumps(run.document()))
    return path


def test_side_by_side(tmp_path):
    """Differing machines, medians and ratios are printed, with B/A."""
    a = written(tmp_path / "a.json", 0.002, versions={"cffi": "2.0"}, cpus=2)
    b = written(tmp_path / "b.json", 0.003, versions={"cffi": "2.1"}, cpus=2)
    done = compare(a, b)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["versions.cffi:", "2.0", "|", "2.1"]
    assert ["a", "handshake", "P-256", "2", "ms", "3", "ms", "1.500"] in lines
    for title in (["handshakes"], ["handshakes", "...", "again"], ["others", "...", "again"]):
        assert [*title, "P-256", "0.0020", "0.0030", "1.500"] in lines


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("[]", "not written by make bench"),
        ('{"machine_info": {}}', "not written by make bench"),
    ],
)
def test_unusable(tmp_path, content, reason):
    """A file that is no run ends in exit status 2 and one line that names it."""
    path = tmp_path / "b.json"
    if content is not None:
        path.write_text(content)
    done = compare(written(tmp_path / "a.json", 1.0), path)
    assert done.returncode == 2
    assert f"compare: {path}: {reason}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_usage():
    """Any other number of files is a usage error."""
    done = compare("a.json")
    assert done.returncode == 2
    assert "usage" in done.stderr
