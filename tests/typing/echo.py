"""A threaded echo server that greets each client with what it knows of it."""

from __future__ import annotations

import socketserver
import sys

import ccert

context = ccert.ServerContext("mx.pem", cafile="clique-cas.pem", trust_server_ccerts=True)


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            with context.wrap_socket(self.request, server_side=True) as connection:
                peer = ccert.peer(connection)
                trusted: bool = bool(peer)
                connection.sendall(f"{trusted} {','.join(peer.names)} {peer.error}\n".encode())
                while data := connection.recv(4096):
                    connection.sendall(data)
        except OSError as error:
            print("a client went away:", error, file=sys.stderr)


if __name__ == "__main__":
    with socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Echo) as server:
        server.daemon_threads = True
        server.serve_forever()
