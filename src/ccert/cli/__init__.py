"""The ``ccert`` command.  Exit status: 0 fine, 1 not as it should be, 2 unusable input or usage."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import ccert

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_DEMO = """\
Run a mail server with STARTTLS on a free loopback port (aiosmtpd, on Python's own ssl) and let
clients with each kind of certificate deliver a message into a Maildir: first with
trust_server_ccerts off, then on.  Prints the server's log lines in Postfix's form and a table.
The clique's CA and all certificates are made on the spot and thrown away.

Exit status: 0 if each client was trusted and its message delivered as it should be, else 1.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ccert", description=ccert.__doc__.splitlines()[0] if ccert.__doc__ else None
    )
    parser.add_argument("--version", action="version", version=f"ccert {ccert.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo = commands.add_parser(
        "demo",
        help="see a real mail server trust a serverAuth-only client",
        description=_DEMO,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.set_defaults(run=_demo)
    return parser


def _demo(_arguments: argparse.Namespace) -> int:
    try:
        from ccert.cli.demo import run  # noqa: PLC0415 - its dependencies are optional
    except ModuleNotFoundError as error:
        sys.stderr.write(f"ccert demo needs {error.name}: pip install 'ccert[test]'\n")
        return 2
    return run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; ``arguments`` defaults to those of the process."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except ccert.CcertError as error:
        sys.stderr.write(f"ccert: {error}\n")
        return 2
