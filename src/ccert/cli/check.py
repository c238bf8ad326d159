"""``ccert check``: whether a chain would be trusted, with the setting off and on, and why not."""

from __future__ import annotations

import concurrent.futures
import datetime
import functools
import warnings
from typing import TYPE_CHECKING, Literal, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from ccert.cli.certificate import details
from ccert.cli.chain_file import chain_in
from ccert.cli.check_report import STYLES, Report, Wishes
from ccert.cli.presented import Server, presented_chain, servers_in
from ccert.errors import CcertError, ConfigError
from ccert.names import host_name
from ccert.text import printable
from ccert.tls.chain import ChainVerifier

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

__all__ = ["run"]

_MANY = 50  # from this number of chains on, show a progress bar
_AT_A_TIME = 8  # connections
_PIPE_WIDTH = 10_000  # wider than any row


class _Source(NamedTuple):
    name: str
    host: str
    chain: list[bytes]


def _from_file(name: str) -> _Source:
    return _Source(name, "", chain_in(name))


def _from_server(server: Server, starttls: str | None) -> _Source:
    return _Source(str(server), server.host, presented_chain(server, starttls))


def _attempt(read: Callable[[], _Source]) -> _Source | CcertError:
    try:
        return read()
    except CcertError as error:  # check the others anyway
        return error


def _sources(
    files: list[str], servers: list[Server], starttls: str | None
) -> Iterator[_Source | CcertError]:
    for name in files:
        yield _attempt(functools.partial(_from_file, name))
    if not servers:
        return
    pool = concurrent.futures.ThreadPoolExecutor(_AT_A_TIME)
    try:
        reads = [functools.partial(_from_server, server, starttls) for server in servers]
        yield from pool.map(_attempt, reads)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Checker:
    def __init__(self, arguments: argparse.Namespace, wishes: Wishes) -> None:
        self._wishes = wishes
        settings = {
            "cafile": arguments.cafile,
            "capath": arguments.capath,
            "verify_depth": arguments.verify_depth,
            "auth_level": arguments.auth_level,
        }
        self._off = ChainVerifier(**settings)
        self._on = ChainVerifier(**settings, trust_server_ccerts=True)

    def report(self, source: _Source) -> Report:
        return Report(
            source.name,
            source.host,
            [details(der, depth) for depth, der in enumerate(source.chain)],
            self._off.verify(source.chain, self._wishes.at),
            self._on.verify(source.chain, self._wishes.at),
            self._wishes,
        )


def _wishes(arguments: argparse.Namespace) -> Wishes:
    try:
        name = host_name(arguments.name) if arguments.name else ""
    except ValueError as error:
        raise ConfigError(f"check: --name {error}") from None
    return Wishes(
        at=arguments.at or datetime.datetime.now(datetime.timezone.utc),
        setting=arguments.trust_server_ccerts,
        name=name,
        warn_days=arguments.warn_days,
        strict=arguments.strict,
    )


class _Summary:
    """The table at the end; of many chains it lists only those that need something done."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._table = Table(box=SIMPLE_HEAD)
        for column in ("chain", "off", "on", "days left", "what to do"):
            justify: Literal["left", "right"] = "right" if "days" in column else "left"
            self._table.add_column(column, overflow="fold", justify=justify)

    def add(self, report: Report) -> None:
        days, advice = report.days_left(), report.advice()
        if self._count > _MANY and not advice:
            return
        self._table.add_row(
            Text(printable(report.name)),
            *(
                Text(str(verdict.trust), style=STYLES.get(verdict.trust, ""))
                for verdict in (report.off, report.on)
            ),
            "" if days is None else str(days),
            advice,
        )

    def print(self) -> None:
        if self._count > 1 and self._table.row_count:
            console = Console(highlight=False, markup=False)
            if not console.is_terminal:  # a row is a line: grep finds a path that is not folded
                console.width = _PIPE_WIDTH
            console.print(self._table)


def _servers(arguments: argparse.Namespace) -> list[Server]:
    servers = [Server.parse(f"--connect {text}", text) for text in arguments.connect]
    if arguments.peers:
        servers += servers_in(arguments.peers, 25 if arguments.starttls else 465)
    if not arguments.file and not servers:
        raise ConfigError("check: give a FILE, --connect HOST:PORT or --peers FILE")
    if not arguments.cafile and not arguments.capath:
        raise ConfigError("check: give --cafile FILE or --capath DIR: the CAs that you would trust")
    if arguments.starttls and not servers:
        raise ConfigError("check: --starttls is for --connect and --peers")
    return servers


def run(arguments: argparse.Namespace) -> int:
    """Report on each chain; return the exit status: 0 all trusted, 1 not, 2 unusable input."""
    servers = _servers(arguments)
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker = _Checker(arguments, _wishes(arguments))
    for warning in caught[:1]:
        err.print(Text(f"ccert: warning: {warning.message}"), soft_wrap=True)
    count = len(arguments.file) + len(servers)
    summary = _Summary(count)
    status = 0
    with Progress(
        console=err,
        transient=True,
        redirect_stdout=False,  # reports go to the real stdout
        redirect_stderr=False,
        disable=(count < _MANY and len(servers) <= 1) or not err.is_terminal or out.is_terminal,
    ) as progress:
        sources = _sources(arguments.file, servers, arguments.starttls)
        for source in progress.track(sources, total=count, description="checking"):
            if isinstance(source, CcertError):
                err.print(Text(f"ccert: {printable(str(source))}"), soft_wrap=True)
                status = 2
                continue
            report = checker.report(source)
            if arguments.json:
                print(report.as_json())
            else:
                for line in report.as_text():
                    out.print(line)
                summary.add(report)
            status = max(status, 0 if report.is_fine() else 1)
    if not arguments.json:
        summary.print()
    return status
