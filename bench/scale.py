"""Show how handshakes scale over the threads and the processes of this machine.

Usage: make bench-scale.  Full and resumed TLS 1.3 handshakes in memory, both ends, P-256: on ccert,
on ``ssl``'s default, and in a loop of C.  Prints handshakes a second and the gain over one; draws
the gains.  Threads share the server's context, processes have one each.
"""

from __future__ import annotations

import itertools
import os
import ssl
import statistics
import sys
import tempfile
from pathlib import Path

import contexts
import matplotlib as mpl
from c_programs import compile_c
from certificates import write_certificates
from ends import Handshakes, new_ssl
from loop import Library, Loop
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table
from together import Runs, in_processes, in_threads

SECONDS = 0.4  # of one measurement
ROUNDS = 3
KINDS = ("threads", "processes")
PARTIES = ("ccert", "ccert, resumed", "ssl", "ssl, resumed", "bare C", "bare C, resumed")
COLOURS = {"ccert": "#0072b2", "ssl": "#e69f00", "bare C": "#999999"}

Rates = dict[tuple[str, str, int], float]  # by kind, party, and how many of them


class Makers:
    """Makes handshakes of each party, on contexts that are shared in this process."""

    def __init__(self, directory: Path, loop: Path) -> None:
        self._directory = directory
        self._library = Library(loop)
        self._servers = {"ccert": contexts.server(directory), "ssl": contexts.default(directory)}

    def make(self, party: str) -> Runs:
        """Make them, with a client's context of their own."""
        name, _, resumed = party.partition(", ")
        client = contexts.client(self._directory, "client" if name == "ssl" else "peer")
        if name == "bare C":
            return Loop(self._library, self._servers["ccert"], client, resume=bool(resumed))
        return Handshakes(new_ssl(self._servers[name]), client, resume=bool(resumed))


def make(directory: Path, loop: Path, party: str) -> Runs:
    """Make them in a process of their own."""
    return Makers(directory, loop).make(party)


def sizes() -> list[int]:
    """Return 1, 2, 4 and so on, up to what the machine has."""
    most = os.cpu_count() or 1
    return [*itertools.takewhile(lambda n: n < most, (2**i for i in range(20))), most]


def measure(directory: Path) -> Rates:
    """Return handshakes a second."""
    write_certificates(directory)
    loop = compile_c("handshake.c", directory / "handshake.so", "-shared", "-fPIC")
    makers = Makers(directory, loop)
    rates = {}
    cells = list(itertools.product(PARTIES, sizes()))
    for party, n in track(cells, "measuring", console=Console(stderr=True)):
        several = [makers.make(party) for _ in range(n)]
        in_threads(several, 5)  # what is made once
        count = max(5, int(100 * SECONDS / in_threads(several[:1], 100)))
        times = {
            "threads": [in_threads(several, count) for _ in range(ROUNDS)],
            "processes": in_processes(make, (directory, loop, party), n, count, ROUNDS),
        }
        for kind, took in times.items():
            rates[kind, party, n] = n * count / statistics.median(took)
    return rates


def table(rates: Rates, kind: str) -> Table:
    made = Table(title=f"handshakes/s in {kind}, and the gain over one; {ssl.OPENSSL_VERSION}")
    for heading in (kind, *PARTIES):
        made.add_column(heading.replace(", ", "\n"), justify="right")
    for n in sizes():
        found = [(rates[kind, party, n], rates[kind, party, 1]) for party in PARTIES]
        made.add_row(str(n), *(f"{rate:,.0f} ({rate / one:.2f})" for rate, one in found))
    return made


def draw(rates: Rates, path: str) -> None:
    with mpl.rc_context({"svg.fonttype": "none", "axes.grid": True, "font.size": 9}):
        figure = Figure((9, 3.4), layout="constrained")
        panels = figure.subplots(1, len(KINDS), sharey=True)
        for axes, kind in zip(panels, KINDS, strict=True):
            for party in PARTIES:
                name, _, resumed = party.partition(", ")
                gains = [rates[kind, party, n] / rates[kind, party, 1] for n in sizes()]
                line = "--" if resumed else "-"
                axes.plot(sizes(), gains, f".{line}", color=COLOURS[name], label=party)
            axes.set(xlabel=kind, ylim=(0, None))
        panels[0].set_ylabel("gain over one")
        panels[0].legend()
        figure.savefig(path)


def main(svg: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        rates = measure(Path(directory))
    for kind in KINDS:
        Console(width=100).print(table(rates, kind))
    draw(rates, svg)
    print(f"drawn: {svg}")


if __name__ == "__main__":
    main(*sys.argv[1:])
