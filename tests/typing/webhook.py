"""A webhook receiver: POST is for trusted clients whose certificate has a listed name."""

from __future__ import annotations

import http.server
import socket
import ssl
import sys
from typing import Any

import ccert

PARTNERS = ccert.NameTable("relay_clientnames")


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", port), Hook)
        self.context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the handshake, in the client's thread."""
        raw: socket.socket = request
        try:
            with self.context.wrap_socket(raw, server_side=True) as tls:
                super().finish_request(tls, client_address)  # type: ignore[arg-type]
        except OSError as error:
            print("a client went away:", error, file=sys.stderr)


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        peer = ccert.peer(self.connection)
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        name = PARTNERS.lookup(peer)
        if name is None:
            self.send_error(403, f"{peer.trust}: {peer.error or ', '.join(peer.names)}")
            return
        self.send_response(200)
        self.send_header("X-Partner", name)
        self.end_headers()


if __name__ == "__main__":
    context = ccert.ServerContext("mx.pem", cafile="clique-cas.pem", trust_server_ccerts=True)
    Server(int(sys.argv[1]), context).serve_forever()
