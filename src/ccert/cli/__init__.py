"""The ``ccert`` command.  Exit status: 0 fine, 1 not as it should be, 2 unusable input or usage.

May import everything.  For nobody but the shell.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from typing import TYPE_CHECKING

import ccert
from ccert.cli.serve_options import DESCRIPTION, EPILOG, add_options
from ccert.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_CHECK = """\
Say of each chain of certificates (PEM, leaf first) whether a server with these trusted CAs would
trust a client that presents it: with trust_server_ccerts off and on, side by side, with the reason
and what to do.  Nothing is sent to anybody, but for --connect.
"""
_CHECK_END = """\
Exit status: 0 if every chain is trusted with the setting as given (--trust-server-ccerts, else
off), 1 if one is not, 2 if a file cannot be used.

Examples:
  ccert check --cafile clique-cas.pem peers/*.pem
  ccert check --cafile clique-cas.pem --connect mx.partner.example:25 --starttls smtp
"""
_DOCTOR = """\
Find out whether ccert can be attached to the contexts of this Python's ssl: which OpenSSL each of
them runs on, whether it is one copy, and if not, what to do.

Exit status: 0 if contexts can be attached, else 1.
"""
_DEMO = """\
Run a mail server with STARTTLS on a free loopback port (aiosmtpd, on Python's own ssl) and let
clients with each kind of certificate deliver a message into a Maildir: first with
trust_server_ccerts off, then on.  Prints the server's log lines in Postfix's form and a table.
The clique's CA and all certificates are made on the spot, and thrown away unless you --keep them.

Exit status: 0 if each client was trusted and its message delivered as it should be, else 1.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ccert", description=ccert.__doc__.splitlines()[0] if ccert.__doc__ else None
    )
    parser.add_argument("--version", action="version", version=f"ccert {ccert.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, summary: str, description: str, end: str = ""
    ) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=description,
            epilog=end,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    check = command("check", "would these chains be trusted, and why not?", _CHECK, _CHECK_END)
    _add_check_arguments(check)
    check.set_defaults(run=_check)
    command("doctor", "does ccert work with this Python?", _DOCTOR).set_defaults(run=_doctor)
    demo = command("demo", "see a real mail server trust a serverAuth-only client", _DEMO)
    demo.add_argument(
        "--keep", metavar="DIR", help="leave the certificates there, with a ccert.cf to go on from"
    )
    demo.set_defaults(run=_demo)
    serve = command("serve", "a mail server that knows its clients", DESCRIPTION, EPILOG)
    add_options(serve)
    serve.set_defaults(run=_serve)
    return parser


def _add_check_arguments(check: argparse.ArgumentParser) -> None:
    check.add_argument("file", nargs="*", metavar="FILE", help="a chain, PEM, leaf first")
    check.add_argument("--cafile", help="trusted CAs, PEM")
    check.add_argument("--capath", help="trusted CAs, a directory made by openssl rehash")
    check.add_argument(
        "--trust-server-ccerts",
        action="store_true",
        help="let --json and the exit status be those of the setting switched on",
    )
    check.add_argument(
        "--auth-level",
        type=int,
        default=2,
        metavar="N",
        help="OpenSSL's security level (default: 2, Python's; Postfix has 0)",
    )
    check.add_argument(
        "--verify-depth", type=int, default=9, metavar="N", help="as Postfix counts (default: 9)"
    )
    check.add_argument(
        "--at",
        type=_moment,
        metavar="TIME",
        help="the moment to check for, ISO 8601 (default: now; without a zone: UTC)",
    )
    check.add_argument("--json", action="store_true", help="print one JSON object for each chain")
    check.add_argument(
        "--connect",
        metavar="HOST:PORT",
        help="check what a live server presents: its certificate is what it will present to you",
    )
    check.add_argument("--starttls", choices=["smtp"], help="speak SMTP to it first")


def _moment(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2026-11-23T20:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def _missing(command: str, extra: str, error: ModuleNotFoundError) -> int:
    sys.stderr.write(f"ccert {command} needs {error.name}: pip install 'ccert[{extra}]'\n")
    return 2


def _check(arguments: argparse.Namespace) -> int:
    try:
        from ccert.cli.check import run  # noqa: PLC0415 - its dependencies are optional
    except ModuleNotFoundError as error:
        return _missing("check", "cli", error)
    return run(arguments)


def _doctor(_arguments: argparse.Namespace) -> int:
    from ccert.cli.doctor import run  # noqa: PLC0415 - like the others

    return run()


def _demo(arguments: argparse.Namespace) -> int:
    try:
        from ccert.cli.demo import run  # noqa: PLC0415 - its dependencies are optional
    except ModuleNotFoundError as error:
        return _missing("demo", "aiosmtpd,cli", error)
    return run(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    try:
        from ccert.cli.serve import run  # noqa: PLC0415 - its dependencies are optional
    except ModuleNotFoundError as error:
        return _missing("serve", "aiosmtpd", error)
    return run(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; ``arguments`` defaults to those of the process."""
    try:
        try:
            parsed = _parser().parse_args(arguments)
            status = int(parsed.run(parsed))
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except ccert.CcertError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # of the output; commands answer for their input
        if sys.stdout:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # whoever read it has seen enough
            return 1
        return _complain(f"cannot write: {error.strerror}")
    return status


def _complain(problem: str) -> int:
    if sys.stderr:
        sys.stderr.write(f"ccert: {printable(problem)}\n")
    return 2
