"""docs/reference/semantics.md and the code say the same, row by row."""

import re

import pytest
from cases import CASES
from programs import ROOT

import ccert

TEXT = (ROOT / "docs" / "reference" / "semantics.md").read_text(encoding="utf-8")
ROWS = {
    int(cells[0]): cells[1:]
    for line in TEXT.splitlines()
    if (cells := [cell.strip() for cell in line.strip("| ").split(" | ")])[0].isdigit()
}
BY_NAME = {case.name: case for case in CASES}
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
}


@pytest.mark.parametrize("number", ROWS, ids=str)
def test_row(number, clique, host):
    """The verdicts written in a row are those of its cases; the tests it names exist."""
    *_, last = ROWS[number]
    names = re.findall(r"`([\w-]+)`", last)
    assert names
    if names[0].startswith("test_"):
        assert set(names) <= TESTS
        return
    _, off, on, _ = ROWS[number]
    for name in names:
        case = BY_NAME[name]
        assert (case.off, case.on) == (off, on), name
        assert [_verdict(case.build(clique), host, setting) for setting in (False, True)] == [
            off,
            on,
        ]


def _verdict(chain, host, setting: bool) -> str:
    verifier = host.verifier(chain, setting=setting)
    verdict = verifier.verify([certificate.der for certificate in chain.sent])
    return "T" if verdict.trust is ccert.Trust.TRUSTED else f"U{verdict.error_code}"


def test_rows_are_numbered_without_a_gap():
    """Row numbers are names: none is missing, none is used twice."""
    numbers = re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, len(ROWS) + 1))


def test_every_case_has_a_row():
    """The document leaves out no case of the catalogue, and names none twice."""
    named = [
        name
        for cells in ROWS.values()
        for name in re.findall(r"`((?:ee|ca|root)-[\w-]+)`", cells[-1])
    ]
    assert sorted(named) == sorted(BY_NAME)
