"""Plots of a run, from its JSON alone: the same JSON makes the same SVG, octet by octet.

A measurement says with ``plot`` where it belongs, with ``x`` and ``line`` where in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from report import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

__all__ = ["draw"]

STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": "#dddddd",
    "svg.fonttype": "none",
    "svg.hashsalt": "ccert",
}
LINES = {"ccert": ("#0072b2", -0.2), "ssl's default": ("#e69f00", 0.2), "Postfix": ("#999999", 0)}
GROWTH = (
    ("chain", "certificates in the client's chain", "ms of the server a handshake"),
    ("anchors", "trusted CAs", "ms of the server a handshake"),
    ("idle", "idle sessions meanwhile", "ms from STARTTLS to EHLO's 250"),
)
VERIFIERS = {
    "test_nothing_native": "nothing native",
    "test_pyhanko": "pyhanko-certvalidator",
    "test_pyopenssl": "pyOpenSSL (checks no usage)",
    "test_cryptography": "cryptography",
    "test_ccert_cold": "ccert, nothing cached",
    "test_ccert": "ccert",
    "signatures in C": "the two signatures alone",
}  # measurement, label; slowest first, at the bottom

RANGE = {"ecolor": "#333333", "elinewidth": 1}

Measurements = list[dict[str, Any]]


def draw(run: dict[str, Any], directory: Path) -> None:
    """Write the plots into the directory."""
    for figure in (offline, smtp, growth, memory):
        with mpl.rc_context(STYLE):
            path = directory / f"{figure.__name__}.svg"
            drawn = figure(run["measurements"])
            drawn.savefig(path, metadata={"Creator": None, "Date": None})


def offline(measurements: Measurements) -> Figure:
    """Draw how long each verifier takes; dots, as bars on a logarithmic scale would lie."""
    figure = Figure((7, 2.8), layout="constrained")
    axes = figure.subplots()
    for kind, marker in zip(KINDS, "os", strict=True):
        found = {m["name"]: m["value"] * 1e6 for m in measurements if m["kind"] == kind}
        times = [found.get(name) for name in VERIFIERS]
        axes.plot(times, range(len(times)), marker, label=kind, fillstyle="none")
    axes.set_yticks(range(len(VERIFIERS)), VERIFIERS.values())
    axes.set(xscale="log", xlabel="µs to verify a chain of three, from DER (lower is better)")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend()
    return figure


def smtp(measurements: Measurements) -> Figure:
    """Draw bars of sessions per second, with the range of the rounds."""
    figure = Figure((9, 3.4), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), KINDS, strict=True):
        found = [m for m in belonging(measurements, "smtp") if m["kind"] == kind]
        places = list(dict.fromkeys(m["place"] for m in found))
        for line, (colour, beside) in LINES.items():
            bars = [m for m in found if m["line"] == line]
            rates = [m["value"] for m in bars]
            errors = [
                [m["value"] - m["range"][0] for m in bars],
                [m["range"][1] - m["value"] for m in bars],
            ]
            x = [places.index(m["place"]) + beside for m in bars]
            axes.bar(x, rates, 0.38, yerr=errors, label=line, color=colour, error_kw=RANGE)
        axes.set_xticks(range(len(places)), [place.replace(", ", "\n") for place in places])
        axes.grid(visible=False, axis="x")
        axes.set_title(kind)
    figure.axes[0].set_ylabel("SMTP sessions per second")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def growth(measurements: Measurements) -> Figure:
    """Draw what each handshake costs, over what it may depend on."""
    figure = Figure((9, 3), layout="constrained")
    for axes, (plot, xlabel, ylabel) in zip(figure.subplots(1, 3), GROWTH, strict=True):
        curves(axes, belonging(measurements, plot), 1e3)
        axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    figure.axes[0].legend()
    figure.axes[2].set_xscale("log")
    return figure


def memory(measurements: Measurements) -> Figure:
    """Draw what a process occupies after so many handshakes."""
    figure = Figure((6, 3), layout="constrained")
    axes = figure.subplots()
    curves(axes, belonging(measurements, "handshakes"), 1e-6)
    axes.set(xlabel="handshakes, every second one resumed", ylabel="MB, private", ylim=(0, None))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(loc="lower right")
    return figure


def belonging(measurements: Measurements, plot: str) -> Measurements:
    return [each for each in measurements if each.get("plot") == plot]


def curves(axes: Axes, measurements: Measurements, factor: float) -> None:
    for line in dict.fromkeys(m["line"] for m in measurements):
        mine = [m for m in measurements if m["line"] == line]
        x, y = [m["x"] for m in mine], [m["value"] * factor for m in mine]
        axes.plot(x, y, marker=".", label=line, color=LINES[line][0])
