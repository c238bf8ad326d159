"""Check chains one after the other, or many files in several processes, in order."""

from __future__ import annotations

import collections
import concurrent.futures
import io
import itertools
import multiprocessing
import os
import signal
import threading
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console

from ccert.cli.certificate import details
from ccert.cli.chain_file import chain_in
from ccert.cli.check_report import Report, Row
from ccert.errors import CcertError
from ccert.text import printable
from ccert.tls.chain import ChainVerifier
from ccert.tls.settings import too_many_anchors

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from ccert.cli.check_report import Wishes

__all__ = ["Checker", "Outcome", "check_files", "unreadable"]

_CHUNK = 50  # files that a process gets at a time
_AHEAD = 4  # chunks for each process


class Outcome(NamedTuple):
    """What is to be printed of a chain.

    Attributes:
        text: the report.
        row: for the summary; None: the chain could not be read.
        is_fine: see :meth:`Report.is_fine`.
        error: why the chain could not be read.
    """

    text: str
    row: Row | None
    is_fine: bool
    error: str


class Checker:
    """Makes the outcome of each chain; pickles.

    Args:
        arguments: the command's.
        wishes: made of them.
        color_system: of the terminal, as rich names it; None: reports go elsewhere.
    """

    def __init__(
        self, arguments: argparse.Namespace, wishes: Wishes, color_system: str | None
    ) -> None:
        self._wishes = wishes
        self._json = arguments.json
        self._color_system = color_system
        self._verifier = ChainVerifier(
            cafile=arguments.cafile,
            capath=arguments.capath,
            verify_depth=arguments.verify_depth,
            auth_level=arguments.auth_level,
            trust_server_ccerts="observe",
        )

    def warning(self) -> str:
        """Return what to warn of; "" if there is nothing."""
        return too_many_anchors(self._verifier.trusted_cas)

    def file(self, name: str) -> Outcome:
        """Check a file's chain."""
        try:
            return self.check(name, "", chain_in(name))
        except CcertError as error:  # check the others anyway
            return unreadable(error)

    def check(self, name: str, host: str, chain: list[bytes]) -> Outcome:
        """Check a chain; ``host``: that was asked for it; "": nobody was."""
        off = self._verifier.verify(chain, self._wishes.at)
        report = Report(
            name,
            host,
            [details(der, depth) for depth, der in enumerate(chain)],
            off,
            off if off.would_be is None else off.would_be,
            self._wishes,
        )
        text = f"{report.as_json()}\n" if self._json else self._rendered(report)
        return Outcome(text, report.row(), report.is_fine(), "")

    def _rendered(self, report: Report) -> str:
        terminal = self._color_system is not None
        console = Console(
            file=io.StringIO(),
            highlight=False,
            soft_wrap=True,
            force_terminal=terminal,
            color_system=self._color_system,  # type: ignore[arg-type] # one of rich's words
        )
        for line in report.as_text():
            console.print(line)
        return console.file.getvalue()  # type: ignore[attr-defined,no-any-return] # a StringIO


def unreadable(error: CcertError) -> Outcome:
    """Return the outcome of a chain that could not be read."""
    return Outcome("", None, is_fine=False, error=printable(str(error)))


def check_files(checker: Checker, names: list[str], jobs: int) -> Iterator[Outcome]:
    """Yield the outcome of each file, in order; memory does not grow with their number.

    Raises:
        CcertError: a process was killed.
    """
    jobs = min(jobs, -(-len(names) // _CHUNK))  # rounded up
    if jobs <= 1:
        yield from map(checker.file, names)
        return
    with concurrent.futures.ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), _begin, (checker,)
    ) as pool:
        try:
            yield from _in_order(pool, names, jobs * _AHEAD)
        except concurrent.futures.process.BrokenProcessPool as error:
            raise CcertError("check: a process was killed; is there too little memory?") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_order(pool: concurrent.futures.Executor, names: list[str], ahead: int) -> Iterator[Outcome]:
    starts = iter(range(0, len(names), _CHUNK))
    futures = collections.deque(
        pool.submit(_check_chunk, names[at : at + _CHUNK]) for at in itertools.islice(starts, ahead)
    )
    while futures:
        yield from futures.popleft().result()
        for at in itertools.islice(starts, 1):
            futures.append(pool.submit(_check_chunk, names[at : at + _CHUNK]))


# -- in a process of the pool --

_checkers: list[Checker] = []  # one


def _begin(checker: Checker) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _checkers[:] = [checker]


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _check_chunk(names: Iterable[str]) -> list[Outcome]:
    (checker,) = _checkers
    return list(map(checker.file, names))
