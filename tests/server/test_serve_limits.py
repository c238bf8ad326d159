"""``ccert serve`` among clients that are slow, many or malicious: limits in time, number, size."""

import contextlib
import re
import select
import smtplib
import socket
import time
from pathlib import Path

import pytest
from cryptography import x509
from serving import BOTH, MESSAGE, PATIENCE, begin, replies_until_closed, send

# -- limits --


def test_process_limit(start):
    """With default_process_limit clients the next ones wait, unanswered and unharmed."""
    server = start(*BOTH, default_process_limit=2)
    with server.client() as first, server.client() as second:
        with socket.create_connection(("localhost", server.ports[0]), PATIENCE) as third:
            server.wait_for("default_process_limit 2 is reached")
            begin(second, data=True)  # a round trip more: the third has had its time
            assert select.select([third], [], [], 0)[0] == []
            first.quit()
            assert third.recv(4) == b"220 "
        second.send(b".\r\n")
        assert second.getreply()[0] == 250


def test_out_of_file_descriptors(start):
    """A flood that takes all descriptors kills nobody; afterwards all is as before."""
    server = start(files=40, default_process_limit=1000)
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(socket.create_connection(("localhost", server.ports[0]), PATIENCE))
        server.wait_for("cannot accept: Too many open files")
    for _ in range(20):  # until all of the flood has gone a message may find no descriptor
        with contextlib.suppress(smtplib.SMTPDataError), server.client() as smtp:
            send(smtp)
            break
    assert len(server.messages()) == 1
    assert not any("Traceback" in line or "was killed" in line for line in server.lines)


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_stalled_handshake(start, implicit):
    """Whoever stalls in a handshake is cut off."""
    server = start(*BOTH, smtpd_starttls_timeout="1s", default_process_limit=1)
    with contextlib.ExitStack() as stack:
        if implicit:
            address = ("localhost", server.ports[1])
            client = stack.enter_context(socket.create_connection(address, PATIENCE))
        else:
            smtp = server.client()
            smtp.ehlo("x")
            assert smtp.docmd("STARTTLS")[0] == 220
            client = stack.enter_context(smtp.sock)
        client.sendall(b"\x16\x03\x01\x02\x00\x01")  # a record begins
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(4096) == b""
    server.wait_for("TLS handshake with unknown.127.0.0.1. failed: .*longer than 1")
    with server.client() as smtp:  # its place is free again
        send(smtp)


@pytest.mark.parametrize("begun", ["", "EHLO x", "DATA"])
def test_silence(start, begun):
    """Whoever says nothing for smtpd_timeout is told so, and left."""
    server = start(smtpd_timeout="1s", default_process_limit=1)
    with server.client() as smtp:
        if begun == "DATA":
            begin(smtp, data=True)
        elif begun:
            smtp.docmd(begun)
        assert replies_until_closed(smtp) == [421]
        smtp.close()
    server.wait_for("timeout exceeded by unknown.127.0.0.1.")
    with server.client() as smtp:
        send(smtp)


def test_slow_data(start):
    """Data may take longer than smtpd_timeout in all, while it comes."""
    server = start(smtpd_timeout="1s")
    with begin(server.client()) as smtp:
        smtp.docmd("DATA")
        for _ in range(20):
            smtp.send(b"x" * 998 + b"\r\n")
            time.sleep(0.1)  # not for synchronisation: this client is slow
        smtp.send(b".\r\n")
        assert smtp.getreply()[0] == 250


def test_dripping_data(start):
    """An octet now and then does not keep a session."""
    server = start(smtpd_timeout="1s")
    smtp = begin(server.client(), data=True)
    for _ in range(10 * PATIENCE):
        time.sleep(0.1)  # likewise
        try:
            smtp.send(b"x")
        except (OSError, smtplib.SMTPServerDisconnected):
            break
    smtp.close()
    server.wait_for("timeout exceeded")
    assert server.messages() == []


def test_a_client_that_does_not_read(start):
    """Replies that nobody takes do not hold a session for ever."""
    server = start(smtpd_timeout="1s", default_process_limit=1)
    with socket.create_connection(("localhost", server.ports[0]), PATIENCE) as deaf:
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionResetError):  # or it is slow
            while True:
                deaf.send(b"HELP\r\n" * 10_000)
        server.wait_for("too many errors from unknown.127.0.0.1.")
        with server.client() as smtp:
            send(smtp)


