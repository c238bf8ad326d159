"""Where a policy service is: endpoints that are wrong, unreachable or on the network."""

import asyncio
import contextlib

import pytest
from policyd import about

import ccert
from ccert.postfix.policy import PolicyService

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
    assert run(service.ask(about("x"))) == action
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
            answers.append(await client.ask(about("x")))
            await client.close()
        server.close()
        return answers

    assert run(main()) == ["OK", "OK"]
    assert warnings() == []
