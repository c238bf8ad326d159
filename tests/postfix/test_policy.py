"""PolicyService against services that behave, and against those that do not.

Strategy: the service runs in the test's event loop and does what the test says, step by step, so
nothing depends on time.  Real services are asked in tests/interop.
"""

import asyncio
import contextlib
import logging
import socket
import threading

import pairs
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from policyd import policyd

import ccert
from ccert.postfix.policy import PolicyService, _encoded, access_request
from ccert.postfix.policy_connections import _Connection

DEFAULT = "451 4.3.5 Server configuration problem"
TIMEOUT = 20  # of a test that hangs
SOON = 0.2  # of a service that does not answer


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """Return a function that runs a coroutine in an event loop of its own, within bounds."""

    def run(coroutine):
        return request.param(asyncio.wait_for(coroutine, TIMEOUT))

    return run


@pytest.fixture
def path(tmp_path, monkeypatch) -> str:
    """A socket's path; short, whatever the directory's name."""
    monkeypatch.chdir(tmp_path)
    return "policy"


@pytest.fixture
def warnings(caplog):
    """Return a function that tells the warnings logged since it was last asked."""
    caplog.set_level(logging.DEBUG, "ccert")

    def warnings() -> list[str]:
        records = [record for record in caplog.records if record.name == "ccert"]
        assert all(record.levelno == logging.WARNING for record in records)
        caplog.clear()
        return [record.getMessage() for record in records]

    return warnings


@contextlib.asynccontextmanager
async def asking(path, **kwargs):
    """A client, closed at the end."""
    service = PolicyService(f"unix:{path}", **kwargs)
    try:
        yield service
    finally:
        await service.close()


async def _echo(connection, request) -> None:
    await connection.answer(f"REJECT {request['recipient']}")


def _about(recipient: str, **attributes: str) -> dict[str, str]:
    return access_request(peer=None, recipient=recipient, **attributes)


# -- what works --


def test_connection_is_kept(run, path, warnings):
    """Requests one after the other use one connection, and each gets its answer."""

    async def main():
        async with policyd(path, _echo) as service, asking(path) as client:
            answers = [await client.ask(_about(name)) for name in "abc"]
        return service, answers

    service, answers = run(main())
    assert answers == ["REJECT a", "REJECT b", "REJECT c"]
    assert service.connections == 1
    assert [request["recipient"] for request in service.requests] == list("abc")
    assert warnings() == []


def test_request_arrives_whole(run, path):
    """What access_request() says is what the service reads, in this order."""
    wanted = _about("b@b.example", sender="", helo_name="mx.example")

    async def main():
        async with policyd(path, _echo) as service, asking(path) as client:
            await client.ask(wanted)
        return service

    (request,) = run(main()).requests
    assert list(request.items()) == list(wanted.items())


@pytest.mark.parametrize(
    ("answer", "action"),
    [
        (b"action=OK\n\n", "OK"),
        (b"action=DUNNO\naction=REJECT\n\n", "DUNNO"),
        (b"x=y\nrubbish\n=\naction=DUNNO\nz=\n\n", "DUNNO"),
        (b"action=REJECT a=b\n\n", "REJECT a=b"),
        ("action=REJECT grüß\n\n".encode(), "REJECT grüß"),
        (b"action=prepend X-A:\tb\n\n", "prepend X-A:\tb"),
        (b"action=WARN " + b"x" * 16000 + b"\n\n", "WARN " + "x" * 16000),
    ],
)
@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "in-pieces"])
def test_answer(path, answer, action, pieces, warnings):
    """The first action counts, as with Postfix; other lines do not matter, nor do packets."""

    async def react(connection, _request) -> None:
        size = len(answer) // 20 + 1 if pieces else len(answer)
        for start in range(0, len(answer), size):
            await connection.send(answer[start : start + size])
            await asyncio.sleep(0)

    async def main():
        async with policyd(path, react) as service, asking(path) as client:
            return [await client.ask(_about("x")) for _ in range(2)], service.connections

    assert asyncio.run(main()) == ([action] * 2, 1)
    assert warnings() == []


