"""Real policy services: Postgrey, which keeps connections, and policyd-spf, a process for each."""

import asyncio
import logging
import re

import pytest
from mailserver import TIMEOUT
from services import postgrey, spawning

from ccert.postfix.actions import Action, parse_action
from ccert.postfix.policy import PolicyService, access_request

CLIENT = {"client_address": "192.0.2.1", "sender": "a@sender.example", "helo_name": "mx.example"}


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Nothing is logged: there are no failures."""
    caplog.set_level(logging.DEBUG, "ccert")
    yield
    assert [record.getMessage() for record in caplog.records if record.name == "ccert"] == []


@pytest.fixture(params=["unix", "inet"])
def endpoint(request, tmp_path, unused_port) -> str:
    return (
        f"unix:{tmp_path}/postgrey" if request.param == "unix" else f"inet:127.0.0.1:{unused_port}"
    )


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "database"
    path.mkdir()
    return path


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, TIMEOUT))


async def ask(client: PolicyService, recipient: str, instance: str = "1", **others) -> Action:
    about = CLIENT | {"recipient": recipient, "instance": instance} | others
    return parse_action(await client.ask(access_request(peer=None, **about)))


async def accepted(client: PolicyService, recipient: str) -> Action:
    """Return the first answer that is not "later"."""
    for attempt in range(1, 1000):  # to Postgrey, 0 is no new message
        action = await ask(client, recipient, f"{attempt}")
        if action.verb != "refuse":
            return action
        await asyncio.sleep(0.02)  # a greylisted client has nothing else to do
    raise AssertionError(action)


def test_postgrey(endpoint, database):
    """A stranger is deferred until the delay is over, then gets a header that says so."""

    async def main():
        client = PolicyService(endpoint)
        first = await ask(client, "b@mx.example")
        passed = await accepted(client, "b@mx.example")
        again = await ask(client, "b@mx.example", "again")
        other = await ask(client, "c@mx.example")
        await client.close()
        return first, passed, again, other

    with postgrey(endpoint, database):
        first, passed, again, other = run(main())
    assert first.verb == other.verb == "refuse"
    assert re.fullmatch(r"450 4\.2\.0 Greylisted, see http://\S+", first.text)
    assert passed.verb == "prepend"
    assert re.match(r"X-Greylist: delayed \d seconds by postgrey-", passed.text)
    assert again == Action("dunno")


def test_postgrey_restarts(endpoint, database):
    """A service that was restarted between two requests is asked anew, and nobody notices."""

    async def main():
        client = PolicyService(endpoint)
        with postgrey(endpoint, database):
            before = await ask(client, "b@mx.example")
        with postgrey(endpoint, database):
            after = await ask(client, "c@mx.example")
        await client.close()
        return before, after

    assert {action.text[:9] for action in run(main())} == {"450 4.2.0"}


def test_postgrey_under_load(endpoint, database):
    """Two hundred sessions at once are all answered, by a service with a single process."""

    async def main():
        client = PolicyService(endpoint)
        actions = await asyncio.gather(*(ask(client, f"{n}@mx.example") for n in range(200)))
        await client.close()
        return actions

    with postgrey(endpoint, database):
        assert {action.text[:9] for action in run(main())} == {"450 4.2.0"}


def test_policyd_spf():
    """It knows a message by its instance: one header for each, however many recipients.

    (About loopback it asks no DNS.)
    """

    async def main():
        client = PolicyService(endpoint)
        local = CLIENT | {"client_address": "127.0.0.1"}
        actions = [await ask(client, f"{n}@mx.example", n, **local) for n in ("1", "1", "2")]
        await client.close()
        return actions

    with spawning("policyd-spf") as endpoint:
        first, same, second = run(main())
    assert first == second
    assert first.verb == "prepend"
    assert re.match("X-Comment: SPF .* client-ip=127.0.0.1; helo=mx.example;", first.text)
    assert same == Action("dunno")
