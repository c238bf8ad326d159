"""Debian's Postfix beside ours, for reference: an smtpd on loopback whose mail goes to discard(8).

Where it differs from what it is compared with: a process for each session, and each message is in
the queue, on disk, before "250" is said.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import mta

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAIN = """
myhostname = mx.example
smtpd_peername_lookup = no
default_transport = discard
local_transport = discard
relay_transport = discard
virtual_transport = discard
mynetworks = 127.0.0.0/8
smtpd_client_event_limit_exceptions = static:all
in_flow_delay = 0
"""


@contextlib.contextmanager
def postfix(certificates: Path) -> Iterator[mta.Postfix]:
    """Run a Postfix until the block ends.

    Args:
        certificates: the directory as in contexts.py.
    """
    smtpd = {
        "smtpd_tls_security_level": "may",
        "smtpd_tls_ask_ccert": "yes",
        "smtpd_tls_loglevel": "1",
        "smtpd_tls_cert_file": certificates / "server.pem",
        "smtpd_tls_key_file": certificates / "server.pem",
        "smtpd_tls_CAfile": certificates / "root.pem",
    }
    with mta.running(MAIN, "discard unix - - n - - discard\n", smtpd, {}) as running:
        yield running