def test_many_sessions(run, path, warnings):
    """Each of 300 concurrent requests gets its own answer; 100 connections are the most."""

    async def main():
        async with policyd(path, _echo) as service, asking(path) as client:
            names = [f"{n}" for n in range(300)]
            answers = await asyncio.gather(*(client.ask(_about(name)) for name in names))
            assert answers == [f"REJECT {name}" for name in names]
        return service

    assert 1 < run(main()).most <= 100
    assert warnings() == []


def test_full_backlog(run, path, warnings):
    """Connections that the service cannot take yet wait, within the time-out."""

    async def serve(reader, writer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\n\n")
            writer.write(b"action=OK\n\n")
            await reader.read()
        writer.close()

    def fill(stack) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock = stack.enter_context(socket.socket(socket.AF_UNIX))
                sock.setblocking(False)
                sock.connect(path)

    async def main():
        with socket.socket(socket.AF_UNIX) as listening, contextlib.ExitStack() as stack:
            listening.bind(path)
            listening.listen(0)
            fill(stack)
            async with asking(path) as client:
                asked = [asyncio.ensure_future(client.ask(_about("x"))) for _ in range(10)]
                for _ in range(20):  # turns of the loop: they have all tried
                    await asyncio.sleep(0)
                server = await asyncio.start_unix_server(serve, sock=listening)
                answers = await asyncio.gather(*asked)
                server.close()
        return answers

    assert run(main()) == ["OK"] * 10
    assert warnings() == []


def test_message_stays_on_its_connection(path):
    """Requests with one ``instance`` go by the connection that had it before, if that is free."""
    used = []

    async def react(connection, request) -> None:
        used.append((request["instance"], connection.number))
        if len(used) == 2:
            both.set()
        await both.wait()
        await connection.answer("OK")

    async def main():
        nonlocal both
        both = asyncio.Event()
        async with policyd(path, react), asking(path) as client:
            await asyncio.gather(*(client.ask(_about("x", instance=name)) for name in "ab"))
            for instance in "abba":
                await client.ask(_about("x", instance=instance))

    both = None
    asyncio.run(main())
    connections = dict(used[:2])
    assert used[2:] == [(instance, connections[instance]) for instance in "abba"]


def test_event_loops(path, warnings):
    """One client serves several event loops, one after the other and at the same time."""
    client = PolicyService(f"unix:{path}")
    running = threading.Barrier(2)

    async def ask(name: str, *, meet: bool) -> str:
        first = await client.ask(_about(name))
        if meet:
            await asyncio.to_thread(running.wait, TIMEOUT)
            await asyncio.to_thread(running.wait, TIMEOUT)
        return first

    async def main():
        async with policyd(path, _echo) as service:
            one = await asyncio.to_thread(lambda: asyncio.run(ask_and_close("a")))
            thread = asyncio.create_task(
                asyncio.to_thread(lambda: asyncio.run(ask("b", meet=True)))
            )
            await asyncio.to_thread(running.wait, TIMEOUT)
            here = await client.ask(_about("c"))
            await client.close()  # the other loop's connection, too
            await asyncio.to_thread(running.wait, TIMEOUT)
            there = await thread
            return [one, there, here], service.connections

    async def ask_and_close(name: str) -> str:
        answer = await client.ask(_about(name))
        await client.close()
        return answer

    assert asyncio.run(main()) == (["REJECT a", "REJECT b", "REJECT c"], 3)
    assert warnings() == []


# -- connections that end --


def test_closed_while_idle(run, path, warnings):
    """A service that closes after each answer is asked anew, and nobody notices."""

    async def react(connection, request) -> None:
        await _echo(connection, request)
        connection.close()

    async def main():
        async with policyd(path, react) as service, asking(path) as client:
            answers = [await client.ask(_about(name)) for name in "abc"]
        return answers, service.connections

    assert run(main()) == (["REJECT a", "REJECT b", "REJECT c"], 3)
    assert warnings() == []


@pytest.mark.parametrize("sent", [b"", b"acti", b"action=OK", b"action=OK\n"])
def test_closed_instead_of_an_answer(run, path, sent, warnings):
    """A kept connection that is closed before a complete answer is replaced once, unseen."""
    turns = iter(["answer", "cut", "answer", "cut", "cut", "answer"])

    async def react(connection, request) -> None:
        if next(turns) == "answer":
            await _echo(connection, request)
        else:
            await connection.send(sent)
            connection.close()

    async def main():
        async with policyd(path, react) as service, asking(path) as client:
            answers = [await client.ask(_about(name)) for name in "ab"]
            assert warnings() == []
            answers += [await client.ask(_about(name)) for name in "cd"]
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
            return await client.ask(_about("x")), service.connections

    assert run(main()) == (DEFAULT, 2)
    assert len(warnings()) == 1


def test_idle_connection_is_closed(run, path):
    """After max_idle seconds without a request a connection is given up."""

    async def main():
        async with policyd(path, _echo) as service, asking(path, max_idle=0.01) as client:
            await client.ask(_about("x"))
            await service.ended.wait()
            return await client.ask(_about("y")), service.connections

    assert run(main()) == ("REJECT y", 2)


def test_close(run, path, warnings):
    """close() ends idle connections at once and the others after their answer."""

    async def react(connection, request) -> None:
        asked.set()
        await go.wait()
        await _echo(connection, request)

    async def main():
        nonlocal asked, go
        asked, go = asyncio.Event(), asyncio.Event()
        async with policyd(path, react) as service:
            client = PolicyService(f"unix:{path}")
            answer = asyncio.ensure_future(client.ask(_about("x")))
            await asked.wait()
            await client.close()
            assert service.open == 1
            go.set()
            assert await answer == "REJECT x"
            await service.ended.wait()
            service.ended.clear()
            assert await client.ask(_about("y")) == "REJECT y"
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
        (b"action=550\n\n", "action 550: give it a text"),
        (b"action=OK\r\n\r\n", "control characters"),
        (b"action=OK\0\n\n", "control characters"),
        (b"220 mx.example ESMTP\r\n", "control characters"),
        (b"\x15\x03\x03\0\x02\x02\x28", "control characters"),
        (b"action=REJECT \x1b[2J\n\n", "control characters"),
        (b"action=REJECT \xff\n\n", "utf-8"),
        ("action=\u202eOK\n\n".encode(), r"action '\u202eOK'"),
        (b"x" * 10_000_000, "over 16384 octets"),
        (b"x=y\n" * 100_000, "over 16384 octets"),
        (b"action=OK " + b"x" * 16384 + b"\n\n", "over 16384 octets"),
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
            first = await client.ask(_about("x"))
            await client.close()
            await service.ended.wait()
            return first, await client.ask(_about("y")), service.connections

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
            await _echo(connection, request)
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
            first = await client.ask(_about("first"))
            ready.set()
            await service.ended.wait()
            return first, await client.ask(_about("second")), service.connections

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
    with pytest.raises(ConnectionError, match="nobody had asked for"):
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
            answer = await client.ask(_about("x"))
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
                return await client.ask(_about("x" * 10_000_000))

    assert run(main()) == DEFAULT
    assert len(warnings()) == 1


def test_more_sessions_than_connections(run, path, warnings):
    """Time spent in the queue for a connection counts: nobody waits longer than the time-out."""

    async def main():
        async with policyd(path, _silent) as service, asking(path, timeout=SOON) as client:
            answers = await asyncio.gather(*(client.ask(_about("x")) for _ in range(150)))
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
        await _echo(connection, request)

    async def main():
        nonlocal asked, go
        asked, go = asyncio.Event(), asyncio.Event()
        async with policyd(path, react) as service, asking(path) as client:
            await client.ask(_about("before"))
            first = asyncio.ensure_future(client.ask(_about("first")))
            await asked.wait()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            go.set()
            return await client.ask(_about("second")), service.connections

    asked = go = None
    assert run(main()) == ("REJECT second", 2)
    assert warnings() == []


def test_cancelled_anywhere(run, path, warnings):
    """However far a request has come when it is given up, the others get their own answers."""

    async def main():
        async with policyd(path, _echo), asking(path) as client:
            for steps in range(40):
                task = asyncio.ensure_future(client.ask(_about("first")))
                for _ in range(steps % 20):
                    await asyncio.sleep(0)
                task.cancel()
                name = f"{steps}"
                assert await client.ask(_about(name)) == f"REJECT {name}"
                await asyncio.gather(task, return_exceptions=True)

    run(main())
    assert warnings() == []


# -- no service at all --


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ("unix:absent", "No such file"),
        ("unix:.", "onnection refused"),
        ("inet:127.0.0.1:{port}", "Connect"),
        ("inet:[::1]:{port}", ""),
        ("inet:a..b:25", ""),
    ],
)
def test_unreachable(run, path, unused_port, endpoint, problem, warnings):
    """The default action, and a line with the reason; never an exception."""
    del path
    endpoint = endpoint.format(port=unused_port)
    action = "DEFER_IF_PERMIT 4.3.0 no policy"
    service = PolicyService(endpoint, default_action=action)
    assert run(service.ask(_about("x"))) == action
    (message,) = warnings()
    assert message.startswith(f"policy service {endpoint}: ")
    assert problem in message
    assert message.endswith(f"; answering {action}")


