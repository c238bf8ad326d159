"""Any text as ccert.cf: read as Postfix's postconf(1) reads it, or refused line by line."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from programs import require_program

import ccert
from ccert.server.config_file import read_assignments

_NAME = st.sampled_from(["maildir", "workers", "listen", "smtpd_timeout", "nothing", "maildr", ""])
_VALUE = st.sampled_from(["Mail", "2", "127.0.0.1:25", "[::1]:25, localhost:465", "5m", "$x", "ü"])
_PIECE = st.one_of(
    _NAME,
    _VALUE,
    st.sampled_from(["=", " = ", "\n", "\r\n", "\r", "\t", " ", "#", ",", "\0", "\x85", "\ufeff"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
)


@given(st.lists(_PIECE, max_size=16).map("".join))
def test_any_text(read, tmp_path, text):
    """A configuration, or a ConfigError: each line of it is printable, and says where and what."""
    needed = {"smtpd_tls_cert_file": "mx.pem", "maildir": "Mail", "myhostname": "mx.example"}
    for line in _errors(lambda: read(text, **needed)):
        assert line.isprintable()
        assert line.startswith((f"{tmp_path}/main.cf, line ", "--"))


def _errors(action) -> list[str]:
    try:
        action()
    except ccert.ConfigError as error:
        return str(error).split("\n")
    return []


@pytest.fixture(scope="module")
def postconf() -> str:
    return require_program("postconf")


def _judged(postconf: str, path: Path) -> tuple[dict[str, str], str]:
    """Return what Postfix makes of a main.cf, and its complaints; it prints one space for many."""
    os.utime(path, (0, 0))
    path.with_name("master.cf").touch()
    done = subprocess.run(
        [postconf, "-c", path.parent, "-n"], capture_output=True, timeout=20, check=False
    )
    lines = [line.partition("=") for line in done.stdout.decode().split("\n")[:-1]]
    found = {name.strip(): value.strip() for name, _, value in lines}
    found.pop("config_directory", None)
    warned = "#comment after other text is not allowed"  # since 3.9; it stays in the value
    return found, "\n".join(x for x in done.stderr.decode().splitlines() if warned not in x)


_WORD = st.sampled_from(["a", "b,c", "=", "x=y", "#", "ü", '"q"', "mx.example", "a  b"])
_BLANK = st.sampled_from(["", " ", "  ", "\t", " \t"])
_LINE = st.one_of(
    st.tuples(
        st.sampled_from(["relay_clientcerts", "smtpd_tls_CAfile", "smtpd_tls_CApath"]),
        st.sampled_from(["=", " =", "= ", "\t=", " = ", " "]),  # never an unknown name
        _WORD | st.just(""), _BLANK,
    ).map("".join),
    st.tuples(_BLANK, st.sampled_from(["", "#", "# comment", "#a = b"])).map("".join),
    st.tuples(st.sampled_from([" ", "\t"]), _WORD).map("".join),
)  # fmt: skip


@settings(max_examples=60)  # postconf is slow
@given(st.lists(_LINE, max_size=5), st.booleans())
@example(["relay_clientcerts=#"], False)
@example(["relay_clientcerts = a", "#x", "  b", "", "\t# c", "\td"], True)
def test_form_is_postconf_s(postconf, tmp_path, lines, final):
    """Names and values are those that postconf finds; where it complains, there is an error."""
    path = tmp_path / "main.cf"
    path.write_text("\n".join(lines) + ("\n" if final else ""))
    assignments, errors = read_assignments(str(path))
    found = {assignment.name: " ".join(assignment.value.split()) for assignment in assignments}
    judged, complaints = _judged(postconf, path)
    if errors:
        return  # ccert is stricter
    if complaints:
        assert len(found) < len(assignments)  # a name is given twice, which is an error later
    else:
        assert found == judged
