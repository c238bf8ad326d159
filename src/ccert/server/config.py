"""The configuration of ``ccert serve``, from a file and from options, checked before anything else.

All errors are reported at once, each with its file and line, or its option.
"""

from __future__ import annotations

import dataclasses
import difflib
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from ccert.errors import ConfigError
from ccert.server.config_values import (
    endpoints,
    hostname,
    number,
    one_of,
    seconds,
    table,
    text,
    yes_no,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ccert.server.config_file import Assignment
    from ccert.server.endpoint import Endpoint

__all__ = ["Config", "configure", "narrowed"]


def _parameter(convert: Callable[[str], Any], *, default: Any) -> Any:  # noqa: ANN401 - any type
    return dataclasses.field(default=default, metadata={"convert": convert})


@dataclasses.dataclass(frozen=True)
class Config:
    """The parameters by name, Postfix's where it has one: see postconf(5).

    Postfix does not have ``listen``, ``tls_listen``, ``maildir``, ``workers``,
    ``shutdown_timeout``, ``allow_system_cas``, ``require_trusted`` and ``relay_clientnames``.
    ``check_ccert_access`` and ``check_policy_service`` are words of its
    ``smtpd_recipient_restrictions``.
    """

    listen: tuple[Endpoint, ...] = _parameter(endpoints, default=())
    tls_listen: tuple[Endpoint, ...] = _parameter(endpoints, default=())
    maildir: str = _parameter(text, default="")
    workers: int = _parameter(number(1), default=1)
    shutdown_timeout: int = _parameter(seconds, default=60)

    myhostname: str = _parameter(hostname, default="")
    default_process_limit: int = _parameter(number(1), default=100)
    smtpd_client_connection_count_limit: int = _parameter(number(0), default=50)
    message_size_limit: int = _parameter(number(0), default=10_240_000)
    smtpd_timeout: int = _parameter(seconds, default=300)
    smtpd_starttls_timeout: int = _parameter(seconds, default=300)

    smtpd_tls_cert_file: str = _parameter(text, default="")
    smtpd_tls_key_file: str = _parameter(text, default="")
    smtpd_tls_CAfile: str = _parameter(text, default="")  # noqa: N815 - Postfix's name
    smtpd_tls_CApath: str = _parameter(text, default="")  # noqa: N815 - likewise
    smtpd_tls_security_level: str = _parameter(one_of("may", "encrypt"), default="")
    smtpd_tls_ask_ccert: bool = _parameter(yes_no, default=True)
    smtpd_tls_req_ccert: bool = _parameter(yes_no, default=False)
    smtpd_tls_ccert_verifydepth: int = _parameter(number(0), default=9)
    tls_trust_server_ccerts: str = _parameter(one_of("no", "observe", "yes"), default="no")
    allow_system_cas: bool = _parameter(yes_no, default=False)

    require_trusted: bool = _parameter(yes_no, default=False)
    check_ccert_access: str = _parameter(table, default="")
    relay_clientcerts: str = _parameter(table, default="")
    relay_clientnames: str = _parameter(table, default="")
    check_policy_service: str = _parameter(text, default="")
    smtpd_policy_service_timeout: int = _parameter(seconds, default=100)
    smtpd_policy_service_default_action: str = _parameter(
        text, default="451 4.3.5 Server configuration problem"
    )


class _Rule(NamedTuple):
    """A parameter, whether it has no effect, why, and because of which other parameter."""

    parameter: str
    is_broken: object
    problem: str
    because: str


_PARAMETERS = {field.name: field for field in dataclasses.fields(Config)}


def configure(
    file: Iterable[Assignment], options: Iterable[Assignment], errors: list[str]
) -> Config:
    """Make the configuration: options override the file; defaults apply to the rest.

    Args:
        file: the file's assignments.
        options: the command line's assignments.
        errors: errors found so far.

    Raises:
        ConfigError: with all errors, those given and those found here, one per line.
    """
    given: dict[str, Assignment] = {}
    for assignment in file:
        earlier = given.setdefault(assignment.name, assignment)
        if earlier is not assignment:
            errors.append(
                f"{assignment.origin}: {assignment.name} is given twice: {earlier.origin}"
            )
    given |= {assignment.name: assignment for assignment in options}
    values: dict[str, Any] = {}
    for name, assignment in given.items():
        if name not in _PARAMETERS:
            errors.append(f"{assignment.origin}: unknown parameter {name}{_suggestion(name)}")
            continue
        try:
            values[name] = _PARAMETERS[name].metadata["convert"](assignment.value)
        except ValueError as error:
            errors.append(f"{assignment.origin}: {name}: {error}")
    if not errors:
        config = Config(**values)
        errors.extend(_contradictions(config, given))
    if errors:
        raise ConfigError("\n".join(errors))
    return _completed(config)


def narrowed(config: Config) -> bool:
    """Tell whether anything besides a CA decides who may send."""
    return bool(
        config.relay_clientnames
        or config.relay_clientcerts
        or config.check_ccert_access
        or config.check_policy_service
    )


def _suggestion(name: str) -> str:
    by_lower = {known.lower(): known for known in _PARAMETERS}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.8)
    return f": is {by_lower[close[0]]} meant?" if close else ""


