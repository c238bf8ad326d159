"""The threads that deliver: what happens to a message whose client does not wait."""

import asyncio
import io
import itertools
import re
import threading

import pytest
from serving import PATIENCE

from ccert.server.deliveries import Deliveries


class Disk:
    """Delivers when it may, like a disk that hangs."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.begun = threading.Semaphore(0)
        self.stored = []

    def deliver(self, headers, message) -> str:
        self.begun.release()
        assert self.may.wait(PATIENCE)
        with message:
            self.stored.append(message.read())
        return headers[0]


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def deliveries(disk):
    deliveries = Deliveries(disk)
    with deliveries.running():
        yield deliveries
        disk.may.set()


def test_given_up(disk, deliveries):
    """A message that has to wait, and whose client goes meanwhile, is closed, and never stored."""

    async def main():
        threads = [thread for thread in threading.enumerate() if "delivery" in thread.name]
        ours = [
            asyncio.create_task(deliveries.deliver([f"{n}"], io.BytesIO(b"kept")))
            for n in range(len(threads))
        ]
        for _ in ours:
            assert await asyncio.to_thread(disk.begun.acquire, timeout=PATIENCE)
        message = io.BytesIO(b"given up")
        late = asyncio.create_task(deliveries.deliver(["late"], message))
        await asyncio.sleep(0)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        assert message.closed
        disk.may.set()
        assert await asyncio.gather(*ours) == [f"{n}" for n in range(len(threads))]
        return len(threads)

    count = asyncio.run(main())
    assert disk.stored == [b"kept"] * count


def test_errors_arrive(disk, deliveries):
    """What a delivery raises is raised where it is awaited; its thread goes on."""
    disk.may.set()
    closed = io.BytesIO()
    closed.close()

    async def main():
        for _ in range(100):
            with pytest.raises(ValueError, match="closed file"):
                await deliveries.deliver(["x"], closed)
        return await deliveries.deliver(["y"], io.BytesIO(b"stored"))

    assert asyncio.run(main()) == "y"
    assert disk.stored == [b"stored"]


@pytest.mark.parametrize("possible", [0, 3])
def test_too_few_threads(disk, monkeypatch, caplog, possible):
    """Those that could be started deliver, and a warning says how many; without any it fails."""
    start, calls = threading.Thread.start, itertools.count()

    def start_some(thread):
        if next(calls) >= possible:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    deliveries = Deliveries(disk)
    disk.may.set()
    if not possible:
        with pytest.raises(RuntimeError, match="new thread"), deliveries.running():
            pass
        return
    with deliveries.running():
        assert asyncio.run(deliveries.deliver(["x"], io.BytesIO())) == "x"
    (record,) = caplog.records
    assert re.fullmatch("only 3 of .* deliver: can't start new thread", record.getMessage())
