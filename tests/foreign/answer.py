"""Answer HTTP requests over TLS, with or without ccert, until standard input ends.

Usage: answer.py stock|off|on none|optional|scanned CERTIFICATE CA.  The words say what is attached,
as in run_suite.py, and whether clients are asked for certificates, with all the ciphers that there
are, or asked with those of a server's context.  Prints its port.
"""

import socketserver
import ssl
import sys
import threading

import attaching

kind, mode, certificate, ca = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
if mode != "scanned":  # else half of tlsfuzzer finds nothing to talk about
    context.set_ciphers("ALL:@SECLEVEL=0")
context.load_cert_chain(certificate)
context.load_verify_locations(ca)
context.verify_mode = ssl.CERT_NONE if mode == "none" else ssl.CERT_OPTIONAL
if kind == "stock":  # as attaching does
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 1
else:
    attaching.attach(context, setting=kind == "on")


class Handler(socketserver.BaseRequestHandler):
    """Reads whatever comes, and answers at the end of each header."""

    def handle(self) -> None:
        self.request.settimeout(10)
        try:
            with context.wrap_socket(self.request, server_side=True) as connection:
                request = b""
                while octets := connection.recv(65536):
                    request += octets
                    if request.replace(b"\r", b"").endswith(b"\n\n"):
                        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nhi\n")
                        request = b""
                connection.unwrap()
        except OSError:
            pass  # it is the client's business to notice


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 100


with Server(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    server.shutdown()
