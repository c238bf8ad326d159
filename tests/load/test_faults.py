"""Faulty clients of ``ccert serve`` harm nobody but themselves.

One worker, so that all share a thread and its OpenSSL error queue; bystanders speak while a fault
is committed and after it.  In the end the log has no errors, no descriptor is left open, and no
mail has come that nobody sent.
"""

import asyncio
import contextlib
import functools
import itertools
import os
import re
import ssl
import subprocess

import pytest
from serving import PATIENCE

from load import faults
from load.bystanders import Bystanders
from load.cast import Cast
from load.client import ACKNOWLEDGED, VERSIONS, Ports, Visit, deliver, enter, leave
from load.connection import Connection
from load.gauges import Gauges
from load.interference import Counted, Cut, Dribbled, Garbled, Tampered
from load.ledger import Ledger
from load.scene import Scene
from load.target import target

STRIDE = 1 if os.environ.get("CCERT_LOAD") else 13  # octets from one cut to the next
WAYS = list(itertools.product(VERSIONS, (False, True)))  # STARTTLS, implicit TLS


@pytest.fixture(scope="module")
def start(host, clique, tmp_path_factory):
    """Return a context manager that runs a server, and judges it at the end."""

    @contextlib.contextmanager
    def start(**parameters):
        directory = tmp_path_factory.mktemp("faults")
        with target(host, clique, directory, **parameters) as server:
            gauges, ledger = Gauges(server.workers()), Ledger(server.maildir)
            bystanders = Bystanders()
            idle = gauges.read().descriptors
            yield Scene(Ports(*server.ports), Cast(directory)), bystanders
            gauges.wait_for_descriptors(idle)
            server.process.terminate()
            assert server.finish() == 0
            ledger.read_log(server.lines)
        outcomes = ledger.settle(bystanders.attempts)
        assert outcomes.keys() == {ACKNOWLEDGED}
        assert not ledger.problems, "\n".join(ledger.problems)

    return start


@pytest.fixture(scope="module")
def street(start):
    with start() as street:
        yield street


@pytest.fixture
def scene(street) -> Scene:
    return street[0]


@pytest.fixture
def commit(street):
    """Return a function that has faults committed, one by one, beside bystanders."""
    scene, bystanders = street

    async def commit(committed):
        async with bystanders.present(scene):
            for fault in committed:
                await bystanders.speak_during(fault)

    return lambda committed: asyncio.run(commit(committed))


async def deliver_in(scene, attempts, visit: Visit, *kind: type[Connection]) -> Connection:
    """Deliver a message, through a connection of some kind."""
    async with scene.connected(visit, *kind) as connection:
        await enter(connection, visit, scene.cast)
        attempts.append(await deliver(connection, visit.message(f"{visit.role}-{len(attempts)}")))
        await leave(connection)
    return connection


@pytest.fixture
def honestly(street):
    """Return a function that makes a fault of a delivery, which is none."""
    scene, bystanders = street
    return functools.partial(deliver_in, scene, bystanders.attempts)


def handshake_size(honestly, visit: Visit) -> int:
    """Return how many octets of TLS a client sends in all, this time."""
    return asyncio.run(honestly(visit, Counted)).sent


@pytest.mark.parametrize("role", ["both", "malformed"])
def test_cut(commit, scene, honestly, role, version):
    """Clients that end amid the handshake, after any octet, by FIN or RST."""
    visit = Visit(role, version, implicit=True)
    size = handshake_size(honestly, visit)
    commit(faults.interfere(scene, visit, Cut, at=at) for at in range(0, size, STRIDE))
    commit(faults.reset(scene, visit, at=at) for at in range(5, size, 3 * STRIDE))
    starttls = Visit(role, version, implicit=False)
    commit(faults.interfere(scene, starttls, Cut, at=at) for at in range(0, size, 9 * STRIDE))


@pytest.mark.parametrize("role", ["both", "malformed"])
def test_tampered(commit, scene, honestly, role, version):
    """Clients of whose handshake a bit is wrong, any one."""
    visit = Visit(role, version, implicit=True)
    commit(
        faults.interfere(scene, visit, Tampered, at=at, mask=1 << at % 8)
        for at in range(0, handshake_size(honestly, visit), STRIDE)
    )


@pytest.mark.parametrize("garbage", faults.GARBAGE.values(), ids=faults.GARBAGE.keys())
def test_garbage(commit, scene, garbage):
    """Garbage in place of SMTP, of the ClientHello, of the rest of the handshake, and after it."""
    visits = [Visit("both", *way) for way in WAYS]
    commit(faults.babble(scene, visit, garbage) for visit in visits)
    commit(
        faults.interfere(scene, visit, Garbled, flight=flight, garbage=garbage)
        for visit in visits
        for flight in range(3)
    )


@pytest.mark.parametrize("role", ["malformed", "extra"])
def test_malformed(commit, honestly, role):
    """Malformed certificates, at once and octet by octet: judged like any others."""
    visits = [Visit(role, *way) for way in WAYS]
    commit(honestly(visit, kind) for visit in visits for kind in (Connection, Dribbled))


def test_hung_up(commit, scene):
    """Clients that leave amid a transaction: nothing is delivered."""
    commit(
        faults.hang_up(scene, Visit("both", *way), commands, reset=reset)
        for way in WAYS
        for commands in range(4)
        for reset in (False, True)
    )


def test_injection(commit, scene, version):
    """Commands that come in the clear after STARTTLS are not taken for what comes within TLS."""
    commit([faults.inject(scene, Visit("both", version, implicit=False))])


def test_large_chains(commit, scene, honestly):
    """200 kB of certificates are refused; nearly as much as libssl takes is fine."""
    commit(faults.overload(scene, Visit("too-large", *way)) for way in WAYS)
    commit(honestly(Visit("large", *way)) for way in WAYS)


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_renegotiation(commit, scene, implicit):
    """Another handshake on the same connection is refused."""
    commit([faults.renegotiate(scene, Visit("extra", ssl.TLSVersion.TLSv1_2, implicit))])


def test_renegotiation_by_s_client(commit, scene):
    """So says openssl s_client, too."""
    commit([s_client("-connect", f"127.0.0.1:{scene.ports.starttls}", "-starttls", "smtp")])


async def s_client(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-tls1_2", *words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(b"R\n"), PATIENCE)
    assert re.search(rb"^RENEGOTIATING$.*no renegotiation", output, re.DOTALL | re.MULTILINE)


def test_patience(start):
    """Clients that stall anywhere in the handshake, or read no replies, are cut off in the end."""
    with start(smtpd_starttls_timeout="3s", smtpd_timeout="3s") as (scene, bystanders):
        visits = [Visit("both", *way) for way in WAYS]

        async def try_it():
            await asyncio.gather(
                *(
                    faults.stall(scene, visit, at)
                    for visit in visits
                    for at in (0, 1, 5, 300, 1000)
                ),
                *(faults.deafen(scene, visit) for visit in visits[1:3]),  # 1.2 implicit, 1.3 not
            )

        async def commit():
            async with bystanders.present(scene):
                await bystanders.speak_during(try_it())

        asyncio.run(commit())
