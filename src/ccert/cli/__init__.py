"""The ``ccert`` command.  Exit status: 0 success, 1 a negative result, 2 unusable input or usage.

It may import everything.  No other module may import it.
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
Report for each chain of certificates whether a server with these trusted CAs would trust a client
that presents it, with trust_server_ccerts off and on, with the reason and with advice.  Only
--connect and --peers make network connections.
"""
_CHECK_END = """\
Exit status: 0 if every chain is trusted with the setting as given (on with --trust-server-ccerts,
otherwise off), is valid for --name, and with --strict is not marked; 1 if one is not so; 2 if a
file cannot be used, or a host does not answer.

Examples:
  ccert check --cafile clique-cas.pem peers/*.pem
  ccert check --cafile clique-cas.pem --connect mx.partner.example:25 --starttls smtp
"""
_DOCTOR = """\
Check whether ccert can be attached to the contexts of this Python's ssl: which OpenSSL ccert and
ssl use, whether it is the same copy, and if not, what to do.

Exit status: 0 if contexts can be attached, else 1.
"""
_DEMO = """\
Run a mail server with STARTTLS on a free loopback port (aiosmtpd, on Python's own ssl) and let
clients with each kind of certificate deliver a message into a Maildir: first with
trust_server_ccerts off, then on.  Prints the server's log lines in Postfix's form and a table.
The clique's CA and all certificates are made for this run, and deleted unless you --keep them.

Exit status: 0 if all verdicts and deliveries are as expected, else 1.
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
        "--keep", metavar="DIR", help="keep the certificates in DIR, with a ccert.cf to start from"
    )
    demo.set_defaults(run=_demo)
    serve = command("serve", "run a mail server that identifies its clients", DESCRIPTION, EPILOG)
    add_options(serve)
    serve.set_defaults(run=_serve)
    return parser


def _add_check_arguments(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "file",
        nargs="*",
        metavar="FILE",
        help="a chain, leaf first: PEM, DER or PKCS #7; or a directory of such files",
    )
    check.add_argument("--cafile", help="trusted CAs, PEM")
    check.add_argument("--capath", help="trusted CAs, a directory made by openssl rehash")
    check.add_argument(
        "--trust-server-ccerts",
        action="store_true",
        help="report the setting switched on in --json and the exit status",
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
        help="the time to verify at, ISO 8601 (default: now; without a time zone: UTC)",
    )
    check.add_argument(
        "--jobs",
        type=_jobs,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="processes for many files (default: one for each CPU)",
    )
    check.add_argument("--json", action="store_true", help="print one JSON object for each chain")
    check.add_argument(
        "--name", metavar="HOST", help="the certificate must also be valid for this host"
    )
    check.add_argument(
        "--warn-days",
        type=int,
        default=21,
        metavar="N",
        help="mark a chain that expires within N days (default: 21)",
    )
    check.add_argument(
        "--strict", action="store_true", help="let a marked chain count for the exit status"
    )
    check.add_argument(
        "--connect",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="check the chain of a live server, if it presents the same chain as a client",
    )
    check.add_argument(
        "--peers",
        metavar="FILE",
        help="check the servers in this file, HOST or HOST:PORT a line (default port: 25 with "
        "--starttls, otherwise 465)",
    )
    check.add_argument("--starttls", choices=["smtp"], help="use STARTTLS over SMTP first")


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes")
    return int(text)


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
    if sys.stdout is None:
        return _complain("standard output is closed")
    try:
        try:
            parsed = _parser().parse_args(arguments)
            status = int(parsed.run(parsed))
        finally:
            sys.stdout.flush()
    except ccert.CcertError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # from the output; commands handle errors of their input
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader has closed the pipe
            return 1
        return _complain(f"cannot write: {error.strerror}")
    return status


def _complain(problem: str) -> int:
    if sys.stderr:
        sys.stderr.write(f"ccert: {printable(problem)}\n")
    return 2
