"""``ccert check --connect``: what a live server presents, and what a hostile one cannot do."""

import asyncio
import contextlib
import errno
import socket
import threading

import pytest
from aiosmtpd.smtp import SMTP
from programs import require_ipv6

import ccert
from ccert.cli import main


@pytest.fixture
def words(host, clique) -> list[str]:
    return ["check", "--trust-server-ccerts", "--cafile", str(host.anchors(clique.root.pem))]


@pytest.mark.parametrize("starttls", [False, True], ids=["tls", "smtp"])
def test_check_connect(host, clique, words, capsys, starttls):
    """--connect judges what a live server presents, with STARTTLS or without."""
    chain = clique.leaf(names=["localhost"])
    pem = b"".join(c.pem for c in chain.sent) + chain.sent[0].key_pem
    context = ccert.ServerContext(host.write("live.pem", pem))

    async def serve() -> int:
        loop = asyncio.get_running_loop()
        kind = {"tls_context": context} if starttls else {}
        server = await loop.create_server(
            lambda: SMTP(object(), hostname="mx.example", **kind),
            "127.0.0.1",
            0,
            ssl=None if starttls else context,
        )
        port = server.sockets[0].getsockname()[1]
        more = ["--starttls", "smtp"] if starttls else []
        async with server:
            return await asyncio.to_thread(main, [*words, "--connect", f"127.0.0.1:{port}", *more])

    assert asyncio.run(serve()) == 0
    assert "  on   Trusted   as a server's chain" in capsys.readouterr().out


def test_check_connect_to_nobody(capsys, unused_port, words):
    """Nobody there is a line and exit status 2."""
    assert main([*words, "--connect", f"127.0.0.1:{unused_port}"]) == 2
    assert "Connection refused" in capsys.readouterr().err


def test_check_connect_to_nobody_of_several(capsys, unused_port, words, monkeypatch):
    """A host with several addresses, none of which answers: the line says why, for each."""
    addresses = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{number}", unused_port))
        for number in (1, 2)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kind: addresses)
    assert main([*words, "--connect", f"mx.example:{unused_port}"]) == 2
    assert capsys.readouterr().err.count(f"[Errno {errno.ECONNREFUSED}]") == 2


@contextlib.contextmanager
def _hostile(serve):
    """Let ``serve(connection)`` answer one client; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(20)
        assert not thread.is_alive()


def _endless(line: bytes):
    def serve(connection) -> None:
        while True:
            connection.sendall(line)

    return serve


def _after(*replies: bytes):
    def serve(connection) -> None:
        for reply in replies:
            connection.sendall(reply)
            if not connection.recv(65536):
                return

    return serve


@pytest.mark.parametrize(
    ("serve", "complaint"),
    [
        (_endless(b"220-x\r\n"), "a reply of more than 100 lines"),
        (_endless(b"220-" + b"x" * 100), "a line of more than 4096 octets"),
        (_after(b"554 \x1b[31m no\r\n"), "it says '554 ?[31m no' instead of 220"),
        (_after(b"220 a\r\n", b"250-b\r\n251 c\r\n"), "it says '251 c' instead of 250"),
        (_after(b"220 a\r\n", b"250 b\r\n", b"454 no\r\n"), "it says '454 no' instead of 220"),
        (
            _after(b"220 a\r\n", b"250 b\r\n", b"220 c\r\n", b"HTTP/1.1 400\r\n"),
            "WRONG_VERSION_NUMBER",
        ),
        (lambda connection: connection.close(), "it hangs up"),
        (_after(b"220 a\r\n", b""), "no handshake within 0.5 seconds"),
        (_after(b"220 a\r\n", b"250 b\r\n", b"220 c\r\n", b""), "no handshake within 0.5 seconds"),
    ],
    ids=["lines", "line", "no", "reply", "refusal", "http", "nothing", "silence", "silent-tls"],
)
def test_hostile_servers(words, capsys, monkeypatch, serve, complaint):
    """Whatever it does, a line tells of it, soon, and with bounded memory."""
    monkeypatch.setattr("ccert.cli.presented._TIMEOUT", 0.5 if "0.5" in complaint else 20)
    with _hostile(serve) as port:
        assert main([*words, "--connect", f"127.0.0.1:{port}", "--starttls", "smtp"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert line.isprintable()


@pytest.mark.parametrize(
    "address",
    ["", "mx.example", "mx.example:", ":25", "mx.example:smtp", "h:65536", "h:0", "h:-1", "h:٢٥"],
)
def test_addresses(words, capsys, address):
    """What is no HOST:PORT is said to be none."""
    assert main([*words, "--connect", address]) == 2
    message = capsys.readouterr().err
    assert "give HOST:PORT" in message or "give a FILE or --connect" in message


def test_ipv6_address(words, capsys, unused_port):
    """An IPv6 address stands in brackets."""
    require_ipv6()
    assert main([*words, "--connect", f"[::1]:{unused_port}"]) == 2
    assert "refused" in capsys.readouterr().err
