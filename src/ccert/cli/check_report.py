"""What ``ccert check`` reports of one chain."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from ccert.cli.hints import hint
from ccert.names import covers, dns_name
from ccert.text import printable
from ccert.verdict import Trust, Verdict

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator

    from ccert.cli.certificate import Details

__all__ = ["STYLES", "Report", "Row", "Wishes"]

STYLES = {Trust.TRUSTED: "green", Trust.UNTRUSTED: "yellow"}

_FEW = 3  # names to show


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What the command line asks for.

    Attributes:
        at: the moment to check for.
        setting: of ``trust_server_ccerts``, for JSON and the exit status.
        name: the certificate must be valid for this host; "": for any.
        warn_days: a chain that expires within so many days is marked.
        strict: a marked chain counts as one that is not trusted.
    """

    at: datetime.datetime
    setting: bool
    name: str
    warn_days: int
    strict: bool


class Row(NamedTuple):
    """What the summary tells of a chain."""

    name: str
    off: Trust
    on: Trust
    days_left: int | None
    advice: str


@dataclasses.dataclass(frozen=True)
class Report:
    """A chain, its verdicts, and the host that was asked for it ("": a file)."""

    name: str
    host: str
    certificates: list[Details]
    off: Verdict
    on: Verdict
    wishes: Wishes

    def is_fine(self) -> bool:
        """Return whether the chain is as it should be, for the exit status."""
        verdict, wishes = self._chosen(), self.wishes
        return (
            bool(verdict)
            and (not wishes.name or verdict.matches(wishes.name))
            and not (wishes.strict and self._ends_soon())
        )

    def as_json(self) -> str:
        """Return a line of JSON."""
        verdict = dataclasses.asdict(self._chosen())
        del verdict["would_be"]  # nothing here observes
        fields = {"file": self.name, **verdict}
        fields["days_left"] = self.days_left()
        fields["valid_for_host"] = self._is_valid_for_host()
        fields["certificates"] = [dataclasses.asdict(c) for c in self.certificates]
        return json.dumps(fields)  # ASCII: a certificate can contain terminal control characters

    def as_text(self) -> Iterator[Text]:
        """Return the lines for a reader."""
        yield Text(printable(self.name), style="bold")
        for depth, certificate in enumerate(self.certificates):
            yield Text(f"  {depth} {certificate.role:13}{_about(certificate, self.wishes.at)}")
        for word, verdict in (("off", self.off), ("on", self.on)):
            line = Text(f"  {word:3}  ")
            line.append(f"{verdict.trust:10}", style=STYLES.get(verdict.trust, ""))
            line.append(_reason(verdict))
            yield line
        if self.on.names:
            yield Text(f"  name {', '.join(self.on.names)}")
        if self.on.pubkey_fingerprint:
            yield Text(f"  key  {self.on.pubkey_fingerprint}")
        for warning in self._warnings():
            yield Text(f"  !    {warning}", style="red")
        if advice := self.advice():
            yield Text(f"  ->   {advice}")
        yield Text("")

    def row(self) -> Row:
        """Return the chain's row in the summary."""
        name = printable(self.name)
        return Row(name, self.off.trust, self.on.trust, self.days_left(), self.advice())

    def days_left(self) -> int | None:
        """Return the days to the first expiry in the chain; None if none can be read."""
        days = [certificate.days_left(self.wishes.at) for certificate in self.certificates]
        return min((each for each in days if each is not None), default=None)

    def advice(self) -> str:
        """Return what to do; "" if there is nothing to do."""
        leaf, *others = self.certificates
        if any(leaf.subject == other.issuer != other.subject for other in others):
            return "the order is wrong: the peer's own certificate comes first, then its issuer's"
        return hint(self.off, self.on)

    def _chosen(self) -> Verdict:
        return self.on if self.wishes.setting else self.off

    def _warnings(self) -> Iterator[str]:
        if self._is_valid_for_host() is False:
            yield f"not valid for the host that was asked, {printable(self.host)}"
        if self.wishes.name and not self.on.matches(self.wishes.name):
            yield f"not valid for {self.wishes.name}"
        if self._ends_soon():
            yield f"expires in {self.days_left()} days: ask the peer to renew it"

    def _ends_soon(self) -> bool:
        days = self.days_left()
        return days is not None and 0 <= days <= self.wishes.warn_days

    def _is_valid_for_host(self) -> bool | None:
        """Return None for a file, an address, and names that cannot be read."""
        names = self.certificates[0].names
        if not self.host or _is_address(self.host) or names is None:
            return None
        host = self.host.lower().removesuffix(".")
        return any(covers(dns_name(name.encode()), host) for name in names)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


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
    if verdict:
        return "as a server's chain" if verdict.trusted_as_server else "as a client's chain"
    return f"at depth {verdict.error_depth}: {verdict.error} ({verdict.error_code})"
