"""The thread that delivers: what waits goes together, and the event loop never waits for a disk."""

import asyncio
import io
import os
import threading
from pathlib import Path

import pytest

from ccert.server.delivery import DeliveryThread
from ccert.server.maildir import Maildir
from ccert.server.smtp_message import IN_MEMORY

PATIENCE = 20  # seconds


@pytest.fixture
def maildir(tmp_path) -> Maildir:
    return Maildir(str(tmp_path / "Mail"))


class SlowDisk:
    """An fsync(2) that waits until it may go on."""

    def __init__(self, monkeypatch) -> None:
        self.begun, self.going = threading.Event(), threading.Event()
        self.threads, self.directories = set(), 0
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, fd) -> None:
        self.threads.add(threading.current_thread().name)
        self.directories += Path(f"/proc/self/fd/{fd}").is_dir()
        self.begun.set()
        assert self.going.wait(PATIENCE)
        self._fsync(fd)


def deliver(deliveries, text: bytes) -> asyncio.Task[str]:
    return asyncio.create_task(deliveries.deliver([], io.BytesIO(text), len(text)))


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE)


@pytest.mark.parametrize(("size", "written"), [(1, 9), (IN_MEMORY + 1, 1)])
def test_together(maildir, monkeypatch, size, written):
    """Messages that come while the disk is busy share an fsync(2) of the directory.

    The event loop writes short ones, which stay in the kernel's memory, but never waits for a disk.
    """
    disk = SlowDisk(monkeypatch)

    async def run() -> list[str]:
        deliveries = DeliveryThread(maildir)
        first = deliver(deliveries, b"first")
        await until(disk.begun)
        others = [deliver(deliveries, b"%d" % number * size) for number in range(8)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in (first, *others))
        assert len(list(maildir.tmp.iterdir())) == written
        disk.going.set()
        names = await asyncio.gather(first, *others)
        await deliveries.close()
        return names

    names = asyncio.run(run())
    assert disk.directories == 2
    assert disk.threads == {"delivery_0"}
    contents = [(maildir.path / "new" / name).read_bytes() for name in names]
    assert contents == [b"first", *(b"%d" % number * size for number in range(8))]


@pytest.mark.parametrize("size", [1, IN_MEMORY + 1])
def test_an_error_reaches_who_waits(maildir, size):
    """The error of the file system is raised, and later messages are delivered."""

    async def run() -> None:
        deliveries = DeliveryThread(maildir)
        maildir.tmp.rmdir()
        with pytest.raises(FileNotFoundError):
            await deliver(deliveries, b"x" * size)
        maildir.tmp.mkdir()
        await deliver(deliveries, b"x" * size)
        await deliveries.close()

    asyncio.run(run())


def test_a_session_that_is_cut_off(maildir, monkeypatch):
    """Nobody waits for its message any more; that of another session is acknowledged."""
    disk = SlowDisk(monkeypatch)

    async def run() -> None:
        deliveries = DeliveryThread(maildir)
        first = deliver(deliveries, b"x")
        await until(disk.begun)
        cut_off, other = deliver(deliveries, b"y"), deliver(deliveries, b"z")
        await asyncio.sleep(0)  # they begin
        cut_off.cancel()
        disk.going.set()
        await asyncio.wait_for(asyncio.gather(first, other), PATIENCE)
        await deliveries.close()
        assert cut_off.cancelled()

    asyncio.run(run())


def test_close_waits(maildir, monkeypatch):
    """What is under way is on the disk before the process ends."""
    disk = SlowDisk(monkeypatch)

    async def run() -> None:
        deliveries = DeliveryThread(maildir)
        message = deliver(deliveries, b"x")
        await until(disk.begun)
        closing = asyncio.create_task(deliveries.close())
        await asyncio.sleep(0.1)
        assert not closing.done()
        disk.going.set()
        await closing
        assert (maildir.path / "new" / await message).read_bytes() == b"x"

    asyncio.run(run())