@pytest.mark.parametrize(
    "endpoint",
    [
        "", "/run/policy", "unix:", "unix:a\0b", "unix:" + "x" * 108, "local:x", "UNIX:/x",
        "inet:", "inet:25", "inet::25", "inet:host:", "inet:host:0", "inet:host:65536",
        "inet:host:smtp", "inet:::1:25", "inet:[::1]", "inet:[::1:25", "inet:[host]:25",
        "inet:ho st:25", "inet:host:25\n", "inet:[1.2.3.4]:25", "inet:host:٢٥", "inet:host:-1",
    ],
)  # fmt: skip
def test_bad_endpoint(endpoint):
    """An endpoint that cannot be is an error at once, on one line."""
    with pytest.raises(ccert.ConfigError, match="policy service") as caught:
        PolicyService(endpoint)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "options",
    [{"timeout": 0}, {"timeout": -1}, {"timeout": float("nan")}, {"max_idle": -1},
     {"default_action": "HOLD"}, {"default_action": ""}],
    ids=repr,
)  # fmt: skip
def test_bad_options(options):
    """So is a time-out of no time, or a default action that ccert cannot do."""
    with pytest.raises(ccert.ConfigError):
        PolicyService("unix:policy", **options)


def test_inet(run, warnings):
    """A service on a TCP port, by address and by name."""

    async def serve(reader, writer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\n\n")
            writer.write(b"action=OK\n\n")
            await reader.read()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        answers = []
        for host in ("127.0.0.1", "localhost"):
            client = PolicyService(f"inet:{host}:{port}")
            answers.append(await client.ask(_about("x")))
            await client.close()
        server.close()
        return answers

    assert run(main()) == ["OK", "OK"]
    assert warnings() == []


# -- the request --


@given(st.dictionaries(st.text(), st.text()))
def test_no_line_is_smuggled(attributes):
    """However a reader ends lines, it sees one for each attribute, and no other name.

    Postfix's readers end them at newlines alone; str.splitlines() knows ten more characters.
    """
    request = _encoded(attributes)
    text = request.decode()
    assert request.endswith(b"\n\n") or not attributes
    assert request.count(b"\n") == len(attributes) + 1
    lines = text.splitlines()
    assert lines == text.split("\n")[:-1]
    assert lines.pop() == ""
    assert [line.partition("=")[2] for line in lines] == [
        "".join(c if c.isprintable() else "?" for c in value) for value in attributes.values()
    ]


def test_smuggled_attribute():
    """A client that greets with a newline does not get to say who it is."""
    request = _encoded(_about("x", helo_name="x\nccert_subject=mx.partner.example\n\n\udcff\0"))
    assert b"\nhelo_name=x?ccert_subject=mx.partner.example????\n" in request
    assert request.count(b"\nccert_subject=\n") == 1


def test_tls_attributes(host, clique):
    """With TLS they are the peer's; without, empty; in the same place of the same order."""
    chain = clique.leaf()
    context = host.context(chain, trust_server_ccerts=True)
    peer = ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)
    without, with_tls = (access_request(peer=p, client_port=25) for p in (None, peer))
    assert list(without) == list(with_tls)
    differing = {name: value for name, value in with_tls.items() if without[name] != value}
    assert differing == peer.policy_attributes()
    assert without["encryption_keysize"] == "0"
    assert without["client_port"] == "25"


@pytest.mark.parametrize("name", ["ccert_subject", "encryption_keysize", "recipients"])
def test_attributes_refused(name):
    """The caller names attributes of the protocol, and those of TLS come from the peer alone."""
    with pytest.raises(TypeError, match=name):
        access_request(peer=None, **{name: "x"})
