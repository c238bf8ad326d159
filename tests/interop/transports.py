"""transports - a Postfix whose SMTP clients deliver to our servers.

No message can leave the machine: the only way out is the transport table, which has nothing but
127.0.0.1, every default transport is "error", and the clients bind to loopback.  Its smtpd takes no
mail.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
from typing import TYPE_CHECKING

import mta
from programs import require_program, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAIN = """
myhostname = client.example
mynetworks =
smtp_host_lookup = native
smtp_bind_address = 127.0.0.1
smtp_connection_cache_on_demand = no
smtp_tls_loglevel = 1
smtp_tls_session_cache_database = btree:$data_directory/sessions
transport_maps = texthash:{directory}/conf/transport
default_transport = error:5.1.2 there is no way out
relay_transport = $default_transport
local_transport = $default_transport
virtual_transport = $default_transport
smtpd_recipient_restrictions = reject
"""

Settings = dict[str, "str | Path"]


@dataclasses.dataclass(frozen=True)
class Transport:
    """An SMTP client for one port of 127.0.0.1, with settings as in main.cf."""

    port: int
    settings: Settings


def send(postfix: mta.Postfix, transport: str, message: str) -> None:
    """Hand in a message that one of the transports is to deliver."""
    subprocess.run(
        [
            require_program("sendmail"), "-C", postfix.conf, "-oi",
            "-f", "a@sender.invalid", f"b@{transport}.example",
        ],
        input=message, text=True, env=mta.environment(), check=True, timeout=mta.TIMEOUT,
    )  # fmt: skip


@contextlib.contextmanager
def postfix(transports: Mapping[str, Transport], server: Settings) -> Iterator[mta.Postfix]:
    """Run a Postfix until the block ends; its smtpd has the settings of ``server``."""
    if problem := mta.missing():
        unavailable(problem)
    services = table = ""
    for key, transport in transports.items():
        services += mta.service(f"{key} unix - - n - - smtp", transport.settings)
        table += f"{key}.example {key}:[127.0.0.1]:{transport.port}\n"
    with mta.running(MAIN, services, server, {"transport": table}) as running:
        yield running
