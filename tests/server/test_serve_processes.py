"""How ``ccert serve`` lives: signals, workers, limits.  What was acknowledged is never lost."""

import os
import signal
import smtplib
import socket

import pytest
from serving import BOTH, MESSAGE, PATIENCE, begin, replies_until_closed, send

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
        with pytest.raises(ConnectionRefusedError):  # localhost may have another address, too
            socket.create_connection(("127.0.0.1", server.ports[0]), PATIENCE)


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
        assert not any("Error" in line for line in server.lines)
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


def test_a_worker_that_dies_again_and_again_is_not_hurried(start):
    """Each comes back after a longer pause than the one before."""
    server = start()
    pauses = []
    for _ in range(4):
        os.kill(*server.workers(), signal.SIGKILL)
        pauses.append(float(server.wait_for(r"worker \d+ .*: another one in ([\d.]+) s")[1]))
        server.wait_for("ready again: listening workers: 1")
    assert pauses == sorted(set(pauses))
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
