"""``ccert demo``: a real mail server and real clients, with the setting off and on."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import mailbox
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import ccert
from ccert.aiosmtpd import CcertMixin
from ccert.cli.clique import ThrowAwayClique

if TYPE_CHECKING:
    import argparse

    from ccert.aiosmtpd import Envelope, Session

__all__ = ["run"]

_log = logging.getLogger("ccert")

_TIMEOUT = 10  # seconds, for each client
_CONFIGURATION = """\
listen = 127.0.0.1:8025
maildir = maildir
smtpd_tls_cert_file = mx.pem
smtpd_tls_CAfile = clique-cas.pem
tls_trust_server_ccerts = observe
"""
_NAMES = """\
# host, or .domain for all hosts below it
.partner.example  all hosts of the partner
"""
_KEPT = """\
Kept in {}, valid for 30 days, for trials only:
  clique-cas.pem  the CA that the server trusts
  mx.pem          the server's own certificate and key
  partner.pem     a member's, serverAuth only: client.pem, both.pem list clientAuth
  other.pem       one of a host that is not listed
  stranger.pem    a self-signed one
  relay_clientnames   the hosts that may send
  ccert.cf        for ccert serve --config ccert.cf, in that directory"""


@dataclasses.dataclass(frozen=True)
class _Client:
    name: str
    pem: Path | None
    off: str  # the expected verdict with the setting off
    on: str
    listed: bool = True  # by name, in the table that there is with the setting on
    openssl: bool = False  # openssl s_client instead of smtplib


class _Delivery:
    """Remembers who came, and delivers."""

    def __init__(self, maildir: Path) -> None:
        self.maildir = mailbox.Maildir(maildir)
        self.peers: list[ccert.Peer] = []

    def handle_STARTTLS(self, server: SMTP, session: Session, envelope: Envelope) -> bool:  # noqa: ARG002
        if session.ccert is not None:
            self.peers.append(session.ccert)
        return True

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        if not isinstance(envelope.content, bytes):
            return "451 4.3.0 no message"
        self.maildir.add(envelope.content)
        return "250 2.0.0 delivered"


class _Handler(CcertMixin, _Delivery):
    """What a server of your own has, too."""


def _message(client: _Client) -> str:
    return f"From: <a@client.example>\nTo: <b@mx.example>\nSubject: {client.name}\n\nHello.\n"


def _send_by_smtplib(client: _Client, port: int, cafile: Path) -> None:
    context = ssl.create_default_context(cafile=cafile)
    if client.pem:
        context.load_cert_chain(client.pem)
    with smtplib.SMTP("127.0.0.1", port, timeout=_TIMEOUT) as smtp:
        smtp.starttls(context=context)
        smtp.sendmail("a@client.example", ["b@mx.example"], _message(client))


def _send_by_openssl(client: _Client, port: int, cafile: Path) -> None:
    dialogue = (
        "EHLO client.example\nMAIL FROM:<a@client.example>\nRCPT TO:<b@mx.example>\nDATA\n"
        f"{_message(client)}.\nQUIT\n"
    )
    command = [
        shutil.which("openssl") or "openssl", "s_client", "-starttls", "smtp", "-quiet", "-crlf",
        "-connect", f"127.0.0.1:{port}", "-CAfile", str(cafile), "-verify_return_error",
        "-cert", str(client.pem), "-key", str(client.pem),
    ]  # fmt: skip
    subprocess.run(  # noqa: S603 - fixed arguments
        command, input=dialogue.encode(), capture_output=True, check=True, timeout=_TIMEOUT
    )


def _clients(clique: ThrowAwayClique) -> list[_Client]:
    partner = clique.member("partner", "mx.partner.example", "serverAuth")
    client = clique.member("client", "client.partner.example", "clientAuth")
    both = clique.member("both", "both.partner.example", "serverAuth", "clientAuth")
    other = clique.member("other", "mx.other.example", "serverAuth")
    stranger = clique.member("stranger", "mx.stranger.example", "serverAuth", self_signed=True)
    return [
        _Client("serverAuth only", partner, "Untrusted", "Trusted"),
        _Client("clientAuth", client, "Trusted", "Trusted"),
        _Client("both", both, "Trusted", "Trusted"),
        _Client("name not listed", other, "Untrusted", "Trusted", listed=False),
        _Client("self-signed", stranger, "Untrusted", "Untrusted", listed=False),
        _Client("no certificate", None, "Anonymous", "Anonymous", listed=False),
        _Client("the same, s_client", partner, "Untrusted", "Trusted", openssl=True),
    ]


async def _serve(
    clients: list[_Client], directory: Path, maildir: Path, *, setting: bool
) -> list[tuple[ccert.Peer | None, bool]]:
    """Let each client deliver; return its verdict and whether its message is in the Maildir."""
    cafile = directory / "clique-cas.pem"
    context = ccert.ServerContext(directory / "mx.pem", cafile=cafile, trust_server_ccerts=setting)
    names = ccert.NameTable(directory / "relay_clientnames") if setting else None
    handler = _Handler(maildir, relay_clientnames=names)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="mx.example", tls_context=context, require_starttls=True),
        "127.0.0.1",
        0,
    )
    port = server.sockets[0].getsockname()[1]
    _log.info("listening on 127.0.0.1:%d, trust_server_ccerts=%s", port, setting)
    results = []
    for client in clients:
        _log.info("-- %s", client.name)
        handler.peers.clear()
        send = _send_by_openssl if client.openssl else _send_by_smtplib
        try:
            await asyncio.to_thread(send, client, port, cafile)
        except (OSError, smtplib.SMTPException, subprocess.SubprocessError) as error:
            _log.warning("%s could not deliver: %s", client.name, error)
        subjects = [message["subject"] for message in handler.maildir]
        peer = handler.peers[0] if handler.peers else None
        results.append((peer, subjects.count(client.name) == 1))
    server.close()
    await server.wait_closed()
    return results


def _row(peer: ccert.Peer | None, delivered: bool) -> list[str]:
    if peer is None:
        return ["no handshake", "", "no"]
    style = {"Trusted": "green", "Untrusted": "yellow"}.get(peer.trust, "dim")
    return [
        f"[{style}]{peer.trust}[/]",
        "yes" if peer.trusted_as_server else "",
        "yes" if delivered else "[red]no[/]",
    ]


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    logging.raiseExceptions = False  # no tracebacks if the reader closes the pipe
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's own
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    if arguments.keep is None:
        with tempfile.TemporaryDirectory(prefix="ccert-demo-") as name:
            return _show(Path(name))
    kept = Path(arguments.keep)
    try:
        kept.mkdir(exist_ok=True)
        if any(kept.iterdir()):
            raise ccert.ConfigError(f"{kept} is not empty: name a new directory")
        status = _show(kept)
        (kept / "ccert.cf").write_text(_CONFIGURATION)
    except OSError as error:
        raise ccert.ConfigError(f"cannot write into {kept}: {error.strerror}") from error
    print(_KEPT.format(kept))
    return status


def _show(directory: Path) -> int:
    """Let the clients deliver, with the setting off and on; print the table."""
    clique = ThrowAwayClique(directory)
    clique.member("mx", "mx.example", "serverAuth")
    clients = _clients(clique)
    (directory / "relay_clientnames").write_text(_NAMES)
    with tempfile.TemporaryDirectory(prefix="ccert-demo-") as maildirs:
        off, on = (
            asyncio.run(_serve(clients, directory, Path(maildirs, str(setting)), setting=setting))
            for setting in (False, True)
        )
    table = Table(title="trust_server_ccerts off and on", box=SIMPLE_HEAD)
    for column in ("client", "off", "server?", "mail", "on", "server?", "mail"):
        table.add_column(column, no_wrap=True)
    as_expected = True
    for client, (peer_off, in_off), (peer_on, in_on) in zip(clients, off, on, strict=True):
        table.add_row(client.name, *_row(peer_off, in_off), *_row(peer_on, in_on))
        words = [None if peer is None else peer.trust for peer in (peer_off, peer_on)]
        as_expected &= words == [client.off, client.on] and in_off and in_on is client.listed
    table.caption = "server?: verified as a server's chain; mail: delivered into the Maildir"
    Console().print(table)
    return 0 if as_expected else 1
