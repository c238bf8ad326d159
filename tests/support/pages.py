"""The documentation's pages, and the code in them.

A code block that a test runs has a comment before it, ``<!-- tested: NAME -->``; output that a test
compares has ``<!-- shown: NAME -->``.
"""

import re
from pathlib import Path

from programs import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    if not path.is_relative_to(DOCS / "build")
)


def text(page: str) -> str:
    """Return a page, named from the repository's root."""
    return Path(ROOT, page).read_text(encoding="utf-8")


def block(page: str, name: str) -> str:
    """Return the code or output of that name."""
    found = re.findall(
        rf"<!-- (?:tested|shown): {re.escape(name)} -->\n```\w+\n(.*?)```", text(page), re.DOTALL
    )
    assert len(found) == 1, f"{page}: {len(found)} blocks of the name {name}"
    return found[0]


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Return the marker ("tested", "shown" or ""), the language and the text of each block."""
    return re.findall(
        r"(?:<!-- (tested|shown): [\w.]+ -->\n)?^[ ]*```(\{?[\w-]*\}?)\n(.*?)^[ ]*```$",
        page.read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
