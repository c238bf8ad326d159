"""``ccert check``: whether a chain would be trusted, with the setting off and on, and why not."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import warnings
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from ccert.cli.certificate import Details, details
from ccert.cli.hints import hint
from ccert.cli.presented import presented_chain
from ccert.errors import CcertError, ConfigError
from ccert.text import printable
from ccert.tls.chain import ChainVerifier
from ccert.tls.files import read_chain, read_file
from ccert.verdict import Trust, Verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["run"]

_MANY = 50  # files; from here on, show a progress bar
_FEW = 3  # names to show
_STYLES = {Trust.TRUSTED: "green", Trust.UNTRUSTED: "yellow"}


@dataclasses.dataclass(frozen=True)
class _Report:
    name: str
    certificates: list[Details]
    off: Verdict
    on: Verdict

    def chosen(self, setting: bool) -> Verdict:
        return self.on if setting else self.off

    def as_json(self, setting: bool) -> str:
        verdict = dataclasses.asdict(self.chosen(setting))
        del verdict["would_be"]  # never set here
        fields = {"file": self.name, **verdict, "trust": self.chosen(setting).trust.value}
        fields["certificates"] = [dataclasses.asdict(c) for c in self.certificates]
        return json.dumps(fields)  # ASCII: a certificate may contain terminal escapes

    def as_text(self, at: datetime.datetime) -> Iterator[Text]:
        yield Text(printable(self.name), style="bold")
        for depth, certificate in enumerate(self.certificates):
            yield Text(f"  {depth} {certificate.role:13}{_about(certificate, at)}")
        for word, verdict in (("off", self.off), ("on", self.on)):
            line = Text(f"  {word:3}  ")
            line.append(f"{verdict.trust.value:10}", style=_STYLES.get(verdict.trust, ""))
            line.append(_reason(verdict))
            yield line
        if self.on.pubkey_fingerprint:
            yield Text(f"  key  {self.on.pubkey_fingerprint}")
        if advice := self._advice():
            yield Text(f"  ->   {advice}")
        yield Text("")

    def _advice(self) -> str:
        leaf, *others = self.certificates
        if any(leaf.subject == other.issuer != other.subject for other in others):
            return "the order is wrong: the peer's own certificate comes first, then its issuer's"
        return hint(self.off, self.on)


def _about(certificate: Details, at: datetime.datetime) -> str:
    usages = ["any use"] if certificate.usages is None else certificate.usages or ["no use"]
    days = certificate.days_left(at)
    parts = [
        printable(certificate.subject or _some(certificate.names or [])) or "?",
        printable(certificate.problem) or ", ".join(usages),
        certificate.key,
        _lifetime(days),
    ]
    return "  |  ".join(part for part in parts if part)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(f"DNS:{name}" for name in names[:_FEW]) + more


def _lifetime(days: int | None) -> str:
    if days is None:
        return ""
    return f"expires in {days} days" if days >= 0 else f"EXPIRED {-days} days ago"


def _reason(verdict: Verdict) -> str:
    if verdict.trust is Trust.TRUSTED:
        return "as a server's chain" if verdict.trusted_as_server else "as a client's chain"
    return f"at depth {verdict.error_depth}: {verdict.error} ({verdict.error_code})"


def _from_file(name: str) -> tuple[str, list[bytes]]:
    what = f"chain file {name}"
    return name, read_chain(what, read_file("chain file", name))


def _from_server(address: str, starttls: str | None) -> tuple[str, list[bytes]]:
    return address, presented_chain(address, starttls)


class _Checker:
    def __init__(self, arguments: argparse.Namespace, at: datetime.datetime) -> None:
        self._at = at
        settings = {
            "cafile": arguments.cafile,
            "capath": arguments.capath,
            "verify_depth": arguments.verify_depth,
            "auth_level": arguments.auth_level,
        }
        self._off = ChainVerifier(**settings)
        self._on = ChainVerifier(**settings, trust_server_ccerts=True)

    def report(self, name: str, chain: list[bytes]) -> _Report:
        return _Report(
            name,
            [details(der, depth) for depth, der in enumerate(chain)],
            self._off.verify(chain, self._at),
            self._on.verify(chain, self._at),
        )


def _sources(arguments: argparse.Namespace) -> Iterator[tuple[str, list[bytes]] | CcertError]:
    readers = [functools.partial(_from_file, name) for name in arguments.file]
    if arguments.connect:
        readers.append(functools.partial(_from_server, arguments.connect, arguments.starttls))
    for read in readers:
        try:
            yield read()
        except CcertError as error:  # go on with the others
            yield error


def run(arguments: argparse.Namespace) -> int:
    """Report on each chain; return 0 if all are trusted, 1 if not, 2 for unusable input."""
    if not arguments.file and not arguments.connect:
        raise ConfigError("check: give a FILE or --connect HOST:PORT")
    if not arguments.cafile and not arguments.capath:
        raise ConfigError("check: give --cafile FILE or --capath DIR: the CAs that you would trust")
    if arguments.starttls and not arguments.connect:
        raise ConfigError("check: --starttls is for --connect")
    at = arguments.at or datetime.datetime.now(datetime.timezone.utc)
    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker = _Checker(arguments, at)
    for warning in caught[:1]:
        err.print(Text(f"ccert: warning: {warning.message}"), soft_wrap=True)
    count = len(arguments.file) + bool(arguments.connect)
    status = 0
    with Progress(
        console=err,
        transient=True,
        redirect_stdout=False,  # reports go to the real stdout
        redirect_stderr=False,
        disable=count < _MANY or not err.is_terminal or out.is_terminal,
    ) as progress:
        for source in progress.track(_sources(arguments), total=count, description="checking"):
            if isinstance(source, CcertError):
                err.print(Text(f"ccert: {printable(str(source))}"), soft_wrap=True)
                status = 2
                continue
            report = checker.report(*source)
            if arguments.json:
                print(report.as_json(arguments.trust_server_ccerts))
            else:
                for line in report.as_text(at):
                    out.print(line)
            if report.chosen(arguments.trust_server_ccerts).trust is not Trust.TRUSTED:
                status = max(status, 1)
    return status