def test_connections_of_an_address(start):
    """One address does not get all places: what it opens beyond its limit is told so and closed.

    Both ports count together; what is closed counts no more.
    """
    server = start(*BOTH, smtpd_client_connection_count_limit=2)
    with server.client() as first, socket.create_connection(("localhost", server.ports[1])):
        with pytest.raises(smtplib.SMTPConnectError, match="too many connections from 127"):
            server.client()
        with socket.create_connection(("localhost", server.ports[1]), PATIENCE) as tls:
            assert tls.recv(100) == b""
        server.wait_for("connection count 2 exceeded by unknown.127.0.0.1.")
        first.quit()
        for _ in range(10 * PATIENCE):  # the server is told of the end a moment later
            with contextlib.suppress(smtplib.SMTPConnectError), server.client() as other:
                send(other)
                break
            time.sleep(0.1)
    assert len(server.messages()) == 1


@pytest.mark.parametrize("command", ["NOOP", "RSET", "EHLO x", "HELO x", "VRFY <a@b>", "HELP"])
def test_junk_commands(start, command):
    """After 100 commands that do no work each is an error, as with Postfix; 20 end the session."""
    server = start()
    with server.client() as smtp:
        smtp.send(f"{command}\r\n" * 5000)
        codes = replies_until_closed(smtp)
        assert codes.count(250) + codes.count(252) == 120
        assert codes[120:] == [421]
        smtp.close()
    server.wait_for("too many errors from unknown.127.0.0.1.")


def test_starttls_is_junk(start):
    """Where STARTTLS is the last straw, there is no handshake, and the place is free again."""
    server = start(default_process_limit=1)
    with server.client() as smtp:
        smtp.send("NOOP\r\n" * 119 + "STARTTLS\r\n")
        assert replies_until_closed(smtp)[119:] == [220, 421]
        smtp.close()
    with server.client() as smtp:
        send(smtp)


def test_errors_are_counted(start):
    """Twenty errors end a session; a delivery makes up for those before it."""
    server = start()
    with server.client() as smtp:
        smtp.ehlo("x")
        for _ in range(3):
            for _ in range(19):
                assert smtp.docmd("RCPT TO:<x@y>")[0] == 503
            send(smtp)
        for _ in range(20):
            assert smtp.docmd("RCPT TO:<x@y>")[0] == 503
        assert replies_until_closed(smtp) == [421]
        smtp.close()


def test_command_sizes(start):
    """No EHLO makes commands longer, neither for oneself nor for others; digits are no error."""
    server = start()
    with server.client() as smtp, server.client() as other:
        other.ehlo("x")
        for _ in range(50):
            smtp.ehlo("x")
        for client in (smtp, other):
            for digits in (1000, 5000):
                assert client.docmd(f"MAIL FROM:<a@b> SIZE={'1' * digits}")[0] == 500
            assert client.docmd(f"MAIL FROM:<a@b> SIZE={'1'.zfill(520)}")[0] == 250
        with server.client():  # a newcomer takes nothing away
            other.docmd("RSET")
            assert other.docmd(f"MAIL FROM:<a@b> SIZE={'1'.zfill(520)}")[0] == 250


def test_log_lines_are_bounded(start):
    """A thousand recipients do not make a line of the log that nobody can read."""
    server = start()
    with server.client() as smtp:
        smtp.sendmail("a@b", [f"{'x' * 200}{n}@mx.example" for n in range(200)], MESSAGE)
    server.wait_for(r"200 recipients\), size=\d+, delivered as")
    assert max(map(len, server.lines)) < 1500


def test_memory(start):
    """Memory does not grow with a message, however many its lines (aiosmtpd: 160 octets a line)."""
    server = start()
    (worker,) = server.workers()
    before = peak_memory(worker)
    with begin(server.client()) as smtp:
        smtp.docmd("DATA")
        smtp.send(b"\r\n" * 1_000_000 + b".\r\n")
        assert smtp.getreply()[0] == 250
    assert peak_memory(worker) - before < 20_000


def peak_memory(pid: int) -> int:
    """Return the most memory that a process has had, in kB."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_undecodable_certificate(start, host, clique, implicit):
    """A certificate with a name that ssl cannot decode costs its client no mail.

    asyncio calls getpeercert(), which raises for a name that is not UTF-8, with stock ssl.
    """
    server = start(*BOTH)
    name = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03\x82\x01\xff")
    context = host.client(clique.leaf(extensions=[(name, False)]))
    with server.client(context, implicit=implicit) as smtp:
        send(smtp)
    server.wait_for("trust=Untrusted.*delivered as")


def test_garbage(start):
    """Garbage instead of commands or of TLS ends a session, not a server."""
    server = start(*BOTH)
    for port in server.ports:
        client = socket.create_connection(("localhost", port), PATIENCE)
        with client, contextlib.suppress(OSError):
            client.sendall(bytes(range(256)) * 1000)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
    with server.client() as smtp:
        send(smtp)
    server.wait_for("delivered as")
    assert not any("Traceback" in line for line in server.lines)
