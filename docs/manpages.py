"""Write the manual pages, from the same sources as the site.

Usage: python docs/manpages.py DIRECTORY.  They are kept in ``docs/man``, because an installation
has no Sphinx; ``make man`` makes them anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

_WIDTH = 78  # octets of a line, for mandoc -T lint


def tidied(page: str) -> str:
    """Return a page without what mandoc's linter objects to in Sphinx's output."""
    page = re.sub(r"^(\.S[HS] .*\n)\.sp\n", r"\1", page, flags=re.MULTILINE)
    return "".join(f"{line}\n" for line in _wrapped(page.splitlines()))


def _wrapped(lines: list[str]) -> list[str]:
    wrapped: list[str] = []
    literal = False
    for line in lines:
        literal = line == ".EX" or (literal and line != ".EE")
        if literal or line.startswith(".") or len(line.encode()) <= _WIDTH:
            wrapped.append(line)
        else:
            parts = textwrap.wrap(line, _WIDTH, break_long_words=False, break_on_hyphens=False)
            wrapped.extend(rf"\&{part}" if part[0] in ".'" else part for part in parts)
    return wrapped


def main(directory: str) -> None:
    """Build them with Sphinx, tidy them up."""
    docs = Path(__file__).parent
    with tempfile.TemporaryDirectory() as built:
        sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "man", docs, built]
        subprocess.run(sphinx, check=True)
        for page in sorted(Path(built).glob("*.[1-8]")):
            text = tidied(page.read_text(encoding="utf-8"))
            Path(directory, page.name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
