"""Servers, each a process: stock, and with ccert attached, its setting off or on."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("stock", "off", "on")
_PROGRAM = Path(__file__).with_name("answer.py")


@dataclasses.dataclass(frozen=True)
class Identity:
    """An RSA certificate with its key in one file, for servers and clients, and its CA's file."""

    certificate: Path
    ca: Path


@contextlib.contextmanager
def serving(kind: str, mode: str, identity: Identity) -> Iterator[int]:
    """Run a server; yields its port.  ``mode``: see answer.py."""
    command = [sys.executable, _PROGRAM, kind, mode, identity.certificate, identity.ca]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield int(process.stdout.readline())
