"""What arrived, by the Maildir and the log as they grow; compared with what the senders know."""

from __future__ import annotations

import collections
import re
import time
from typing import TYPE_CHECKING

from load.client import ACKNOWLEDGED, BROKEN, NOT_BEGUN, UNSENT
from load.connection import PATIENCE
from load.message import read_delivered, read_logged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from load.client import Attempt

_HARMLESS = re.compile(
    r"^\d.*( (INFO|WARNING): |ERROR: worker \d+ was killed by SIGKILL|ERROR: the master is gone)"
)


class Ledger:
    """Counts deliveries.

    Messages are taken out of the Maildir when they are read, as a user's mail program would.

    Attributes:
        arrivals: how often each message was in the Maildir.
        logged: how often the log tells of its delivery.
        problems: whatever must not be.
    """

    def __init__(self, maildir: Path) -> None:
        self.arrivals: collections.Counter[str] = collections.Counter()
        self.logged: collections.Counter[str] = collections.Counter()
        self.problems: list[str] = []
        self._new = maildir / "new"

    def __str__(self) -> str:
        return f"{self.arrivals.total()} messages, {len(self.problems)} problems"

    def read_mail(self) -> None:
        """Read what there is now."""
        for path in self._new.iterdir():
            delivered = read_delivered(path.read_bytes())
            path.unlink()
            self.arrivals[delivered.identifier] += 1
            self.problems += delivered.problems

    def read_log(self, lines: Iterable[str]) -> None:
        """Read verdicts, and errors, of which only the death of a worker is to be expected."""
        for line in lines:
            if delivered := read_logged(line):
                self.logged[delivered.identifier] += 1
                self.problems += delivered.problems
            elif not _HARMLESS.search(line):
                self.problems.append(line)

    def read_until(self, arrivals: int) -> None:
        """Read on until so many more messages have arrived."""
        wanted = self.arrivals.total() + arrivals
        end = time.monotonic() + PATIENCE
        while self.arrivals.total() < wanted:
            assert time.monotonic() < end, f"{self.arrivals.total()} messages, not {wanted}"
            self.read_mail()
            time.sleep(0.01)

    def settle(self, attempts: Sequence[Attempt]) -> collections.Counter[str]:
        """Compare with what the senders know; return how many attempts ended how.

        Each attempt has an identifier of its own, be it for the same message as another: it has
        arrived exactly once if it was acknowledged, at most once if the connection broke between
        the final dot and the reply, and never if it broke earlier.
        """
        self.read_mail()
        allowed = {ACKNOWLEDGED: (1, 1), BROKEN: (0, 1), UNSENT: (0, 0), NOT_BEGUN: (0, 0)}
        arrivals = self.arrivals.copy()
        for attempt in attempts:
            least, most = allowed[attempt.outcome]
            count = arrivals.pop(attempt.identifier, 0)
            if not least <= count <= most:
                self.problems.append(f"{attempt} arrived {count} times")
        self.problems += [f"{identifier} was never sent" for identifier in arrivals]
        return collections.Counter(attempt.outcome for attempt in attempts)
