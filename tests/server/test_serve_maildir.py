"""Delivery: durable, unique, and nothing half done."""

import errno
import io
import itertools
import mailbox
import os
import pathlib
import threading
import time

import pytest

from ccert.server.maildir import Maildir


@pytest.fixture
def maildir(tmp_path) -> Maildir:
    return Maildir(str(tmp_path / "Mail"))


def test_durable(maildir, monkeypatch):
    """The message is fsynced before it has its name in new, and new is fsynced after."""
    steps = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(fd):
        path = pathlib.Path(f"/proc/self/fd/{fd}").readlink()
        steps.append(f"fsync {path.name}" if path.is_dir() else "fsync file")
        fsync(fd)

    def noted_rename(*names, **directories):
        steps.append("rename")
        rename(*names, **directories)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    name = maildir.deliver(["X: y"], io.BytesIO(b"\r\nbody\r\n"))
    assert steps == ["fsync file", "rename", "fsync new"]
    assert (maildir.path / "new" / name).read_bytes() == b"X: y\n\nbody\n"


def test_readable_by_others(maildir):
    """What we deliver, the library reads."""
    maildir.deliver(["X: y"], io.BytesIO(b"Subject: x\r\n\r\nbody\r\n"))
    (message,) = mailbox.Maildir(maildir.path)
    assert (message["X"], message["Subject"], message.get_payload()) == ("y", "x", "body\n")


@pytest.mark.parametrize("over", [-2, -1, 0, 1])
def test_lines_of_any_length(maildir, over):
    """A message is written in pieces; CRLF becomes LF wherever one ends, and CR alone stays."""
    long = b"x" * (2**13 + over)
    name = maildir.deliver([], io.BytesIO(long + b"\r\n" + long + b"\ry\r\n\r\n" + long + b"\r"))
    expected = long + b"\n" + long + b"\ry\n\n" + long + b"\r"
    assert (maildir.path / "new" / name).read_bytes() == expected


def test_many_threads(maildir, monkeypatch):
    """Threads that deliver in the same microsecond get names of their own."""
    monkeypatch.setattr(time, "time", lambda: 1.0)
    barrier = threading.Barrier(8)
    errors = []

    def deliver() -> None:
        barrier.wait(20)
        for _ in range(20):
            try:
                maildir.deliver([], io.BytesIO(b"x"))
            except OSError as error:
                errors.append(error)

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert len(list((maildir.path / "new").iterdir())) == 160


def test_no_clock_makes_a_name_twice(maildir, monkeypatch):
    """Messages of one second keep their names and contents apart."""
    monkeypatch.setattr(time, "time", lambda: 1.0)
    for text in (b"first\n", b"second\n"):
        maildir.deliver([], io.BytesIO(text))
    contents = {path.read_bytes() for path in (maildir.path / "new").iterdir()}
    assert contents == {b"first\n", b"second\n"}


@pytest.mark.parametrize(
    ("step", "number"), [("open", 1), ("fsync", 1), ("rename", 1), ("fsync", 2)]
)
def test_an_error_leaves_nothing(maildir, monkeypatch, step, number):
    """A message that is refused is nowhere, whichever step fails; not even if the last one does."""
    maildir.deliver([], io.BytesIO(b"first\n"))
    original, calls = getattr(os, step), itertools.count(1)

    def fail(*names, **directories):
        if next(calls) == number:
            raise OSError(errno.EIO, "Input/output error")
        return original(*names, **directories)

    message = io.BytesIO(b"second\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(OSError, match="Input/output"):
            maildir.deliver([], message)
    assert next(calls) == number + 1
    assert message.closed
    files = [path for path in maildir.path.rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"first\n"]


def test_what_cannot_be_removed(maildir, monkeypatch, caplog):
    """If the clean-up fails, too, the first error is raised, and the log names what is left."""

    def no_room(*_names, **_directories):
        raise OSError(errno.ENOSPC, "No space left on device")

    def read_only(*_names, **_directories):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", no_room)
        patch.setattr(os, "unlink", read_only)
        with pytest.raises(OSError, match="No space"):
            maildir.deliver([], io.BytesIO(b"x"))
    (left,) = maildir.tmp.iterdir()
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == f"{left}: a refused message cannot be removed: Read-only file system"


@pytest.mark.parametrize("error", [None, OSError(errno.ENOSPC, "No space left on device")])
def test_given_up(maildir, error):
    """A message that somebody closes during its delivery, or whose close fails, is not stored."""

    class Closing(io.BytesIO):
        def readline(self, size):
            self.read = self.read_last
            return super().readline(size)

        def read_last(self, size):
            if piece := super().read(size):
                return piece
            if error is None:
                self.close()
            return b""

        def __exit__(self, *_):
            self.close()
            if error:
                raise error

    with pytest.raises(OSError, match=r"given up|No space"):
        maildir.deliver(["X: y"], Closing(b"Subject: x\n"))
    assert [path for path in maildir.path.rglob("*") if path.is_file()] == []


def test_directories_are_durable(tmp_path, monkeypatch):
    """A new Maildir's own name, and those of its directories, are fsynced."""
    synced = []
    fsync = os.fsync

    def noted(fd):
        synced.append(pathlib.Path(f"/proc/self/fd/{fd}").readlink())
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    Maildir(str(tmp_path / "New"))
    assert synced == [tmp_path, *[tmp_path / "New"] * 3]


def test_nothing_half_done(maildir):
    """A message that cannot be read to its end leaves nothing behind, and is closed."""

    class Broken(io.BytesIO):
        def read(self, _size=-1):
            raise OSError(errno.EIO, "Input/output error")

    broken = Broken(b"x")
    with pytest.raises(OSError, match="Input/output"):
        maildir.deliver(["X: y"], broken)
    assert broken.closed
    assert [p for p in maildir.path.rglob("*") if p.is_file()] == []


def test_clean(maildir):
    """What a crash left in tmp goes after 36 hours, as maildir(5) has it; younger files stay."""
    for name, age in (("old", 37), ("young", 35)):
        path = maildir.tmp / name
        path.touch()
        os.utime(path, (time.time() - age * 3600,) * 2)
    maildir.clean()
    assert [path.name for path in maildir.tmp.iterdir()] == ["young"]
