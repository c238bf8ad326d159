"""An SMTP server on aiosmtpd: a name table, then a policy service; the client in a header."""

from __future__ import annotations

import signal
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP

import ccert
from ccert.aiosmtpd import CcertMixin, Envelope, Session
from ccert.postfix import PolicyService


class Handler(CcertMixin, Mailbox):
    async def handle_DATA(  # type: ignore[override]
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        peer = session.ccert
        names = "no TLS" if peer is None else f"{peer.trust} {', '.join(peer.names)}"
        headers = [*getattr(envelope, "ccert_headers", []), f"X-Client: {names}"]
        assert isinstance(envelope.content, bytes)
        envelope.content = "".join(f"{line}\r\n" for line in headers).encode() + envelope.content
        return await super().handle_DATA(server, session, envelope)


if __name__ == "__main__":
    settings: dict[str, ccert.TrustServerCcerts] = {"on": True, "off": False}
    context = ccert.ServerContext(
        "mx.pem", cafile="clique-cas.pem", trust_server_ccerts=settings[sys.argv[2]]
    )
    handler = Handler(
        "maildir",
        relay_clientnames=ccert.NameTable("relay_clientnames"),
        policy_service=PolicyService(f"inet:127.0.0.1:{sys.argv[3]}", timeout=5),
    )
    controller = Controller(
        handler, hostname="127.0.0.1", port=int(sys.argv[1]), tls_context=context
    )
    controller.start()
    signal.pause()
