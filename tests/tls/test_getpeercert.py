"""In every framework, a certificate that getpeercert() returns is trusted: Python's contract."""

import asyncio
import contextlib
import queue
import socket
import threading

import pki
import pytest
import trio
import uvloop

import ccert

TIMEOUT = 20


def _seen(tls, ours) -> tuple[object, ...]:
    """What an application sees of the certificate, and the verdict."""
    subject = (tls.getpeercert() or {}).get("subject")
    return ours, subject, tls.getpeercert(binary_form=True), ccert.peer(tls).trust


def _sockets(listening, context, results) -> None:
    while True:
        connection, _ = listening.accept()
        connection.settimeout(TIMEOUT)
        with context.wrap_socket(connection, server_side=True) as tls:
            results.put(_seen(tls, tls.getpeercert()))
            tls.send(b"x")  # a client that meets the bare end drops its session from 3.2 on


async def _asynchronous(listening, context, results) -> None:
    async def serve(_reader, writer) -> None:
        tls = writer.get_extra_info("ssl_object")
        results.put(_seen(tls, writer.get_extra_info("peercert")))
        writer.write(b"x")
        writer.close()

    server = await asyncio.start_server(serve, sock=listening, ssl=context)
    await server.serve_forever()


async def _trio(listening, context, results) -> None:
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
    while True:
        stream = trio.SSLStream(await listener.accept(), context, server_side=True)
        await stream.do_handshake()
        tls = stream._ssl_object
        results.put(_seen(tls, tls.getpeercert()))
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.aclose()


def _run_trio(listening, context, results) -> None:
    listening.setblocking(False)
    trio.run(_trio, listening, context, results)


FRAMEWORKS = {
    "sockets": _sockets,
    "asyncio": lambda *arguments: asyncio.run(_asynchronous(*arguments)),
    "uvloop": lambda *arguments: uvloop.run(_asynchronous(*arguments)),
    "trio": _run_trio,
}


@pytest.fixture(params=FRAMEWORKS)
def serving(request, host, clique):
    """A server in a thread, which ends when its listening socket does; its port and results."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    results: queue.Queue[tuple[object, ...]] = queue.Queue()
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with contextlib.suppress(Exception):  # of the end
            FRAMEWORKS[request.param](listening, context, results)

    threading.Thread(target=run, daemon=True).start()
    yield listening.getsockname()[1], results
    with contextlib.suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def test_trusted_or_nothing(serving, host, clique, version):
    """A member's certificate is there, in full and resumed; a stranger's is not, nor its names."""
    port, results = serving
    member, stranger = clique.leaf(), clique.leaf(issuer=pki.issue("Strange Root", ca=True))
    subject = ((("commonName", "mx.example"),),)
    for chain, trusted in ((member, True), (stranger, False)):
        client = host.client(chain)
        client.minimum_version = client.maximum_version = version
        session = None
        for number in range(2):
            plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
            with client.wrap_socket(plain, server_hostname="mx.example", session=session) as tls:
                ours, seen, binary, trust = results.get(timeout=TIMEOUT)
                with contextlib.suppress(OSError):
                    tls.recv(1)
                assert tls.session_reused is (trusted and number == 1)
                session = tls.session
            assert (trust is ccert.Trust.TRUSTED) is trusted
            assert seen == (subject if trusted else None)
            assert binary == (chain.sent[0].der if trusted else None)
            assert bool(ours) is trusted
