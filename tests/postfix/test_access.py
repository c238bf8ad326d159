"""AccessTable: Postfix's text tables, judged by ``postmap``, which reads the same files."""

import os
import subprocess

import pairs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from programs import require_program
from tables import A, B, C

import ccert
from ccert import AccessTable, Trust

# -- look-up --


def test_untrusted_client_by_key(table, peer):
    """A key that is listed is found whatever the verdict, in either case of letters."""
    assert table(f"{A} no\n{peer.pubkey_fingerprint.lower()} yes\n").lookup(peer) == "yes"
    assert table(f"{A} no\n").lookup(peer) is None


def test_untrusted_client_by_certificate(table, peer):
    """A certificate's fingerprint counts as well."""
    assert table(f"{peer.fingerprint} yes").lookup(peer) == "yes"


def test_anonymous_client(host, table):
    """Who has no certificate is not listed."""
    anonymous = ccert.peer(pairs.handshake(host.context(), host.client()).server.tls)
    assert anonymous.trust is Trust.ANONYMOUS
    assert table(f"{A} yes").lookup(anonymous) is None


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ((), "key"),
        (("pubkey_fingerprint", "cert_fingerprint"), "key"),
        (("cert_fingerprint", "pubkey_fingerprint"), "certificate"),
        (("cert_fingerprint",), "certificate"),
    ],
)
def test_search_order(table, known, order, found):
    """The first one that is listed counts; the key comes first unless one says otherwise."""
    options = {"search_order": order} if order else {}
    both = table(f"{A} key\n{B} certificate", **options)
    assert both.lookup(known(A, B)) == found
    assert both.lookup(known(C, B)) == "certificate"
    assert both.lookup(known(A, C)) == (None if len(order) == 1 else "key")


@pytest.mark.parametrize("order", [[], ["fingerprint"], ["cert_fingerprint", ""]])
def test_search_order_refused(table, order):
    """None, or an unknown name."""
    with pytest.raises(ccert.ConfigError, match="search_order"):
        table(f"{A} yes", search_order=order)


def test_search_order_as_a_str(table):
    """The message shows the tuple that is wanted."""
    with pytest.raises(TypeError, match=r"must be a tuple: \('pubkey_fingerprint',\)"):
        table(f"{A} yes", search_order="pubkey_fingerprint")


@pytest.mark.parametrize("undecided", ["DUNNO", "INFO seen", "PREPEND X-A: b"])
def test_decision_beats_dunno(table, known, undecided):
    """Where the key's action decides nothing, Postfix looks at the certificate's, and so do we."""
    text = f"{A} {undecided}\n{B} REJECT\n"
    assert table(text, actions=True).lookup(known(A, B)) == "REJECT"
    assert table(text, actions=True).lookup(known(A, C)) == undecided
    assert table(text).lookup(known(A, B)) == undecided


# -- the format, judged by postmap --


@pytest.fixture(scope="session")
def postmap(tmp_path_factory) -> list[str]:
    """The command, with a configuration that is old enough: Postfix waits for files to settle."""
    program = require_program("postmap")
    directory = tmp_path_factory.mktemp("postmap")
    (directory / "main.cf").touch()
    os.utime(directory / "main.cf", (0, 0))
    return [program, "-c", str(directory)]


