"""PolicyService against services that do not behave: the default action, in time, and a warning."""

import asyncio
import socket

import pytest
from policyd import DEFAULT, SOON, about, asking, echo, policyd

from ccert.postfix.policy import PolicyService
from ccert.postfix.policy_connections import _Connection

# -- connections that end --


def test_closed_while_idle(run, path, warnings):
    """A service that closes after each answer is asked anew, and nobody notices."""

    async def react(connection, request) -> None:
        await echo(connection, request)
        connection.close()

    async def main():
        async with policyd(path, react) as service, asking(path) as client:
            answers = [await client.ask(about(name)) for name in "abc"]
        return answers, service.connections

    assert run(main()) == (["REJECT a", "REJECT b", "REJECT c"], 3)
    assert warnings() == []


@pytest.mark.parametrize("sent", [b"", b"acti", b"action=OK", b"action=OK\n"])
def test_closed_instead_of_an_answer(run, path, sent, warnings):
    """A kept connection that is closed before a complete answer is replaced once, unseen."""
    turns = iter(["answer", "cut", "answer", "cut", "cut", "answer"])

    async def react(connection, request) -> None:
        if next(turns) == "answer":
            await echo(connection, request)
        else:
            await connection.send(sent)
            connection.close()

    async def main():
        async with policyd(path, react) as service, asking(path) as client:
            answers = [await client.ask(about(name)) for name in "ab"]
            assert warnings() == []
            answers += [await client.ask(about(name)) for name in "cd"]
        return answers, service.connections

    assert run(main()) == (["REJECT a", "REJECT b", DEFAULT, "REJECT d"], 4)
    (message,) = warnings()
    assert message.startswith("policy service unix:policy: ")
    assert message.endswith(f"; answering {DEFAULT}")


def test_closed_twice(run, path, warnings):
    """Whoever closes a second time is not asked a third time; one line tells."""

    async def react(connection, _request) -> None:
        connection.close()

    async def main():
        async with policyd(path, react) as service, asking(path) as client:
            return await client.ask(about("x")), service.connections

    assert run(main()) == (DEFAULT, 2)
    assert len(warnings()) == 1


def test_idle_connection_is_closed(run, path):
    """After max_idle seconds without a request a connection is given up."""

    async def main():
        async with policyd(path, echo) as service, asking(path, max_idle=0.01) as client:
            await client.ask(about("x"))
            await service.ended.wait()
            return await client.ask(about("y")), service.connections

    assert run(main()) == ("REJECT y", 2)


def test_close(run, path, warnings):
    """close() ends idle connections at once and the others after their answer."""

    async def react(connection, request) -> None:
        asked.set()
        await go.wait()
        await echo(connection, request)

    async def main():
        nonlocal asked, go
        asked, go = asyncio.Event(), asyncio.Event()
        async with policyd(path, react) as service:
            client = PolicyService(f"unix:{path}")
            answer = asyncio.ensure_future(client.ask(about("x")))
            await asked.wait()
            await client.close()
            assert service.open == 1
            go.set()
            assert await answer == "REJECT x"
            await service.ended.wait()
            service.ended.clear()
            assert await client.ask(about("y")) == "REJECT y"
            await client.close()
            await service.ended.wait()
            return service.open, service.connections

    asked = go = None
    assert run(main()) == (0, 2)
    assert warnings() == []


# -- answers that nobody may act upon --


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"\n", "no action"),
        (b"x=y\n\n", "no action"),
        (b"Action=OK\n\n", "no action"),
        (b"action =OK\n\n", "no action"),
        (b"action\n\n", "its answer has no action"),
        (b"action\naction=OK\n\n", "action ''"),
        (b"action=\naction=OK\n\n", "action ''"),
        (b"action= OK\n\n", "action ' OK'"),
        (b"action=HOLD\naction=OK\n\n", "action 'HOLD'"),
        (b"action=550\n\n", "action 550: add a text"),
        (b"action=OK\r\n\r\n", "control characters"),
        (b"action=OK\0\n\n", "control characters"),
        (b"220 mx.example ESMTP\r\n", "control characters"),
        (b"\x15\x03\x03\0\x02\x02\x28", "control characters"),
        (b"action=REJECT \x1b[2J\n\n", "control characters"),
        (b"action=REJECT \xff\n\n", "utf-8"),
        ("action=\u202eOK\n\n".encode(), r"action '\u202eOK'"),
        (b"x" * 10_000_000, "longer than 16384 octets"),
        (b"x=y\n" * 100_000, "longer than 16384 octets"),
        (b"action=OK " + b"x" * 16384 + b"\n\n", "longer than 16384 octets"),
    ],
    ids=lambda value: repr(value)[:25] if isinstance(value, bytes) else None,
)
def test_nonsense(run, path, answer, problem, warnings):
    """It ends in the default action and one line that says why; the connection is not kept."""
    answers = iter([answer, b"action=OK\n\n"])

    async def react(connection, _request) -> None:
        await connection.send(next(answers))

    async def main():
        async with policyd(path, react) as service, asking(path) as client:
            first = await client.ask(about("x"))
            await client.close()
            await service.ended.wait()
            return first, await client.ask(about("y")), service.connections

    assert run(main()) == (DEFAULT, "OK", 2)
    (message,) = warnings()
    assert problem in message
    assert message.isprintable()


