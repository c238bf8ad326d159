"""The reference names everything there is, with its defaults, and nothing else."""

import ctypes
import dataclasses
import re

from pages import text

import ccert
import ccert.aiosmtpd
import ccert.postfix
from ccert.cli import _parser
from ccert.cli.hints import _HINTS
from ccert.server.config import Config


def _terms(page: str) -> list[str]:
    """Return the first lines of a page's definitions."""
    return re.findall(r"^(`.*)\n: ", text(page), re.MULTILINE)


def _options(command: str) -> set[str]:
    subparsers = next(a for a in _parser()._actions if a.choices)
    actions = subparsers.choices[command]._actions
    return {option for action in actions for option in action.option_strings} - {"-h", "--help"}


def test_commands():
    """Each command and each of its options is described."""
    subparsers = next(a for a in _parser()._actions if a.choices)
    described = {re.match(r"`ccert (\w+)`", term)[1] for term in _terms("docs/reference/ccert.md")
                 if term.startswith("`ccert ")}  # fmt: skip
    assert described == set(subparsers.choices)
    for command in ("check", "serve"):
        terms = "\n".join(_terms(f"docs/reference/ccert-{command}.md"))
        assert set(re.findall(r"`(--[\w-]+)`", terms)) == _options(command)
    demo = re.search(r"^`ccert demo`.*", text("docs/reference/ccert.md"), re.MULTILINE)[0]
    assert set(re.findall(r"`(--\w+)`", demo)) == _options("demo")


def test_parameters():
    """Each parameter is described, in the program's order within a group, with its default."""
    defaults = {field.name: field.default for field in dataclasses.fields(Config)}
    described = {}
    for term in _terms("docs/reference/ccert.cf.md"):
        name, default = re.fullmatch(r"`(\w+)`(?: \(default: (.*)\))?", term).groups()
        described[name] = default
    assert set(described) == set(defaults)
    for name, default in defaults.items():
        if isinstance(default, bool):
            assert described[name] == ("`yes`" if default else "`no`"), name
        elif default not in {"", ()}:
            unit = "s" if name.endswith("timeout") else ""
            assert described[name] == f"`{default}{unit}`", name


def test_postfix_parameters():
    """What the table says exists in the file of ccert serve does."""
    known = {field.name for field in dataclasses.fields(Config)}
    page = text("docs/reference/postfix-parameters.md")
    for row in re.findall(r"^\| (`.*) \|$", page, re.MULTILINE):
        cells = row.split(" | ")
        if any(cell.startswith("same name") for cell in cells):
            assert re.match(r"`(\w+)`", cells[0])[1] in known, row
    assert [name for name in known if f"`{name}" not in page] == []


def test_errors():
    """Numbers, OpenSSL's words and hints are those of the program."""
    library = ctypes.CDLL("libcrypto.so.3")
    words = library.X509_verify_cert_error_string
    words.restype = ctypes.c_char_p
    rows = {
        int(number): (said, hint)
        for number, said, hint in re.findall(
            r"^\| (\d+) \| (.*?) \| (.*?) \|$", text("docs/reference/errors.md"), re.MULTILINE
        )
    }
    assert set(rows) == {*_HINTS, 26}
    for number, (said, hint) in rows.items():
        # 3.6 says more about some
        assert words(ctypes.c_long(number)).decode().startswith(said)
        assert hint == _HINTS.get(number, "see below")


def test_api():
    """Every public name is in the API reference."""
    page = text("docs/reference/api.md")
    for module in (ccert, ccert.postfix, ccert.aiosmtpd):
        for name in module.__all__:
            assert re.search(rf"^\.\. auto\w+:: {name}(\(\))?$", page, re.MULTILINE), name
