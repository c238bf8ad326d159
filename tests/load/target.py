"""The server that is tested: it trusts the clique, serverAuth-only certificates included."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from serving import serving

from load.cast import write_cast
from load.crew import UNMEASURED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cases import Clique
    from conftest import Host
    from serving import Server

ANY_PORT = "127.0.0.1:0"


@contextlib.contextmanager
def target(
    host: Host,
    clique: Clique,
    directory: Path,
    *listen: str,
    environment: Mapping[str, str] | None = None,
    **parameters: object,
) -> Iterator[Server]:
    """Start a server with its Maildir in a directory, and all clients' certificates there.

    Args:
        listen: addresses for STARTTLS and for implicit TLS; without: any.
        parameters: of its configuration.
    """
    if not (directory / "main.cf").exists():
        write_cast(clique, host.cafile.read_bytes(), directory)
    starttls, implicit = listen or (ANY_PORT, ANY_PORT)
    parameters |= {
        "listen": starttls,
        "tls_listen": implicit,
        "smtpd_tls_cert_file": host.certfile,
        "smtpd_tls_key_file": host.keyfile,
        "smtpd_tls_CAfile": host.anchors(clique.root.pem),
        "tls_trust_server_ccerts": "yes",
        "smtpd_client_connection_count_limit": 0,  # they all come from 127.0.0.1
    }
    config = directory / "main.cf"
    config.write_text("".join(f"{name} = {value}\n" for name, value in parameters.items()))
    with serving(
        directory / "Mail", "--config", config, **UNMEASURED | (environment or {})
    ) as server:
        yield server
