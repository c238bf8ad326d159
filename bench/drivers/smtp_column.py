"""A column of the benches of whole SMTP sessions: a server, and what it did under load."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter, defaultdict
from statistics import median, quantiles

from process import Process, running
from variants import VARIANTS


@dataclasses.dataclass
class Column:
    """One column of the bench: processes that share a port, or Postfix; and what it did.

    Attributes:
        certificate: of the clients.
        port: of the server.
        workers: its processes; none for Postfix.
        clients: at once, of each load.
        rounds: what came of each.
        times: of all sessions, see smtp_load.py.
    """

    certificate: str
    port: int
    workers: list[Process] = dataclasses.field(default_factory=list)
    clients: int = 4
    rounds: list[dict[str, float]] = dataclasses.field(default_factory=list)
    times: dict[str, list[float]] = dataclasses.field(default_factory=lambda: defaultdict(list))

    def play(self, loads: list[Process], sessions: int) -> None:
        """Put it under load once."""
        before = self._totals()
        load = {"certificate": self.certificate, "port": self.port}
        for process in loads:
            process.tell(sessions=sessions, threads=self.clients, **load)
        results = [process.answer() for process in loads]
        gained = self._totals() - before
        count = sessions * len(loads)
        if self.workers:
            assert (gained["delivered"], gained["trusted"]) == (count, count)
        wall = max(r["end"] for r in results) - min(r["start"] for r in results)
        self.rounds.append(
            {
                "rate": count / wall,
                "client_cpu": sum(r["cpu"] for r in results) / count,
                "cpu": gained["cpu"] / count,
                "busy": gained["cpu"] / wall,
            }
        )
        for result in results:
            for what in ("handshake", "greeting", "whole"):
                self.times[what] += result[what]

    def _totals(self) -> Counter[str]:
        totals = Counter()
        for worker in self.workers:
            totals.update(worker.ask())
        return totals

    def record(self, record, name: str, **about) -> None:
        rates = [found["rate"] for found in self.rounds]
        medians = {key: median(found[key] for found in self.rounds) for key in self.rounds[0]}
        if not self.workers:
            del medians["cpu"], medians["busy"]  # unknown
        record(
            f"SMTP sessions, {name}", medians.pop("rate"), "1/s",
            range=[min(rates), max(rates)], **medians, **({"plot": "smtp"} | about),
        )  # fmt: skip
        if self.workers:
            record(f"SMTP CPU, {name}", medians["cpu"])
        for what, times in self.times.items():
            hundredths = quantiles(times, n=100)
            record(f"SMTP {what} p50, {name}", hundredths[49])
            record(f"SMTP {what} p99, {name}", hundredths[98])

    def forget(self) -> None:
        self.rounds.clear()
        self.times.clear()


@contextlib.contextmanager
def started(directory, variant: str, loop: str, workers: int):
    """Run a server of so many processes until the block ends."""
    settings = {"directory": directory, "variant": variant, "loop": loop}
    with contextlib.ExitStack() as stack:
        processes, port = [], 0
        for _ in range(workers):
            process = stack.enter_context(running("smtp_server.py", port=port, **settings))
            processes.append(process)
            port = process.ready["port"]
        yield Column(VARIANTS[variant].certificate, port, processes)
