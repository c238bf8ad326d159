"""What the tests of tables and policy services share."""

import asyncio
import dataclasses
import logging

import pairs
import pytest
import uvloop
from policyd import TIMEOUT
from tables import replace

import ccert
from ccert import AccessTable, Trust


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


@pytest.fixture
def peer(host, clique) -> ccert.Peer:
    """An Untrusted client."""
    pair = pairs.handshake(host.context(), host.client(clique.leaf()))
    peer = ccert.peer(pair.server.tls)
    assert peer.trust is Trust.UNTRUSTED
    return peer


@pytest.fixture
def table(tmp_path):
    """Return a function that makes a table of a text; a second text replaces the file."""

    def table(text: str | bytes, **kwargs) -> AccessTable:
        replace(tmp_path / "table", text)
        return AccessTable(tmp_path / "table", **kwargs)

    return table


@pytest.fixture
def known(peer):
    """Return a function that makes a client with these fingerprints of key and certificate."""

    def known(key: str, certificate: str) -> ccert.Peer:
        return dataclasses.replace(peer, pubkey_fingerprint=key, fingerprint=certificate)

    return known
