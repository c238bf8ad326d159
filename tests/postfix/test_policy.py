"""PolicyService against services that behave, and against those that do not.

Strategy: the service runs in the test's event loop and does what the test says, step by step, so
nothing depends on time.  Real services are asked in tests/interop.
"""

import asyncio
import contextlib
import socket
import threading

import pairs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policyd import TIMEOUT, about, asking, echo, policyd

import ccert
from ccert.postfix.policy import PolicyService, _encoded, access_request

# -- what works --


def test_connection_is_kept(run, path, warnings):
    """Requests one after the other use one connection, and each gets its answer."""

    async def main():
        async with policyd(path, echo) as service, asking(path) as client:
            answers = [await client.ask(about(name)) for name in "abc"]
        return service, answers

    service, answers = run(main())
    assert answers == ["REJECT a", "REJECT b", "REJECT c"]
    assert service.connections == 1
    assert [request["recipient"] for request in service.requests] == list("abc")
    assert warnings() == []


def test_request_arrives_whole(run, path):
    """What access_request() says is what the service reads, in this order."""
    wanted = about("b@b.example", sender="", helo_name="mx.example")

    async def main():
        async with policyd(path, echo) as service, asking(path) as client:
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
            return [await client.ask(about("x")) for _ in range(2)], service.connections

    assert asyncio.run(main()) == ([action] * 2, 1)
    assert warnings() == []


def test_many_sessions(run, path, warnings):
    """Each of 300 concurrent requests gets its own answer; 100 connections are the most."""

    async def main():
        async with policyd(path, echo) as service, asking(path) as client:
            names = [f"{n}" for n in range(300)]
            answers = await asyncio.gather(*(client.ask(about(name)) for name in names))
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
                asked = [asyncio.ensure_future(client.ask(about("x"))) for _ in range(10)]
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
            await asyncio.gather(*(client.ask(about("x", instance=name)) for name in "ab"))
            for instance in "abba":
                await client.ask(about("x", instance=instance))

    both = None
    asyncio.run(main())
    connections = dict(used[:2])
    assert used[2:] == [(instance, connections[instance]) for instance in "abba"]


def test_event_loops(path, warnings):
    """One client serves several event loops, one after the other and at the same time."""
    client = PolicyService(f"unix:{path}")
    running = threading.Barrier(2)

    async def ask(name: str, *, meet: bool) -> str:
        first = await client.ask(about(name))
        if meet:
            await asyncio.to_thread(running.wait, TIMEOUT)
            await asyncio.to_thread(running.wait, TIMEOUT)
        return first

    async def main():
        async with policyd(path, echo) as service:
            one = await asyncio.to_thread(lambda: asyncio.run(ask_and_close("a")))
            thread = asyncio.create_task(
                asyncio.to_thread(lambda: asyncio.run(ask("b", meet=True)))
            )
            await asyncio.to_thread(running.wait, TIMEOUT)
            here = await client.ask(about("c"))
            await client.close()  # the other loop's connection, too
            await asyncio.to_thread(running.wait, TIMEOUT)
            there = await thread
            return [one, there, here], service.connections

    async def ask_and_close(name: str) -> str:
        answer = await client.ask(about(name))
        await client.close()
        return answer

    assert asyncio.run(main()) == (["REJECT a", "REJECT b", "REJECT c"], 3)
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
    request = _encoded(about("x", helo_name="x\nccert_subject=mx.partner.example\n\n\udcff\0"))
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
    assert differing == {n: v for n, v in peer.policy_attributes().items() if v}
    assert without["encryption_keysize"] == "0"
    assert without["client_port"] == "25"


@pytest.mark.parametrize("name", ["ccert_subject", "encryption_keysize", "recipients"])
def test_attributes_refused(name):
    """The caller names attributes of the protocol, and those of TLS come from the peer alone."""
    with pytest.raises(TypeError, match=name):
        access_request(peer=None, **{name: "x"})
