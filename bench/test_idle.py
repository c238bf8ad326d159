"""How much sessions cost that are idle: what others wait meanwhile, and memory.

Strategy: aiosmtpd on asyncio, on ccert and on ``ssl``'s default, each with a process of clients
that come up to the second EHLO and stay.  While they do, a few others deliver, one at a time, the
servers in turn.  P-256 only.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest
from process import Process, running
from report import Row
from variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterator

IDLE = (1, 10, 100, 1000, 10_000)
ROUNDS, VISITORS = 5, 20
FILES = 100  # that a process may have open, besides
MEMORY = 500_000  # octets, of an idle session on both sides; asyncio has a buffer of 256 KiB

WAIT = (
    'p50 from "220" to STARTTLS until the answer to EHLO, seen by a client that is alone but for '
    "the idle ones"
)
ROWS = (
    *(
        Row(
            f"wait for EHLO, {count} idle: ccert / ssl's default",
            *(f"SMTP greeting, {count} idle, {variant}" for variant in VARIANTS),
            WAIT,
        )
        for count in (1, 1000, 10_000)  # as far as the system has files and memory for them
    ),
    Row(
        "memory of an idle SMTP session: ccert / ssl's default",
        *(f"memory of an idle SMTP session, {variant}" for variant in VARIANTS),
        "private pages of aiosmtpd on asyncio: connection, TLS, session, and ccert's Peer",
        caveat="asyncio's buffer of 256 KiB is most of it; the kernel's are not in it",
    ),
)


@dataclasses.dataclass
class House:
    """A server, whoever stays there, and what visitors waited for in the current round."""

    certificate: str
    server: Process
    clients: Process
    staying: int = 0
    visitors: int = 0
    waits: list[float] = dataclasses.field(default_factory=list)

    def ask_clients(self, **question: int) -> None:
        self.clients.tell(certificate=self.certificate, port=self.server.ready["port"], **question)

    def visit(self, count: int) -> None:
        self.ask_clients(sessions=count, threads=1)
        self.waits += self.clients.answer()["greeting"]
        self.visitors += count

    def memory(self) -> int:
        """Return it after everyone was seen to be trusted."""
        answer = self.server.ask()
        assert answer["trusted"] == self.staying + self.visitors
        assert answer["delivered"] == self.visitors
        return answer["private"]


@contextlib.contextmanager
def opened(directory: Path, variant: str) -> Iterator[House]:
    settings = {"directory": directory}
    with (
        running("smtp_server.py", variant=variant, loop="asyncio", port=0, **settings) as server,
        running("smtp_load.py", **settings) as clients,
    ):
        yield House(VARIANTS[variant].certificate, server, clients)


def available_memory() -> int:
    """Return how many octets may be had without swapping."""
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    sizes = dict(line.split(":") for line in lines)
    return int(sizes["MemAvailable"].split()[0]) * 1024


@pytest.mark.parametrize("kind", ["P-256"], indirect=True)
def test_idle(clique, record, smoke):
    """All sessions are a trusted peer's, the idle ones as well as those that deliver."""
    with contextlib.ExitStack() as stack:
        houses = {v: stack.enter_context(opened(clique.directory, v)) for v in VARIANTS}
        files = min(house.clients.ready["files"] for house in houses.values())
        most = min(files - FILES, available_memory() // MEMORY // len(houses))
        counts = [count for count in IDLE[: 3 if smoke else None] if count <= most]
        memory = {variant: [] for variant in VARIANTS}
        for count in counts:
            for house in houses.values():
                house.ask_clients(idle=count - house.staying)
            for house in houses.values():
                house.clients.answer()
                house.staying = count
                house.waits.clear()
            for _ in range(1 if smoke else ROUNDS):
                for house in houses.values():
                    house.visit(1 if smoke else VISITORS)
            for variant, house in houses.items():
                memory[variant].append(house.memory())
                record(
                    f"SMTP greeting, {count} idle, {variant}", median(house.waits),
                    plot="idle", x=count, line=variant,
                )  # fmt: skip
    for variant, sizes in memory.items():
        one = (sizes[-1] - sizes[-2]) / (counts[-1] - counts[-2])
        record(f"memory of an idle SMTP session, {variant}", one, "B")