def _contradictions(config: Config, given: dict[str, Assignment]) -> Iterable[str]:
    """Report what is missing, and what would have no effect because of another parameter."""
    for name, option in (("smtpd_tls_cert_file", "--cert"), ("maildir", "--maildir")):
        if not getattr(config, name):
            yield f"{name} ({option}) is missing"
    asks = config.smtpd_tls_ask_ccert
    cas = config.smtpd_tls_CAfile or config.smtpd_tls_CApath or config.allow_system_cas
    unasked = "has no effect if no certificate is asked for"
    no_cas = "refuses everybody without a trusted CA: give smtpd_tls_CAfile"
    no_service = "has no effect without check_policy_service"
    rules = (
        ("tls_trust_server_ccerts", not asks, unasked, "smtpd_tls_ask_ccert"),
        ("smtpd_tls_req_ccert", not asks, unasked, "smtpd_tls_ask_ccert"),
        ("require_trusted", not asks, unasked, "smtpd_tls_ask_ccert"),
        ("check_ccert_access", not asks, unasked, "smtpd_tls_ask_ccert"),
        ("relay_clientcerts", not asks, unasked, "smtpd_tls_ask_ccert"),
        ("relay_clientnames", not asks, unasked, "smtpd_tls_ask_ccert"),
        ("relay_clientnames", not cas, no_cas, ""),
        ("smtpd_tls_req_ccert", not cas, no_cas, ""),
        ("require_trusted", not cas, no_cas, ""),
        (
            "smtpd_tls_req_ccert",
            config.smtpd_tls_security_level == "may",
            "is no requirement for clients without TLS: encrypt must be the security level",
            "smtpd_tls_security_level",
        ),
        (
            "smtpd_tls_req_ccert",
            config.tls_trust_server_ccerts == "observe",
            "leaves nothing to observe: the handshakes of those in question fail",
            "tls_trust_server_ccerts",
        ),
        ("smtpd_policy_service_timeout", not config.check_policy_service, no_service, ""),
        ("smtpd_policy_service_default_action", not config.check_policy_service, no_service, ""),
    )
    for rule in map(_Rule._make, rules):
        name, because = rule.parameter, ""
        if rule.is_broken and name in given and getattr(config, name) not in {"", "no", False}:
            if rule.because in given:
                because = f" ({rule.because}: {given[rule.because].origin})"
            yield f"{given[name].origin}: {name} {rule.problem}{because}"


def _completed(config: Config) -> Config:
    """Fill in the defaults that depend on other parameters or on the system."""
    level = config.smtpd_tls_security_level
    return dataclasses.replace(
        config,
        listen=config.listen if config.listen or config.tls_listen else endpoints("127.0.0.1:8025"),
        myhostname=config.myhostname or socket.getfqdn(),
        smtpd_tls_security_level=level or ("encrypt" if config.smtpd_tls_req_ccert else "may"),
    )
