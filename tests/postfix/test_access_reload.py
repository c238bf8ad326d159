"""An access table whose file changes: read again when it is whole, else the old one stays."""

import errno
import logging
import os
import signal
import threading

import pytest
from tables import A, B, replace

import ccert
from ccert import AccessTable

# -- reload --


@pytest.fixture
def errors(caplog):
    """Return a function that tells the messages logged since it was last asked."""
    caplog.set_level(logging.DEBUG, "ccert")

    def errors() -> list[str]:
        records = [record for record in caplog.records if record.name == "ccert"]
        assert all(record.levelno == logging.ERROR for record in records)
        caplog.clear()
        return [record.getMessage() for record in records]

    return errors


def test_change_is_seen(table, tmp_path, known, errors):
    """A new file, an edit in place that leaves size and time as they were, and an append."""
    path = tmp_path / "table"
    clients = table(f"{A} one")
    assert clients.lookup(known(A, B)) == "one"
    replace(path, f"{A} two")
    assert clients.lookup(known(A, B)) == "two"
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # a clock of some milliseconds
        path.write_text(f"{A} six")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert clients.lookup(known(A, B)) == "six"
    with path.open("a") as file:
        file.write("\n more")
    assert clients.lookup(known(A, B)) == "six more"
    assert errors() == []


def _gone(path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: replace(path, "x y\n"), ", line 1: key 'x': no SHA-256 fingerprint"),
        (lambda path: replace(path, b"\xff"), ", line 1: not UTF-8"),
        (_gone, ": No such file or directory"),
    ],
    ids=["line", "octets", "gone"],
)
def test_old_table_stays(table, tmp_path, known, errors, spoil, problem):
    """With an unusable new file the old content stays; that is logged once for each change."""
    path = tmp_path / "table"
    clients = table(f"{A} one")
    for _ in range(2):
        spoil(path)
        assert [clients.lookup(known(A, B)) for _ in range(3)] == ["one"] * 3
        (message,) = errors()
        assert problem in message
        assert message.endswith("; the old table stays")
        replace(path, f"{A} one")
        assert clients.lookup(known(A, B)) == "one"
        assert errors() == []


def test_reload(table, tmp_path, known, errors):
    """reload() raises what is wrong; nothing of the file is taken over, nor is it logged again."""
    path = tmp_path / "table"
    clients = table(f"{A} one")
    replace(path, f"{A} two\nx y\n")
    with pytest.raises(ccert.ConfigError, match="line 2"):
        clients.reload()
    assert clients.lookup(known(A, B)) == "one"
    assert errors() == []
    replace(path, f"{A} two\n")
    clients.reload()
    assert clients.lookup(known(A, B)) == "two"


def test_made_readable(table, tmp_path, known, errors):
    """A change of permissions alone is noticed: the file is tried again."""
    path = tmp_path / "table"
    clients = table(f"{A} one")
    replace(path, f"{A} two")
    path.chmod(0)
    expected = "one" if os.geteuid() else "two"
    assert clients.lookup(known(A, B)) == expected
    errors()
    path.chmod(0o600)
    assert clients.lookup(known(A, B)) == "two"


def test_reload_amid_a_lookup(table, known, monkeypatch):
    """A signal's handler may reload while the same thread looks up: no deadlock."""
    clients = table(f"{A} one")
    old = signal.signal(signal.SIGUSR1, lambda *_: clients.reload())
    load = AccessTable._load

    def interrupted(self) -> None:
        monkeypatch.setattr(AccessTable, "_load", load)
        signal.raise_signal(signal.SIGUSR1)
        load(self)

    try:
        clients._signature = None
        monkeypatch.setattr(AccessTable, "_load", interrupted)
        assert clients.lookup(known(A, B)) == "one"
    finally:
        signal.signal(signal.SIGUSR1, old)


def test_threads(table, tmp_path, known, errors):
    """While the file changes, each look-up sees one whole table, and never again an older one."""
    path = tmp_path / "table"
    filling = "".join(f"{':'.join([f'{i:02X}'] * 32)} x\n" for i in range(13, 100))
    clients = table(f"{A} 0\n{filling}")
    done = threading.Event()
    seen: list[list[str | None]] = [[] for _ in range(3)]

    def read(found: list[str | None]) -> None:
        while not done.is_set():
            found.append(clients.lookup(known(A, B)))

    threads = [threading.Thread(target=read, args=[found]) for found in seen]
    for thread in threads:
        thread.start()
    try:
        for n in range(1, 50):
            replace(path, f"{A} {n}\n{filling}")
    finally:
        done.set()
        for thread in threads:
            thread.join(20)
    assert clients.lookup(known(A, B)) == "49"
    assert errors() == []
    for found in seen:
        numbers = [int(value) for value in found]
        assert numbers == sorted(numbers)
    assert len({value for found in seen for value in found}) > 1


def test_passing_trouble(table, known, tmp_path, monkeypatch, caplog):
    """A change that cannot be read for a moment is read as soon as it can be; one line tells."""
    client = known(A, B)
    changing = table(f"{A} OK\n", actions=True)

    def out_of_files(_path: str, _flags: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as trouble:
        trouble.setattr("ccert.postfix.text_table._open", out_of_files)
        replace(tmp_path / "table", f"{A} REJECT stolen\n")
        assert [changing.lookup(client) for _ in range(3)] == ["OK"] * 3
    assert changing.lookup(client) == "REJECT stolen"
    assert len(caplog.records) == 1
