"""A session inside: what only its objects can tell."""

import asyncio
import contextlib
import functools
import gc
import smtplib
import weakref
from unittest import mock

import pytest
from serving import PATIENCE, send

from ccert.server.config import Config
from ccert.server.handler import Handler
from ccert.server.maildir import Maildir
from ccert.server.received import Trace
from ccert.server.smtp import SMTP
from ccert.server.worker import Worker


@contextlib.contextmanager
def no_garbage_collection():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("end", ["QUIT", "disconnect"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_a_session_leaves_nothing_behind(host, tmp_path, tls, end):
    """Its memory is free at its end: the garbage collector, which comes late, is not needed."""
    config = Config(myhostname="mx.example")
    maildir = Maildir(str(tmp_path / "Mail"))
    handler = Handler(config, maildir)
    context = host.context()
    sessions = []

    def client(port: int) -> None:
        smtp = smtplib.SMTP("localhost", port, timeout=PATIENCE)
        if tls:
            smtp.starttls(context=host.client())
        send(smtp)
        if end == "QUIT":
            smtp.quit()
        smtp.close()

    async def main() -> None:
        def session() -> SMTP:
            smtp = SMTP(handler, config, spool=maildir.tmp, context=lambda: context)
            sessions.append((weakref.ref(smtp), asyncio.ensure_future(smtp.ended())))
            return smtp

        loop = asyncio.get_running_loop()
        server = await loop.create_server(session, "127.0.0.1", 0)
        async with server:
            await asyncio.to_thread(client, server.sockets[0].getsockname()[1])
            await asyncio.wait_for(sessions[0][1], PATIENCE)

    with no_garbage_collection():
        asyncio.run(main())
        ((session, _),) = sessions
        assert session() is None


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
        worker = Worker(config, [], [], None)
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
