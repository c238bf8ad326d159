"""All pages: their code is tested, their commands and links exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pages import DOCS, PAGES, blocks, text
from programs import ROOT, require_program

from ccert.cli import _parser

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_no_code_is_untested(page):
    """Python stands nowhere without a test that runs it."""
    for marker, language, code in blocks(page):
        assert marker or language != "python", code


def test_every_marked_block_has_a_test():
    """The contrast: a marker is a promise that some test keeps."""
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for page in PAGES:
        for marked in re.findall(r"<!-- (?:tested|shown): ([\w.]+) -->", page.read_text("utf-8")):
            assert f'"{marked}"' in tests, f"{page.relative_to(ROOT)}: {marked}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist(page, capsys):
    """Each ccert command that a page shows is one that ccert understands, options and all."""
    for _, language, code in blocks(page):
        if language in {"sh", "text"}:
            for line in re.sub(r"\\\n| \d?>.*", " ", code).splitlines():
                words = line.strip().removeprefix("/opt/mx/bin/").removeprefix("ccert ")
                if re.match(r"(check|demo|doctor|serve)\b", words) and words != line.strip():
                    try:
                        _parser().parse_args(shlex.split(words))
                    except SystemExit:
                        pytest.fail(f"{line}: {capsys.readouterr().err}")


def test_make_targets_exist():
    """Every make target that a page names is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = {
        word
        for words in re.findall(r"^make ([a-z -]+)$|`make ([a-z -]+)", pages, re.MULTILINE)
        for word in " ".join(words).split()
    }
    assert named
    assert named <= targets, named - targets


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    """A relative link is a file; Sphinx looks at headings."""
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not re.match(r"https?:|mailto:", link):
            assert (page.parent / link).exists(), link


def test_site(tmp_path):
    """The site builds without a warning: every reference has its target."""
    pytest.importorskip("sphinx")
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "-b", "html", DOCS, tmp_path]
    subprocess.run(sphinx, check=True)
    for page in PAGES:
        if page.is_relative_to(DOCS):
            assert (tmp_path / page.relative_to(DOCS)).with_suffix(".html").exists()


def test_manual_pages(tmp_path):
    """They are those of their sources, installed, and without fault for mandoc."""
    pytest.importorskip("sphinx")
    subprocess.run([sys.executable, DOCS / "manpages.py", tmp_path], check=True)
    made = sorted(tmp_path.iterdir())
    assert [page.name for page in made] == sorted(page.name for page in (DOCS / "man").iterdir())
    for page in made:
        now = page.read_text(encoding="utf-8")
        assert (DOCS / "man" / page.name).read_text(encoding="utf-8") == now, "run make man"
        installed = Path(sys.prefix, "share/man", f"man{page.suffix[1:]}", page.name)
        assert installed.read_text(encoding="utf-8") == now
        lint = [require_program("mandoc"), "-T", "lint", page]
        done = subprocess.run(lint, capture_output=True, text=True, check=False)
        assert not done.stdout, done.stdout
