"""A session inside: what only its objects can tell."""

import asyncio
import contextlib
import functools
import gc
import smtplib
import socket
import struct
import weakref
from unittest import mock

import pytest
from serving import PATIENCE, send

from ccert.server.config import Config
from ccert.server.files import Files
from ccert.server.received import Trace
from ccert.server.smtp import SMTP
from ccert.server.tls_protocol import TLS
from ccert.server.worker import Worker


@contextlib.contextmanager
def no_garbage_collection():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def quit_it(smtp: smtplib.SMTP) -> None:
    send(smtp)
    smtp.quit()


def disconnect(smtp: smtplib.SMTP) -> None:
    send(smtp)


def reset(smtp: smtplib.SMTP) -> None:
    """End the connection by RST, with commands on their way."""
    smtp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    smtp.send("NOOP\r\n" * 100)


def spoil(smtp: smtplib.SMTP) -> None:
    """Ask for TLS, and send something else."""
    smtp.docmd("STARTTLS")
    smtp.send("no TLS\r\n" * 1000)
    with contextlib.suppress(OSError):
        smtp.sock.recv(1)


@pytest.fixture
def worker(host, tmp_path):
    config = Config(
        myhostname="mx.example",
        smtpd_tls_cert_file=str(host.certfile),
        smtpd_tls_key_file=str(host.keyfile),
        maildir=str(tmp_path / "Mail"),
    )
    files = Files(config)
    with files.handler.deliveries.running():
        yield Worker(config, files, [], [], None)


@pytest.fixture
def made(monkeypatch) -> list[weakref.ref]:
    """Have noted what sessions are made of."""
    made = []
    for kind in (SMTP, TLS, asyncio.StreamReader):

        def note(part, *args, initialize=kind.__init__, **kwargs):
            made.append(weakref.ref(part))
            initialize(part, *args, **kwargs)

        monkeypatch.setattr(kind, "__init__", note)
    return made


async def talk(worker: Worker, client, *, tls: bool) -> None:
    """Let a client in a thread talk with a worker."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        visit = asyncio.create_task(asyncio.to_thread(client, listener.getsockname()[1]))
        connection, address = await asyncio.to_thread(listener.accept)
    connection.setblocking(False)
    await asyncio.wait_for(asyncio.gather(worker._talk(connection, address, tls=tls), visit), 60)
    worker._sessions.clear()


@pytest.mark.parametrize("end", [quit_it, disconnect, reset, spoil])
@pytest.mark.parametrize("how", ["clear", "starttls", "implicit"])
def test_a_session_leaves_nothing_behind(host, worker, made, how, end):
    """Its memory is free at its end: the garbage collector, which comes late, is not needed."""

    def client(port: int) -> None:
        if how == "implicit" and end is spoil:
            with socket.create_connection(("localhost", port), PATIENCE) as connection:
                connection.sendall(b"no TLS\r\n" * 1000)
            return
        if how == "implicit":
            smtp = smtplib.SMTP_SSL("localhost", port, timeout=PATIENCE, context=host.client())
        else:
            smtp = smtplib.SMTP("localhost", port, timeout=PATIENCE)
        if how == "starttls" and end is not spoil:
            smtp.starttls(context=host.client())
        smtp.ehlo("x")
        end(smtp)
        smtp.close()

    with no_garbage_collection():
        asyncio.run(talk(worker, client, tls=how == "implicit"))
        assert made
        assert [part() for part in made if part()] == []


def test_one_that_cannot_be_ended(host, tmp_path, caplog):
    """A session that is not to be ended properly is cut off; the others end as ever."""
    config = Config(
        smtpd_tls_cert_file=str(host.certfile),
        smtpd_tls_key_file=str(host.keyfile),
        maildir=str(tmp_path / "Mail"),
    )
    ends = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        worker = Worker(config, Files(config), [], [], None)
        for number, error in enumerate([RuntimeError("broken"), None]):
            gone = loop.create_future()

            def end(how: str, number=number, gone=gone) -> None:
                ends.append((number, how))
                gone.set_result(None)

            session = mock.Mock(transport=True)
            session.leave = mock.Mock(side_effect=error or functools.partial(end, "leave"))
            session.abort = functools.partial(end, "abort")
            worker._sessions[gone] = session
        await worker._finish()

    asyncio.run(main())
    assert ends == [(0, "abort"), (1, "leave")]
    assert "broken" in caplog.text


def test_trace_without_address():
    """A client that was gone before one could ask for its address has none in the header."""
    trace = Trace(
        helo="x", address="", protocol="ESMTP", peer=None, asked=True,
        hostname="mx.example", id="1", sender="", recipients=["b@mx.example"],
    )  # fmt: skip
    assert "Received: from x (unknown [unknown])" in trace.lines()
