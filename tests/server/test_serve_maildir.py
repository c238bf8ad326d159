"""Delivery: durable, unique, and nothing half done."""

import errno
import io
import mailbox
import os
import pathlib
import threading
import time

import pytest

from ccert.server.maildir import Delivery, Maildir


@pytest.fixture
def maildir(tmp_path) -> Maildir:
    return Maildir(str(tmp_path / "Mail"))


def deliver(maildir, *messages: bytes, headers=()) -> list[Delivery]:
    """Deliver together, some of them written before as the event loop does."""
    deliveries = [Delivery(headers, io.BytesIO(message)) for message in messages]
    for delivery in deliveries[1::2]:
        maildir.write(delivery)
    maildir.deliver(deliveries)
    assert all(delivery.message.closed for delivery in deliveries)
    return deliveries


def stored(maildir, name="new") -> list[bytes]:
    return sorted(path.read_bytes() for path in (maildir.path / name).iterdir())


@pytest.mark.parametrize("messages", [1, 3])
def test_durable(maildir, monkeypatch, messages):
    """Each message is fsynced before its name is in new; new is fsynced after, once for all."""
    steps = []
    fsync, rename = os.fsync, pathlib.Path.rename

    def noted_fsync(fd):
        path = pathlib.Path(f"/proc/self/fd/{fd}").readlink()
        steps.append("fsync new" if path == maildir.path / "new" else f"fsync {path}")
        fsync(fd)

    def noted_rename(source, target):
        assert source.read_bytes() == b"X: y\n\nbody\n"
        steps.append(f"rename {source}")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(pathlib.Path, "rename", noted_rename)
    deliveries = deliver(maildir, *[b"\r\nbody\r\n"] * messages, headers=["X: y"])
    files = [maildir.tmp / delivery.name for delivery in deliveries]
    assert steps == [*(f"fsync {f}" for f in files), *(f"rename {f}" for f in files), "fsync new"]
    assert stored(maildir) == [b"X: y\n\nbody\n"] * messages


def test_readable_by_others(maildir):
    """What we deliver, the library reads."""
    deliver(maildir, b"Subject: x\r\n\r\nbody\r\n", headers=["X: y"])
    (message,) = mailbox.Maildir(maildir.path)
    assert (message["X"], message["Subject"], message.get_payload()) == ("y", "x", "body\n")


@pytest.mark.parametrize("over", [-2, -1, 0, 1])
def test_lines_of_any_length(maildir, over):
    """A message is written in pieces; CRLF becomes LF wherever one ends, and CR alone stays."""
    long = b"x" * (2**16 + over)
    deliver(maildir, long + b"\r\n" + long + b"\ry\r\n\r\n" + long + b"\r")
    assert stored(maildir) == [long + b"\n" + long + b"\ry\n\n" + long + b"\r"]


def test_many_threads(maildir, monkeypatch):
    """Threads, as processes do, deliver in the same microsecond, and each message has a name."""
    monkeypatch.setattr(time, "time", lambda: 1.0)
    barrier = threading.Barrier(8)
    errors = []

    def work() -> None:
        barrier.wait(20)
        for _ in range(20):
            errors.extend(delivery.error for delivery in deliver(maildir, b"x", b"y"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == [None] * 320
    assert stored(maildir) == [b"x"] * 160 + [b"y"] * 160


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


class Broken(io.BytesIO):
    """A spooled message on a disk that has broken."""

    def read(self, _size=-1):
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("written", [False, True])
def test_nothing_half_done(maildir, written):
    """A message that cannot be read to its end leaves nothing behind; those beside it arrive."""
    broken = Delivery(["X: y"], Broken(b"x"))
    good = [Delivery([], io.BytesIO(text)) for text in (b"1", b"2")]
    if written:
        maildir.write(broken)
    maildir.deliver([good[0], broken, good[1]])
    assert broken.error.errno == errno.EIO
    assert broken.message.closed
    assert [delivery.error for delivery in good] == [None, None]
    assert (stored(maildir), stored(maildir, "tmp")) == ([b"1", b"2"], [])


def test_no_room_for_a_name(maildir):
    """A message that was refused before is not tried again: the first error says why."""
    maildir.tmp.rmdir()
    (delivery,) = deliveries = [Delivery([], io.BytesIO(b"x"))]
    maildir.write(delivery)
    maildir.deliver(deliveries)
    assert delivery.error.errno == errno.ENOENT
    assert delivery.message.closed


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_one_error_is_of_one_message(maildir, monkeypatch, step):
    """fsync(2) and rename(2) may fail for one file, and only its client hears of it."""
    first, second = (Delivery([], io.BytesIO(text)) for text in (b"1", b"2"))
    maildir.write(first)
    fsync, rename = os.fsync, pathlib.Path.rename

    def failing_fsync(fd):
        if pathlib.Path(f"/proc/self/fd/{fd}").readlink().name == first.name:
            raise OSError(errno.EIO, "Input/output error")
        fsync(fd)

    def failing_rename(source, target):
        if source.name == first.name:
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, target)

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", failing_fsync)
    else:
        monkeypatch.setattr(pathlib.Path, "rename", failing_rename)
    maildir.deliver([first, second])
    assert (first.error.errno, second.error) == (errno.EIO, None)
    assert first.file.closed
    assert (stored(maildir), stored(maildir, "tmp")) == ([b"2"], [])


def test_a_directory_that_is_not_durable(maildir, monkeypatch):
    """Where fsync(2) of new fails, nothing of the batch is acknowledged."""
    fsync = os.fsync

    def failing_fsync(fd):
        if pathlib.Path(f"/proc/self/fd/{fd}").readlink().is_dir():
            raise OSError(errno.EIO, "Input/output error")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", failing_fsync)
    deliveries = deliver(maildir, b"1", b"2", b"3")
    assert [delivery.error.errno for delivery in deliveries] == [errno.EIO] * 3


def test_clean(maildir):
    """What a crash left in tmp goes after 36 hours, as maildir(5) has it; younger files stay."""
    for name, age in (("old", 37), ("young", 35)):
        path = maildir.tmp / name
        path.touch()
        os.utime(path, (time.time() - age * 3600,) * 2)
    maildir.clean()
    assert [path.name for path in maildir.tmp.iterdir()] == ["young"]
