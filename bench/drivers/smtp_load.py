"""A process full of SMTP clients, with sessions one after the other on each of its threads.

Usage: see process.py.  Settings: ``directory`` of the certificates.  Questions:

- ``certificate``, ``port``, ``sessions``, ``threads``: deliver a message in each session.
  The answer: when it began and ended (CLOCK_MONOTONIC, which processes share), CPU seconds, and
  three times of each session: ``handshake``, from the "220" to STARTTLS until the client is done;
  ``greeting``, until it has the answer to its next EHLO; and ``whole``, from connect to QUIT.  With
  TLS 1.3 the client is done before the server has looked at its certificate: the server's
  verification is in the greeting only.
- ``certificate``, ``port``, ``idle``: open so many sessions, up to the second EHLO, and keep them.
"""

from __future__ import annotations

import functools
import itertools
import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import contexts
from process import questions, raise_file_limit, say

if TYPE_CHECKING:
    import ssl

EHLO = b"EHLO client.example\r\n"
MESSAGE = b"From: <a@client.example>\r\nTo: <b@mx.example>\r\n\r\n" + b"x" * 70 + b"\r\nHello.\r\n"
DELIVERY = (
    (b"MAIL FROM:<a@client.example>\r\n", b"250"),
    (b"RCPT TO:<b@mx.example>\r\n", b"250"),
    (b"DATA\r\n", b"354"),
    (MESSAGE + b".\r\n", b"250"),
    (b"QUIT\r\n", b"221"),
)
TIMEOUT = 30  # seconds, for a reply


def expect(connection: socket.socket, code: bytes, line: bytes = b"") -> None:
    """Send a line and read the whole reply, which must have this code.

    Acknowledges at once: a server that leaves Nagle's algorithm on, as Postfix does, would wait
    40 ms with its reply to EHLO until its TLS ticket is acknowledged.
    """
    if line:
        connection.sendall(line)
    reply = b""
    while not (reply.endswith(b"\r\n") and reply.splitlines()[-1][3:4] == b" "):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        octets = connection.recv(4096)
        assert octets, (line, reply)
        reply += octets
    assert reply.startswith(code), (line, reply)


def begin(port: int, context: ssl.SSLContext) -> tuple[ssl.SSLSocket, float, float]:
    """Connect up to the second EHLO; return the two times, too."""
    plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    expect(plain, b"220")
    expect(plain, b"250", EHLO)
    expect(plain, b"220", b"STARTTLS\r\n")
    start = time.monotonic()
    tls = context.wrap_socket(plain, server_hostname="mx.example")
    done = time.monotonic()
    expect(tls, b"250", EHLO)
    return tls, done - start, time.monotonic() - start


def run(port: int, context: ssl.SSLContext, sessions: int, threads: int) -> dict[str, object]:
    tickets, times = itertools.count(), []

    def work() -> None:
        while next(tickets) < sessions:
            start = time.monotonic()
            tls, *both = begin(port, context)
            with tls:
                for line, code in DELIVERY:
                    expect(tls, code, line)
            times.append((*both, time.monotonic() - start))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    start, cpu = time.monotonic(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    end = time.monotonic()
    assert len(times) == sessions
    handshake, greeting, whole = zip(*times, strict=True)
    return {
        "start": start, "end": end, "cpu": time.process_time() - cpu,
        "handshake": handshake, "greeting": greeting, "whole": whole,
    }  # fmt: skip


def main() -> None:
    directory = Path(json.loads(sys.argv[1])["directory"])
    client = functools.cache(lambda certificate: contexts.client(directory, certificate))
    idle = []
    say(files=raise_file_limit())
    for question in questions():
        context = client(question.pop("certificate"))
        if "idle" in question:
            idle += (begin(question["port"], context)[0] for _ in range(question["idle"]))
            say(idle=len(idle))
        else:
            say(**run(context=context, **question))


if __name__ == "__main__":
    main()
