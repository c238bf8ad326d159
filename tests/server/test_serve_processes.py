"""How ``ccert serve`` lives: signals, workers, limits.  What was acknowledged is never lost."""

import contextlib
import os
import re
import select
import signal
import smtplib
import socket
import ssl
import time
from pathlib import Path

import pki
import pytest
from cryptography import x509
from serving import MESSAGE, PATIENCE, send, serving

BOTH = ["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]


@pytest.fixture
def start(host, tmp_path):
    """Return a function that starts a server; parameters go into a configuration file."""
    with contextlib.ExitStack() as stack:

        def start(*options, files=None, **parameters):
            config = tmp_path / "main.cf"
            config.write_text("".join(f"{name} = {value}\n" for name, value in parameters.items()))
            words = ["--cert", host.certfile, "--key", host.keyfile, "--config", config, *options]
            return stack.enter_context(serving(tmp_path / "Mail", *words, files=files))

        yield start


def begin(smtp: smtplib.SMTP, *, data: bool = False) -> smtplib.SMTP:
    """Open a transaction."""
    smtp.ehlo("client.example")
    smtp.docmd("MAIL FROM:<a@client.example>")
    smtp.docmd("RCPT TO:<b@mx.example>")
    if data:
        smtp.docmd("DATA")
        smtp.send(MESSAGE)
    return smtp


def replies_until_closed(smtp: smtplib.SMTP) -> list[int]:
    """Return the codes of what the server still says."""
    codes = []
    with contextlib.suppress(smtplib.SMTPServerDisconnected):
        while True:
            codes.append(smtp.getreply()[0])
    return codes


# -- stopping --


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_stop_amid_a_message(start, host, number, tls):
    """Whoever has begun a message may end it, and it is kept; idle sessions end; exit status 0."""
    server = start("--workers", "2")
    context = host.client() if tls else None
    with (
        server.client(context) as idle,
        server.client(context) as data,
        server.client(context) as mail,
    ):
        idle.ehlo("client.example")
        begin(data, data=True)
        begin(mail)
        server.tell(number)
        assert replies_until_closed(idle) == [421]
        data.send(b".\r\n")
        assert replies_until_closed(data) == [250, 421]
        assert mail.data(MESSAGE)[0] == 250
        assert replies_until_closed(mail) == [421]
        assert server.finish() == 0
        assert len(server.messages()) == 2
        with pytest.raises(ConnectionRefusedError):
            server.client()


@pytest.mark.parametrize("end", ["RSET", "QUIT", "EHLO x", "STARTTLS"])
def test_stop_after_a_transaction_without_a_message(start, end):
    """A transaction that is given up has ended, too."""
    server = start()
    smtp, idle = begin(server.client()), server.client()
    server.tell(signal.SIGTERM)
    assert replies_until_closed(idle) == [421]  # so the worker knows
    idle.close()
    assert smtp.docmd(end)[0] in {220, 221, 250}
    if end != "STARTTLS":
        assert replies_until_closed(smtp) == ([] if end == "QUIT" else [421])
    smtp.close()
    assert server.finish() == 0


def test_stop_is_bounded(start):
    """Nobody holds a server up beyond shutdown_timeout; what it had begun is not kept."""
    server = start(shutdown_timeout="1s")
    with begin(server.client(), data=True) as smtp:
        server.tell(signal.SIGTERM)
        assert server.finish() == 0
        assert any("cutting off 1 sessions" in line for line in server.lines)
        with pytest.raises((OSError, smtplib.SMTPException)):
            smtp.getreply()
        smtp.close()
    assert server.messages() == []
    assert list((server.maildir / "tmp").iterdir()) == []


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_stop_amid_a_farewell(start, host, implicit):
    """Whoever said QUIT in TLS and then stays costs nobody else the message, nor a place for long.

    asyncio's transport is closed then, and does not take another word.
    """
    server = start(*BOTH)
    with (
        server.client(host.client(), implicit=implicit) as staying,
        begin(server.client(), data=True) as other,
    ):
        assert staying.docmd("QUIT")[0] == 221  # and no close_notify: smtplib sends none
        server.tell(signal.SIGTERM)
        server.wait_for("stopping")
        other.send(b".\r\n")
        assert replies_until_closed(other) == [250, 421]
        assert server.finish() == 0
        staying.close()
    assert len(server.messages()) == 1
    assert not any("ERROR" in line or "cutting off" in line for line in server.lines)


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_a_farewell_is_bounded(start, host, implicit):
    """Whoever said QUIT in TLS and then stays gives the place free, whatever the time limits."""
    server = start(*BOTH, default_process_limit=1)
    with server.client(host.client(), implicit=implicit) as staying:
        assert staying.docmd("QUIT")[0] == 221
        with socket.create_connection(("localhost", server.ports[0]), 15) as other:  # asyncio: 30
            assert other.recv(4) == b"220 "
        staying.close()


def test_stop_amid_handshakes(start):
    """Handshakes are not waited for, neither after STARTTLS nor of implicit TLS."""
    server = start(*BOTH)
    with server.client() as starttls, socket.create_connection(("localhost", server.ports[1])):
        starttls.ehlo("x")
        starttls.docmd("STARTTLS")
        server.tell(signal.SIGTERM)
        assert server.finish() == 0
        starttls.close()
    assert not any("cutting off" in line or "ERROR" in line for line in server.lines)


# -- workers --


def test_two_workers_share_a_port(start):
    """Both serve, and deliver without clashes."""
    server = start("--workers", "2")
    pids = set()
    for _ in range(200):  # the kernel chooses; 200 times the same one: 2**-199
        with server.client() as smtp:
            send(smtp)
        pids.add(server.wait_for(r"ccert\[(\d+)\].*delivered as")[1])
        if len(pids) == 2:
            break
    assert {int(pid) for pid in pids} == server.workers()


def test_a_killed_worker_is_replaced(start):
    """kill -9 of a worker costs its sessions, nothing else."""
    server = start()
    with server.client() as smtp:
        send(smtp)
        (killed,) = server.workers()
        os.kill(killed, signal.SIGKILL)
        assert server.wait_for(r"worker (\d+) was killed by SIGKILL")[1] == str(killed)
        with pytest.raises((OSError, smtplib.SMTPException)):
            send(smtp)
        smtp.close()
    server.wait_for("ready again: listening workers: 1")
    with server.client() as smtp:
        send(smtp)
    assert len(server.messages()) == 2
    assert server.workers().isdisjoint({killed})


def test_a_worker_that_cannot_start_is_not_hurried(start, host, tmp_path):
    """Workers that die again and again come back after longer and longer pauses."""
    certfile = tmp_path / "mx.pem"
    certfile.write_bytes(host.certfile.read_bytes())
    server = start("--cert", certfile)
    certfile.unlink()
    os.kill(*server.workers(), signal.SIGKILL)
    pauses = []
    for _ in range(4):
        pauses.append(float(server.wait_for(r"worker \d+ .*: another one in ([\d.]+) s")[1]))
        assert "mx.pem: No such file" in "".join(server.lines) or len(pauses) == 1
    assert pauses == sorted(set(pauses))
    certfile.write_bytes(host.certfile.read_bytes())
    server.wait_for("ready again: listening workers: 1")
    with server.client() as smtp:
        send(smtp)


def test_workers_end_with_the_master(start):
    """kill -9 of the master: workers finish what they have begun, and end."""
    server = start("--workers", "2")
    with begin(server.client(), data=True) as smtp:
        server.process.kill()
        server.process.wait(PATIENCE)
        server.wait_for("the master is gone")
        server.wait_for("the master is gone")
        smtp.send(b".\r\n")
        assert replies_until_closed(smtp) == [250, 421]
        while server.unread.get(timeout=PATIENCE) is not None:  # the log ends with the last worker
            pass
    assert len(server.messages()) == 1


# -- reloading --


def served_by(server) -> bytes:
    """Return the certificate that the server presents, whatever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with server.client(context) as smtp:
        return smtp.sock.getpeercert(binary_form=True)


@pytest.fixture
def reloading(start, host, clique, tmp_path):
    """A server whose files may be changed, and these."""
    paths = {name: tmp_path / f"{name}.pem" for name in ("cert", "key", "cafile")}
    paths["cert"].write_bytes(host.certfile.read_bytes())
    paths["key"].write_bytes(host.keyfile.read_bytes())
    paths["cafile"].write_bytes(clique.root.pem)
    options = [word for name, path in paths.items() for word in (f"--{name}", path)]
    return start(*options, "--trust-server-ccerts", "yes", *BOTH), paths


def test_reload_certificate(reloading):
    """After SIGHUP new connections get the new certificate; old ones go on."""
    server, paths = reloading
    old = served_by(server)
    with begin(server.client(), data=True) as smtp:
        new = pki.issue("mx.example", eku=[pki.SERVER])
        paths["cert"].write_bytes(new.pem)
        paths["key"].write_bytes(new.key_pem)
        assert served_by(server) == old
        server.tell(signal.SIGHUP)
        server.wait_for("reloaded")
        assert served_by(server) == new.der
        smtp.send(b".\r\n")
        assert smtp.getreply()[0] == 250


@contextlib.contextmanager
def shaken_hands(server, context, *, implicit: bool, session: ssl.SSLSession | None = None):
    """Connect with a session; yields the socket after an EHLO within TLS."""
    plain = socket.create_connection(("localhost", server.ports[implicit]), PATIENCE)
    if not implicit:
        smtp = smtplib.SMTP()
        smtp.sock = plain
        assert smtp.getreply()[0] == 220
        smtp.ehlo("x")
        assert smtp.docmd("STARTTLS")[0] == 220
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
        if implicit:
            tls.recv(4096)
        tls.sendall(b"EHLO x\r\n")
        assert tls.recv(4096)[:3] == b"250"
        yield tls
        tls.sendall(b"QUIT\r\n")  # OpenSSL forgets sessions that did not end properly
        while tls.recv(4096):
            pass


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_reload_removed_ca(reloading, host, clique, implicit):
    """A CA that was removed from the file is trusted no more, not even by resumption."""
    server, paths = reloading
    context = host.client(clique.leaf())
    paths["cafile"].write_bytes(pki.issue("Other Root", ca=True).pem)
    with shaken_hands(server, context, implicit=implicit) as tls:
        session = tls.session
    server.wait_for("Trusted TLS connection established")
    with shaken_hands(server, context, implicit=implicit, session=session) as tls:
        assert tls.session_reused
        session = tls.session
    server.wait_for("Trusted TLS connection established")  # not before SIGHUP
    server.tell(signal.SIGHUP)
    server.wait_for("reloaded")
    for old in (None, session):
        with shaken_hands(server, context, implicit=implicit, session=old) as tls:
            assert not tls.session_reused
        server.wait_for("Untrusted TLS connection established")


def test_reload_starttls_in_an_old_session(reloading, host, clique):
    """A session from before that says STARTTLS afterwards is judged by the new CAs, too."""
    server, paths = reloading
    with server.client() as smtp:
        smtp.ehlo("x")
        paths["cafile"].write_bytes(pki.issue("Other Root", ca=True).pem)
        server.tell(signal.SIGHUP)
        server.wait_for("reloaded")
        smtp.starttls(context=host.client(clique.leaf()))
        send(smtp)
    server.wait_for("trust=Untrusted")


@pytest.mark.parametrize("broken", ["cert", "key", "cafile"])
def test_reload_broken_file(reloading, host, clique, broken):
    """A file that cannot be used leaves all as it was; the log says which."""
    server, paths = reloading
    for content in (b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"):
        paths[broken].write_bytes(content)
        server.tell(signal.SIGHUP)
        server.wait_for(f"not reloaded, all stays as it was: .*{paths[broken]}")
        with server.client(host.client(clique.leaf())) as smtp:
            send(smtp)
        server.wait_for("trust=Trusted")


def test_reload_tells_what_stays(reloading_tables):
    """What can be used is taken over, what cannot stays; the log tells of each which it was."""
    server, paths = reloading_tables
    for broken in paths:
        for name, path in paths.items():
            path.write_text("nonsense\n" if name == broken else "# empty\n")
        server.tell(signal.SIGHUP)
        server.wait_for(f"{broken}: not reloaded, all stays as it was: .*{paths[broken]}, line 1")
        (other,) = paths.keys() - {broken}
        server.wait_for(f"INFO: reloaded: certificates and CAs, {other}\n")


@pytest.fixture
def reloading_tables(start, tmp_path):
    """A server with two tables, and their files."""
    paths = {name: tmp_path / name for name in ("check_ccert_access", "relay_clientcerts")}
    for path in paths.values():
        path.write_text("# empty\n")
    return start(**paths), paths


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
        with contextlib.suppress(BlockingIOError):
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