def _dump(postmap, path) -> tuple[dict[str, str], str]:
    """Return what postmap makes of a text table, and its complaints."""
    os.utime(path, (0, 0))
    done = subprocess.run(
        [*postmap, "-s", f"texthash:{path}"], capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 0 or done.stderr
    lines = done.stdout.decode().split("\n")[:-1]
    return dict(line.split("\t", 1) for line in lines), done.stderr.decode()


def _entries(path) -> dict[str, str] | None:
    """Return what we make of it; None: an error."""
    try:
        table = AccessTable(path)
    except ccert.ConfigError:
        return None
    return {key.lower(): entry.value for key, entry in table._content.items()}


_blank = st.sampled_from(["", " ", "\t", "  ", " \t "])
_key = st.sampled_from([A, A.lower(), B, B.lower(), C, A[:-3], A[:47], "zz" + A[2:], "OK", '"', ""])
_word = st.sampled_from(["OK", "x", "#", "#x", "a  b", "\\", '"', "ü", "\N{NO-BREAK SPACE}x", ":"])
_entry = st.tuples(st.sampled_from([A, B.lower(), C]), st.sampled_from(" \t"), _word).map("".join)
_line = st.one_of(
    _entry,
    st.tuples(_blank, _key, _blank, _word, _blank).map("".join),
    st.tuples(_blank, st.sampled_from(["", "#", "# comment", "#" + A])).map("".join),
    st.tuples(st.sampled_from([" ", "\t"]), _word).map("".join),
)


@given(st.lists(_line, max_size=6), st.sampled_from(["\n", "\n", "\r\n"]), st.booleans())
@example([f"{A} a", "#x", " b", "", "\t#", "\tc"], "\n", True)
@example([" b", f"{A} a"], "\n", True)
@example([f"{A}", " b"], "\n", False)
@example([f"{A}\t"], "\n", False)
@example([f"{A} a", f"{A.lower()} a"], "\n", False)
def test_format_is_postmaps(postmap, tmp_path, lines, end, final):
    """A file gives the entries that postmap finds in it; where postmap complains, an error.

    So is a key that is no fingerprint, which postmap cannot know.
    """
    text = end.join(lines) + (end if final else "")
    path = tmp_path / "judged"
    path.write_bytes(text.encode())
    judged, complaints = _dump(postmap, path)
    foreign = [key for key in judged if key.upper() not in {A, B, C}]
    entries = _entries(path)
    if complaints or foreign:
        assert entries is None
    else:
        assert entries == {key: value.replace("\r", "") for key, value in judged.items()}


def test_built_table(postmap, tmp_path, peer):
    """What Postfix finds by ``postmap -q`` in a table built of the file, lookup() finds."""
    path = tmp_path / "relay_clientcerts"
    path.write_text(
        f"# partners\n{A} other\n{peer.pubkey_fingerprint}\n  mx.example\n\n#x\n\tand more\n"
    )
    subprocess.run([*postmap, f"hash:{path}"], check=True, timeout=20)
    query = [*postmap, "-q", peer.pubkey_fingerprint, f"hash:{path}"]
    found = subprocess.run(query, check=True, capture_output=True, text=True, timeout=20).stdout
    assert AccessTable(path).lookup(peer) == found.rstrip("\n") != ""


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("#\n\nmx.example OK\n", 3, "key 'mx.example': no SHA-256 fingerprint"),
        (f"{A[:47]} OK", 1, "as long as MD5's; .*smtpd_tls_fingerprint_digest"),
        (f"{A} OK\n{A[:59]} OK", 2, "as long as SHA-1's; .*smtpd_tls_fingerprint_digest"),
        (f"{A[:-1]} OK", 1, "no SHA-256 fingerprint"),
        (f"{A}: OK", 1, "no SHA-256 fingerprint"),
        (f"{A}:00 OK", 1, "no SHA-256 fingerprint"),
        (A.replace(":", "") + " OK", 1, "no SHA-256 fingerprint .32 .* with colons"),
        (f'"{A}" OK', 1, "no SHA-256 fingerprint"),
        ("\ufb00" + A[2:] + " OK", 1, "no SHA-256 fingerprint"),
        (A.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}") + " OK", 1, "no SHA-256 fingerprint"),
        (f"{A}\n#\n{B} OK", 1, "no right-hand side"),
        (f"{B} OK\n{A}\n\n \t\n# end", 2, "no right-hand side"),
        (f"{A} OK\n{B} OK\n{A.lower()}\n OK", 3, "the same key as in line 1"),
        (f"# c\n {A} OK", 2, "white space in front continues a line, but there is none"),
        (f"{A} OK\n{B} \xff".encode("latin-1"), 2, "not UTF-8"),
        (f"{A} OK\n# a\0b", 2, r"control character '\\x00'"),
        (f"{A} a\x1bb", 1, r"control character '\\x1b'"),
        (f"{A} a\rb", 1, r"control character '\\r'"),
        (f"{A} a\x85b", 1, r"control character '\\x85'"),
    ],
)
def test_bad_line(table, tmp_path, text, line, problem):
    """An error names the file, the line at which the entry begins, and what is wrong with it."""
    with pytest.raises(ccert.ConfigError, match=problem) as caught:
        table(text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'table'}, line {line}: ")
    assert message.isprintable()


def test_bad_action(table, tmp_path):
    """With actions, what ccert cannot do is an error; without, the right-hand side is free."""
    text = f"{A} OK\n{B}\n  HOLD\n"
    assert table(text).lookup is not None
    with pytest.raises(ccert.ConfigError) as caught:
        table(text, actions=True)
    assert str(caught.value).startswith(f"{tmp_path / 'table'}, line 2: action 'HOLD': ")


def test_empty_table(table, peer):
    """An empty table lists nobody; so does one of comments."""
    assert table("").lookup(peer) is None
    assert table("# nobody yet").lookup(peer) is None


# -- files --


def _directory(path) -> None:
    path.mkdir()


def _unreadable(path) -> None:
    path.symlink_to("/proc/self/mem" if os.geteuid() == 0 else "/etc/shadow")


def _pipe(path) -> None:
    os.mkfifo(path)


def _huge(path) -> None:
    path.touch()
    os.truncate(path, 64 * 1024 * 1024 + 1)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda _path: None, "No such file or directory"),
        (_directory, "Is a directory"),
        (_unreadable, "Permission denied|Input/output error"),
        (_pipe, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (_huge, "more than 64 MB"),
    ],
    ids=["absent", "directory", "unreadable", "pipe", "device", "huge"],
)
def test_unusable_file(tmp_path, make, problem):
    """An error that names it, at once, whatever is there."""
    path = tmp_path / "table"
    make(path)
    with pytest.raises(ccert.ConfigError, match=f"access table {path}: ({problem})"):
        AccessTable(path)