@pytest.mark.parametrize("more", [b"action=OK\n\n", b"\n", b"x"])
@pytest.mark.parametrize("later", [False, True], ids=["with-the-answer", "while-idle"])
def test_surplus_is_nobodys_answer(run, path, more, later, warnings):
    """What comes after an answer never becomes the next client's: the connection is given up."""

    async def react(connection, request) -> None:
        if request["recipient"] != "first":
            await echo(connection, request)
            return
        if not later:
            await connection.send(b"action=DUNNO\n\n" + more)
            return
        await connection.answer("DUNNO")
        await ready.wait()
        await connection.send(more)

    async def main():
        nonlocal ready
        ready = asyncio.Event()
        async with policyd(path, react) as service, asking(path) as client:
            first = await client.ask(about("first"))
            ready.set()
            await service.ended.wait()
            return first, await client.ask(about("second")), service.connections

    ready = None
    assert run(main()) == ("DUNNO", "REJECT second", 2)
    assert warnings() == []


def test_greeting():
    """A service that talks before it is asked, like an SMTP server, is none."""

    class Greets(asyncio.Transport):
        closing = False

        def is_closing(self) -> bool:
            return self.closing

        def abort(self) -> None:
            self.closing = True

    lost = []
    connection = _Connection(lost.append)
    connection.connection_made(Greets())
    connection.data_received(b"220 mx.example ESMTP\n")
    with pytest.raises(ConnectionError, match="unsolicited data"):
        asyncio.run(connection.exchange(b"request=x\n\n"))
    connection.connection_lost(None)
    assert lost == [connection]


# -- services that take their time --


async def _silent(connection, _request) -> None:
    await connection.gone()


async def _drip(connection, _request) -> None:
    while True:
        await connection.send(b"x=y\n")
        await asyncio.sleep(SOON / 4)


@pytest.mark.parametrize("react", [_silent, _drip])
def test_no_answer_in_time(run, path, react, warnings):
    """Neither silence nor a slow drip holds a session longer than the time-out."""

    async def main():
        async with policyd(path, react) as service, asking(path, timeout=SOON) as client:
            answer = await client.ask(about("x"))
            await service.ended.wait()
            return answer, service.open

    assert run(main()) == (DEFAULT, 0)
    (message,) = warnings()
    assert message == f"policy service unix:policy: no answer within 0.2 s; answering {DEFAULT}"


def test_never_reads(run, path, warnings):
    """A service that accepts and does not read does not hold up a large request, either."""

    async def main():
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen()
            async with asking(path, timeout=SOON) as client:
                return await client.ask(about("x" * 10_000_000))

    assert run(main()) == DEFAULT
    assert len(warnings()) == 1


def test_more_sessions_than_connections(run, path, warnings):
    """Time spent in the queue for a connection counts: nobody waits longer than the time-out."""

    async def main():
        async with policyd(path, _silent) as service, asking(path, timeout=SOON) as client:
            answers = await asyncio.gather(*(client.ask(about("x")) for _ in range(150)))
            return set(answers), service.most

    answers, most = run(main())
    assert answers == {DEFAULT}
    assert 1 < most <= 100
    assert len(warnings()) == 150


def test_cancelled(run, path, warnings):
    """A request that is given up takes its connection along: its answer reaches nobody else."""

    async def react(connection, request) -> None:
        if request["recipient"] == "first":
            asked.set()
            await go.wait()
        await echo(connection, request)

    async def main():
        nonlocal asked, go
        asked, go = asyncio.Event(), asyncio.Event()
        async with policyd(path, react) as service, asking(path) as client:
            await client.ask(about("before"))
            first = asyncio.ensure_future(client.ask(about("first")))
            await asked.wait()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            go.set()
            return await client.ask(about("second")), service.connections

    asked = go = None
    assert run(main()) == ("REJECT second", 2)
    assert warnings() == []


def test_cancelled_anywhere(run, path, warnings):
    """However far a request has come when it is given up, the others get their own answers."""

    async def main():
        async with policyd(path, echo), asking(path) as client:
            for steps in range(40):
                task = asyncio.ensure_future(client.ask(about("first")))
                for _ in range(steps % 20):
                    await asyncio.sleep(0)
                task.cancel()
                name = f"{steps}"
                assert await client.ask(about(name)) == f"REJECT {name}"
                await asyncio.gather(task, return_exceptions=True)

    run(main())
    assert warnings() == []
