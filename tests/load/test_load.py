"""``ccert serve`` under load: nothing is lost, nothing duplicated, every verdict is right.

Two workers, 200 clients at a time with every kind of certificate (300 at first), and faulty ones;
then fewer of them while workers and whole servers are killed.  ``CCERT_LOAD`` says how many seconds
the load lasts; from five minutes on, as with ``make soak``, memory is judged, too.
"""

import contextlib
import functools
import os
import queue
import random
import signal
import smtplib
import socket
import subprocess
import sys
import time

import pytest
from programs import require_program
from serving import send

from load.client import ACKNOWLEDGED, NOT_BEGUN, Ports
from load.crew import playing
from load.gauges import Gauges
from load.ledger import Ledger
from load.target import target

DURATION = float(os.environ.get("CCERT_LOAD") or 8)
SOAK = DURATION >= 300
CLIENTS = 200
KILLS = 20 if SOAK else 3
GROWTH = 1.0  # percent of memory a minute, over the last half of a soak


@pytest.fixture
def start(host, clique, tmp_path):
    """Return a function that starts a server; its parameters are those of ``target``."""
    return functools.partial(target, host, clique, tmp_path, workers=2, default_process_limit=300)


def say(text: str) -> None:
    """Tell how it goes, for ``make soak``."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def log_of(server) -> list[str]:
    """Return what the log has by now, once."""
    lines, server.lines = server.lines, []
    with contextlib.suppress(queue.Empty):
        while (line := server.unread.get_nowait()) is not None:
            lines.append(line)
    return lines


def watch(server, ledger: Ledger, gauges: Gauges, seconds: float) -> None:
    """Read along while the load lasts; have the server reload its files now and then."""
    began = said = reloaded = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        ledger.read_mail()
        ledger.read_log(log_of(server))
        reading = gauges.note()
        if now - said > 10:
            said = now
            say(f"{now - began:4.0f} s: {ledger}, {reading}")
        if now - reloaded > 5:
            reloaded = now
            server.tell(signal.SIGHUP)
        time.sleep(0.2)  # this is no synchronisation: the load is to last


def test_load(start, tmp_path):
    """All mail arrives once, judged as each client deserves, in the header as well as in the log.

    Faulty clients beside them change nothing; in the end all file descriptors are closed.
    """
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(start(smtpd_timeout="30s", smtpd_starttls_timeout="30s"))
        ledger, gauges = Ledger(server.maildir), Gauges(server.workers())
        idle = gauges.read().descriptors
        play = functools.partial(playing, directory=tmp_path, ports=Ports(*server.ports))
        loads = [stack.enter_context(play("load", clients=CLIENTS // 2)) for _ in range(3)]
        for load in loads:
            load.wait_until_open()
        opened = gauges.read().descriptors - idle
        trouble = stack.enter_context(play("trouble", clients=20))
        trouble.wait_until_open()
        for process in (*loads, trouble):
            process.begin()
        watch(server, ledger, gauges, DURATION / 4)
        # The kernel shares clients out unevenly, now one way, now the other: a worker that had a
        # crowd needs no more memory for fewer.
        reports = [loads.pop().end()]
        watch(server, ledger, gauges, DURATION * 3 / 4)
        reports += [process.end() for process in (*loads, trouble)]
        gauges.wait_for_descriptors(idle)
        server.tell(signal.SIGTERM)
        assert server.finish() == 0
        ledger.read_log(log_of(server))
    outcomes = ledger.settle([attempt for report in reports for attempt in report.attempts])
    for report in reports:
        say(str(dict(report.counts)))
    say(f"{CLIENTS} clients, {DURATION:.0f} s: {dict(outcomes)}; {gauges}")
    failures = [failure for report in reports for failure in report.failures]
    assert not failures, "\n".join(failures)
    assert not ledger.problems, "\n".join(ledger.problems)
    assert opened >= CLIENTS
    assert outcomes.keys() == {ACKNOWLEDGED}
    assert ledger.logged == ledger.arrivals
    assert sum(report.counts["resumed"] for report in reports) > 0
    assert not SOAK or gauges.memory_growth() < GROWTH


@pytest.fixture
def persistent(tmp_path):
    """Return a function that starts clients who come back until all is acknowledged."""
    with contextlib.ExitStack() as stack:

        def persistent(server):
            process = stack.enter_context(
                playing("persistent", directory=tmp_path, ports=Ports(*server.ports), clients=60)
            )
            process.wait_until_open()
            process.begin()
            return process

        yield persistent


def settled(ledger: Ledger, report) -> set[str]:
    """Have nothing lost or duplicated, in spite of interruptions; return how attempts ended."""
    outcomes = ledger.settle(report.attempts)
    say(f"{dict(outcomes)}; {dict(report.counts)}")
    assert not report.failures, "\n".join(report.failures)
    assert not ledger.problems, "\n".join(ledger.problems)
    assert report.counts["interrupted"] > 0
    return set(outcomes)


def test_killed_workers(start, persistent):
    """kill -9 of one worker after the other: what was acknowledged is in the Maildir, once."""
    with start() as server:
        ledger = Ledger(server.maildir)
        clients = persistent(server)
        for _ in range(min(KILLS, 6)):  # the pauses before they are replaced become longer
            ledger.read_until(100)
            victim = min(server.workers())
            os.kill(victim, signal.SIGKILL)
            server.wait_for(f"worker {victim} was killed by SIGKILL")
        ledger.read_until(100)
        report = clients.end()
        ledger.read_log(log_of(server))
    settled(ledger, report)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_servers_come_and_go(start, persistent, tmp_path, how):
    """kill -9 of master and workers, and the next one: what was acknowledged is there, once.

    SIGTERM does not even break a transaction that has begun.
    """
    ledger = Ledger(tmp_path / "Mail")
    listen = [f"127.0.0.1:{port}" for port in quiet_ports(2)]
    clients = None
    for _ in range(KILLS):
        with start(*listen) as server:
            clients = clients or persistent(server)
            ledger.read_until(100)
            if how == "killed":
                for pid in (server.process.pid, *server.workers()):
                    os.kill(pid, signal.SIGKILL)
            else:
                server.tell(signal.SIGTERM)
            assert server.finish() == (-signal.SIGKILL if how == "killed" else 0)
            ledger.read_log(log_of(server))
    ended = settled(ledger, clients.end())
    assert how == "killed" or ended <= {ACKNOWLEDGED, NOT_BEGUN}


def quiet_ports(count: int) -> list[int]:
    """Choose free ports that the system gives to no client while the server is away."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(20000, 32768)  # below Linux's ip_local_port_range
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
    return ports


FAILING_FSYNC = """
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
int fsync(int fd)
{
    struct stat status;
    errno = EIO;
    return !access(getenv("DISK_FAILS"), F_OK)
        && (fstat(fd, &status) || !S_ISDIR(status.st_mode) == !DIRECTORY) ? -1 : 0;
}
"""


@pytest.mark.parametrize("directory", [0, 1], ids=["file", "directory"])
def test_failing_disk(start, tmp_path, directory):
    """Where fsync fails, of the message or of its directory, there is no 250."""
    library, failing = tmp_path / "fsync.so", tmp_path / "failing"
    require_program("gcc")
    command = ["gcc", "-shared", "-fPIC", f"-DDIRECTORY={directory}", "-o", library, "-xc", "-"]
    subprocess.run(command, input=FAILING_FSYNC, text=True, check=True)
    environment = {
        "LD_PRELOAD": f"{os.environ.get('LD_PRELOAD', '')} {library}",
        "DISK_FAILS": str(failing),
    }
    with start(environment=environment) as server, server.client() as smtp:
        send(smtp)
        failing.touch()
        with pytest.raises(smtplib.SMTPDataError, match="451"):
            send(smtp)
        server.wait_for("not delivered: .*Input/output error")
