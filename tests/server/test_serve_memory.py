"""A worker that gets no more memory: it refuses or closes, and what is refused stays refused."""

import contextlib
import resource
import sys
from pathlib import Path

import pytest
from serving import begin, replies_until_closed, send, serving

SMUGGLED = (
    b"RSET\r\nMAIL FROM:<boss@client.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n"
    b"Subject: smuggled\r\n\r\n.\r\n"
)
FAILING = """
import os
import sys
from ccert.cli import main
from ccert.server.smtp_ending import Ending
from ccert.server.smtp_message import Reception

take = Reception._take

def take_what_there_is_memory_for(reception, line):
    if line == b"no memory\\r\\n":
        raise MemoryError
    take(reception, line)

def abort(session):
    raise MemoryError

Reception._take = take_what_there_is_memory_for
if os.environ["ENDING"] == "fails":
    Ending.abort = abort
sys.exit(main())
"""


@contextlib.contextmanager
def little_memory(process: int, more: int):
    """Limit a process to what it has, and so many octets more."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[0])
    before = resource.prlimit(process, resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + more
    resource.prlimit(process, resource.RLIMIT_AS, (limit, before[1]))
    yield
    resource.prlimit(process, resource.RLIMIT_AS, before)


@pytest.fixture
def server(host, tmp_path):
    with serving(tmp_path / "Mail", "--cert", host.certfile, "--key", host.keyfile) as server:
        yield server


@pytest.fixture
def worker(server) -> int:
    (worker,) = server.workers()
    return worker


def test_deliveries_need_no_new_thread(server, worker):
    """All threads are there before the first client: for none of them is memory missing later.

    An executor that starts them later keeps the call for which it could not, and stores a message
    that has been refused.
    """
    threads = len(list(Path(f"/proc/{worker}/task").iterdir()))
    with server.client() as smtp:
        with little_memory(worker, 4 << 20):  # half of a thread's stack
            for _ in range(3):
                send(smtp)
        send(smtp)
    assert len(list(Path(f"/proc/{worker}/task").iterdir())) == threads > 1
    assert len(server.messages()) == 4


@pytest.mark.parametrize("ending", ["works", "fails"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_rest_of_a_message_is_no_command(monkeypatch, host, tmp_path, tls, ending):
    """If memory runs out amid a message, the session ends: its text must not run as commands.

    So it is if there is no memory for ending it, either.
    """
    command = tmp_path / "ccert"
    command.write_text(f"#!{sys.executable}\n{FAILING}")
    command.chmod(0o755)
    monkeypatch.setattr("serving.COMMAND", command)
    files = ("--cert", host.certfile, "--key", host.keyfile)
    with serving(tmp_path / "Mail", *files, ENDING=ending) as server:
        smtp = begin(server.client(host.client() if tls else None))
        assert smtp.docmd("DATA")[0] == 354
        smtp.send(b"Subject: a\r\n\r\nno memory\r\n" + SMUGGLED)
        assert [code for code in replies_until_closed(smtp) if code < 400] == []
        smtp.close()
        server.wait_for("internal error: MemoryError")
        with server.client() as again:
            send(again)
        assert len(server.messages()) == 1
