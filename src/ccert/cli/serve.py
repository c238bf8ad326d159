"""``ccert serve``: a mail server, from options and a file, until it is told to stop."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from ccert.errors import ConfigError
from ccert.server.config import configure
from ccert.server.config_file import Assignment, read_assignments
from ccert.server.master import Master
from ccert.text import printable

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]

_CLIENT_CERTS = {  # the two parameters for each choice
    "ask": {"smtpd_tls_ask_ccert": "yes", "smtpd_tls_req_ccert": "no"},
    "require": {"smtpd_tls_ask_ccert": "yes", "smtpd_tls_req_ccert": "yes"},
}


class _OneLine(logging.Formatter):
    """Formats each record as one line: text from a client cannot begin another."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        return printable(line)


def run(arguments: argparse.Namespace) -> int:
    """Serve; return the exit status."""
    _log_to_stderr(verbose=arguments.verbose)
    try:
        file, errors = read_assignments(arguments.config) if arguments.config else ([], [])
        config = configure(file, _assignments(arguments), errors)
        master = Master(config)
    except ConfigError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"ccert: {printable(line)}\n")
        return 2
    master.run()
    return 0


def _assignments(arguments: argparse.Namespace) -> list[Assignment]:
    """Return the assignments of the options."""
    given = [
        (getattr(arguments, parameter), parameter, option)
        for option, parameter in arguments.options.items()
    ]
    assignments = [
        Assignment(parameter, value if isinstance(value, str) else " ".join(value), option)
        for value, parameter, option in given
        if value is not None
    ]
    for assignment in assignments:
        if not assignment.value:  # an unset variable of a script; a table left out lets all in
            raise ConfigError(f"{assignment.origin}: the value is empty")
    if arguments.client_certs:
        assignments += [
            Assignment(name, value, f"--client-certs {arguments.client_certs}")
            for name, value in _CLIENT_CERTS[arguments.client_certs].items()
        ]
    return assignments


def _log_to_stderr(*, verbose: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(asctime)s ccert[%(process)d]: %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # aiosmtpd logs each command there, and warns that certificates are required
    logging.getLogger("mail.log").setLevel(logging.INFO if verbose else logging.ERROR)
