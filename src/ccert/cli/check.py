"""``ccert check``: whether a chain would be trusted, with the setting off and on, and why not."""

from __future__ import annotations

import concurrent.futures
import datetime
import functools
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from ccert.cli.check_jobs import Checker, Outcome, check_files, unreadable
from ccert.cli.check_report import STYLES, Wishes
from ccert.cli.presented import Server, presented_chain, servers_in
from ccert.errors import CcertError, ConfigError
from ccert.names import host_name

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ccert.cli.check_report import Row

__all__ = ["run"]

_MANY = 50  # from this number of chains on, show a progress bar
_AT_A_TIME = 8  # connections
_PIPE_WIDTH = 10_000  # wider than any row


def _from_server(server: Server, starttls: str | None, checker: Checker) -> Outcome:
    try:
        chain = presented_chain(server, starttls)
    except CcertError as error:  # check the others anyway
        return unreadable(error)
    return checker.check(str(server), server.host, chain)


def _check_servers(
    checker: Checker, servers: list[Server], starttls: str | None
) -> Iterator[Outcome]:
    pool = concurrent.futures.ThreadPoolExecutor(_AT_A_TIME)
    try:
        check = functools.partial(_from_server, starttls=starttls, checker=checker)
        yield from pool.map(check, servers)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _files(names: list[str]) -> list[str]:
    """Replace each directory by its files, in the order of their names."""
    files: list[str] = []
    for name in names:
        if not name:
            raise ConfigError("check: the name of a file is empty")
        path = Path(name)
        if path.is_dir():
            try:
                within = [p for p in path.iterdir() if not p.name.startswith(".") and p.is_file()]
            except OSError as error:
                raise ConfigError(f"check: {name}: {error.strerror}") from error
            if not within:
                raise ConfigError(f"check: {name}: there is no file in this directory")
            files += sorted(map(str, within))
        else:
            files.append(name)
    return files


def _wishes(arguments: argparse.Namespace) -> Wishes:
    try:
        name = host_name(arguments.name) if arguments.name is not None else ""
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

    def add(self, row: Row) -> None:
        if self._count > _MANY and not row.advice:
            return
        self._table.add_row(
            Text(row.name),
            *(Text(str(trust), style=STYLES.get(trust, "")) for trust in (row.off, row.on)),
            "" if row.days_left is None else str(row.days_left),
            row.advice,
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
    files = _files(arguments.file)
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True)
    checker = Checker(arguments, _wishes(arguments), out.color_system if out.is_terminal else None)
    if warning := checker.warning():
        err.print(Text(f"ccert: warning: {warning}"), soft_wrap=True)
    count = len(files) + len(servers)
    summary = _Summary(count)
    status = 0
    with Progress(
        console=err,
        transient=True,
        redirect_stdout=False,  # reports go to the real stdout
        redirect_stderr=False,
        disable=(count < _MANY and len(servers) <= 1) or not err.is_terminal or out.is_terminal,
    ) as progress:
        outcomes = itertools.chain(
            check_files(checker, files, arguments.jobs),
            _check_servers(checker, servers, arguments.starttls),
        )
        for outcome in progress.track(outcomes, total=count, description="checking"):
            sys.stdout.write(outcome.text)
            if outcome.row is None:
                err.print(Text(f"ccert: {outcome.error}"), soft_wrap=True)
                status = 2
                continue
            if not arguments.json:
                summary.add(outcome.row)
            status = max(status, 0 if outcome.is_fine else 1)
    summary.print()
    return status
