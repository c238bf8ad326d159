"""Threads that deliver messages; all of them start with the worker.

An executor starts threads when they are needed: where it cannot, it keeps the call, and delivers
what has been refused; where memory is missing at the wrong moment, its lock stays locked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccert.server.maildir import Maildir

__all__ = ["Deliveries"]

_log = logging.getLogger("ccert")

_MOST = 32  # threads, as in asyncio
_PAUSE = 0.1  # seconds until there may be memory again
_PATIENCE = 5  # seconds, at the end, for what is being written to go


class _Order(NamedTuple):
    headers: list[str]
    message: BinaryIO
    outcome: asyncio.Future[str]


class Deliveries:
    """Lets threads deliver.

    Args:
        maildir: where they deliver.
    """

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Have the threads; the event loop runs within.

        Raises:
            RuntimeError: not even one can be started.
        """
        threads = self._start(min(_MOST, (os.cpu_count() or 1) + 4))
        try:
            yield
        finally:
            for _ in threads:
                self._orders.put(None)
            end = time.monotonic() + _PATIENCE
            for thread in threads:
                thread.join(max(0, end - time.monotonic()))

    def _start(self, count: int) -> list[threading.Thread]:
        threads: list[threading.Thread] = []
        for number in range(count):
            thread = threading.Thread(target=self._work, name=f"delivery {number}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                if not threads:
                    raise
                _log.warning("only %d of %d threads deliver: %s", number, count, error)
                break
            threads.append(thread)
        return threads

    async def deliver(self, headers: list[str], message: BinaryIO) -> str:
        """Deliver; return the name.  If this is cancelled or fails, the message is not stored.

        Raises:
            OSError: the message is not stored.
        """
        try:
            outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            self._orders.put(_Order(headers, message, outcome))
            return await outcome
        except BaseException:
            with contextlib.suppress(OSError):
                message.close()  # whoever has it in hand gives up
            raise

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            try:
                name = self._maildir.deliver(order.headers, order.message)
            except Exception as error:  # noqa: BLE001 - raised in deliver()
                _settle(order.outcome, "", error)
            else:
                _settle(order.outcome, name, None)
            del order  # with its session, which may have ended


def _settle(outcome: asyncio.Future[str], name: str, error: Exception | None) -> None:
    """Tell the event loop, which waits for it without limit."""
    while True:
        try:
            outcome.get_loop().call_soon_threadsafe(_set, outcome, name, error)
        except MemoryError:
            time.sleep(_PAUSE)
        except RuntimeError:  # the loop is closed
            return
        else:
            return


def _set(outcome: asyncio.Future[str], name: str, error: Exception | None) -> None:
    if outcome.done():  # cancelled
        return
    if error:
        outcome.set_exception(error)
    else:
        outcome.set_result(name)
