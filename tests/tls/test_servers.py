"""Whatever serves TLS on an ssl.SSLContext takes ours unchanged: six of them, on real sockets.

The client is ``openssl s_client`` in a process of its own; TLS comes at once, but for aiosmtpd and
``start_tls``, which speak a line of plain text before.
"""

import asyncio
import contextlib
import socket
import subprocess
import threading

import pairs
import pki
import pytest
import trio
import uvloop
from aiosmtpd.smtp import SMTP
from OpenSSL import SSL

import ccert
from ccert import Trust


@pytest.fixture
def context(host, clique):
    return host.context(clique.root.pem, trust_server_ccerts=True)


@pytest.fixture
def client(host, clique):
    """Return a function that lets s_client, as a serverAuth-only member, talk to a port.

    What it receives counts, not its exit status: whether a close_notify gets through before the
    socket is closed is the server's luck.
    """
    chain = clique.leaf()
    leaf = host.write("member.pem", chain.sent[0].pem + chain.sent[0].key_pem)
    others = host.write("member-ca.pem", chain.sent[1].pem)

    def client(port: int, *options: str, send: bytes = b"x\n") -> bytes:
        done = subprocess.run(
            [
                "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet",
                "-CAfile", host.cafile, "-verify_return_error", "-cert", leaf, "-key", leaf,
                "-cert_chain", others, *options,
            ],
            input=send, capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr.decode()
        return done.stdout

    return client


def _is_member(peer: ccert.Peer) -> bool:
    return (peer.trust, peer.trusted_as_server, peer.subject) == (
        Trust.TRUSTED,
        True,
        "mx.example",
    )


async def _asyncio_server(context, client) -> ccert.Peer:
    peers = []

    async def talk(reader, writer) -> None:
        peers.append(ccert.peer(writer.get_extra_info("ssl_object")))
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.to_thread(client, port) == b"x\n"
    return peers[0]


def test_asyncio(context, client):
    """asyncio.start_server(ssl=context)."""
    assert _is_member(asyncio.run(_asyncio_server(context, client)))


def test_uvloop(context, client):
    """The same on uvloop."""
    loop = uvloop.new_event_loop()
    with contextlib.closing(loop):
        assert _is_member(loop.run_until_complete(_asyncio_server(context, client)))


class _StartTls(asyncio.Protocol):
    """A line of plain text, then TLS by loop.start_tls(), then an echo."""

    def __init__(self, context, peers) -> None:
        self.context = context
        self.peers = peers

    def connection_made(self, transport) -> None:
        self.transport = transport
        transport.write(b"220 plain\r\n")

    def data_received(self, data) -> None:
        if data.startswith(b"EHLO"):
            self.transport.write(b"250-plain\r\n250 STARTTLS\r\n")
        elif data.startswith(b"STARTTLS"):
            self.transport.write(b"220 go ahead\r\n")
            self.upgrading = asyncio.ensure_future(self.upgrade())
        else:  # which may come before start_tls() returns
            self.echoing = asyncio.ensure_future(self.echo(data))

    async def echo(self, data: bytes) -> None:
        await self.upgrading
        self.transport.write(data)
        self.transport.close()

    async def upgrade(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport = await loop.start_tls(self.transport, self, self.context, server_side=True)
        self.peers.append(ccert.peer(self.transport.get_extra_info("ssl_object")))


def test_start_tls(context, client):
    """loop.start_tls(): TLS on a connection that began in the clear."""
    peers = []

    async def main() -> bytes:
        server = await asyncio.get_running_loop().create_server(
            lambda: _StartTls(context, peers), "127.0.0.1", 0
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.to_thread(client, port, "-starttls", "smtp")

    assert asyncio.run(main()).endswith(b"x\n")
    assert _is_member(peers[0])


def test_aiosmtpd(context, client):
    """aiosmtpd with STARTTLS."""
    peers = []

    class Handler:
        def handle_STARTTLS(self, _server, session, _envelope) -> bool:
            peers.append(ccert.peer(session.ssl["ssl_object"]))
            return True

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(Handler(), hostname="mx.example", tls_context=context), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await asyncio.to_thread(
                client, port, "-starttls", "smtp", "-crlf", send=b"EHLO a\nQUIT\n"
            )

    assert b"221 " in asyncio.run(main())
    assert _is_member(peers[0])


def test_trio(context, client):
    """trio.SSLStream."""

    async def main() -> ccert.Peer:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, client, port)
            stream = trio.SSLStream(await listener.accept(), context, server_side=True)
            await stream.do_handshake()
            peer = ccert.peer(stream._ssl_object)  # trio has no public way to it
            await stream.send_all(await stream.receive_some(2))
            await stream.aclose()
        return peer

    assert _is_member(trio.run(main))


def test_threads(context, client):
    """A listening socket wrapped with wrap_socket(), in a thread."""
    peers = []
    with context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                peers.append(ccert.peer(connection))
                connection.sendall(connection.recv(2))
                connection.unwrap()
            with pytest.raises(ccert.CcertError, match="closed"):
                ccert.peer(connection)
            peers.append("closed")

        thread = threading.Thread(target=serve)
        thread.start()
        assert client(listener.getsockname()[1]) == b"x\n"
        thread.join(20)
        with pytest.raises(ccert.CcertError, match="closed, or was never made"):
            ccert.peer(listener)
    assert _is_member(peers[0])
    assert peers[1] == "closed"


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_name_that_is_no_text(host, clique, new_loop):
    """A client whose certificate has a name that ssl cannot decode is served all the same."""
    name = pki.der(0x30, pki.der(0x82, b"\xff\xfe.example"))
    chain = clique.leaf(extensions=[(pki.extension("2.5.29.17", name), False)])
    context = host.context(chain, trust_server_ccerts=True)
    stock = pairs.handshake(host.stock(clique.leaf()), host.client())
    assert stock.server.tls.getpeercert() is None
    pair = pairs.handshake(context, host.foreign(chain))
    assert pair.server.tls.getpeercert() == {}
    assert pair.server.tls.getpeercert(binary_form=True) == chain.sent[0].der

    def client(port: int) -> bytes:
        foreign = host.foreign(chain)._context
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            plain.settimeout(None)
            tls = SSL.Connection(foreign, plain)
            tls.set_connect_state()
            tls.sendall(b"x\n")
            return tls.recv(2)

    with contextlib.closing(new_loop()) as loop:
        peer = loop.run_until_complete(_asyncio_server(context, client))
    assert peer.trust is Trust.TRUSTED
