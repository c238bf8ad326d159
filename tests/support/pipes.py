"""A handshake between two processes, over pipes."""

import os
import ssl

import pairs
from sessions import NAME


def _step(end: pairs.End, receive: int, send: int) -> None:
    end.step()
    if octets := end.outgoing.read():
        os.write(send, octets)
    if not end.done and not end.error:
        end.incoming.write(os.read(receive, 65536))


def _over_pipes(end: pairs.End, receive: int, send: int) -> ssl.SSLObject:
    for _ in range(pairs.STEPS):
        if end.done or end.error:
            break
        _step(end, receive, send)
    return end.tls


def shake_over_pipes(server: ssl.SSLContext, receive: int, send: int) -> ssl.SSLObject:
    return _over_pipes(pairs._end(server, server_side=True), receive, send)


def client_over_pipes(client: ssl.SSLContext, receive: int, send: int, session) -> ssl.SSLObject:
    end = pairs._end(client, server_hostname=NAME, session=session)
    return _over_pipes(end, receive, send)
