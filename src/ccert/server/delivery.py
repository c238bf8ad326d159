"""Deliver in one thread, and together all messages that wait: they share what durability costs.

With a thread for each message, each system call would take the GIL from the event loop.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
from typing import TYPE_CHECKING

from ccert.server.maildir import Delivery
from ccert.server.smtp_message import IN_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

    from ccert.server.maildir import Maildir

__all__ = ["DeliveryThread"]


class DeliveryThread:
    """Delivers for the sessions of an event loop.  The thread starts with the first message.

    Args:
        maildir: where to deliver.
    """

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir
        self._waiting: collections.deque[tuple[Delivery, asyncio.Future[str]]] = collections.deque()
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "delivery")

    async def deliver(self, headers: Iterable[str], message: BinaryIO, size: int) -> str:
        """Deliver a message; return its name once it is on disk.

        Args:
            headers: as in ``Delivery``.
            message: likewise.
            size: of the message, in octets.

        Raises:
            OSError: the message is not stored, or perhaps not durably.
        """
        delivery = Delivery(headers, message)
        if size <= IN_MEMORY:  # a page or a few for the kernel: the thread would take longer
            self._maildir.write(delivery)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        self._waiting.append((delivery, answer))
        self._thread.submit(self._deliver, loop)
        return await answer

    async def close(self) -> None:
        """Wait until all is delivered."""
        await asyncio.to_thread(self._thread.shutdown)

    def _deliver(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if batch:  # else an earlier batch had them all
            self._maildir.deliver([delivery for delivery, _ in batch])
            loop.call_soon_threadsafe(_answer, batch)


def _answer(batch: Sequence[tuple[Delivery, asyncio.Future[str]]]) -> None:
    for delivery, answer in batch:
        if answer.cancelled():  # the session was cut off
            continue
        if delivery.error:
            answer.set_exception(delivery.error)
        else:
            answer.set_result(delivery.name)
