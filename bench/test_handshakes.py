"""Handshakes in memory from one Python thread, ccert's beside the bare C loop and its rivals'.

Strategy: all take turns, a few handshakes each, so that a busy or throttled machine slows all; a
ratio is the median of the rounds'.  Every end asserts its verdict.  The bare C loop has the very
SSL_CTX of ccert's contexts and of the client's (handshake.c).
"""

from __future__ import annotations

import ssl
import statistics
import sys
import time
import timeit

import contexts
import pytest
from ends import Handshakes, SslEnd, forgives, new_pyopenssl, new_ssl, pyopenssl
from loop import Loop
from OpenSSL import SSL
from report import Row

import ccert

ROUNDS, COUNT = 60, 20
PAIRS = (
    ("C", "ccert"),
    ("ssl's default", "ccert"),
    ("ssl's default, resumed", "ccert, resumed"),
    ("pyOpenSSL's callback", "ccert"),
    ("pyOpenSSL's callback", "pyOpenSSL"),
)  # seconds divided by seconds

FULL = "full TLS 1.3 handshakes in memory, one thread"
BOTH = f"{FULL}; both ends' work, the client's being the same"
SERVER = f"{FULL}; the server's calls alone: wrap_bio(), do_handshake(), memory BIOs"
ROWS = (
    Row(
        "handshakes/s: Python / the bare C loop", "C / ccert", None, BOTH, ">= 0.95",
        caveat="the client runs in Python in one and in C in the other: its cost is in the ratio",
    ),
    Row("  ... the server's side alone", "C / ccert, server", None, SERVER),
    Row(
        "handshakes/s: ccert / ssl's default", "ssl's default / ccert, server", None, SERVER,
        caveat="clientAuth certificates for ssl; two tickets there, one session here",
    ),
    Row(
        "resumed handshakes/s: ccert / ssl's default",
        "ssl's default, resumed / ccert, resumed, server", None,
        "TLS 1.3, each connection closed without close_notify; the server's calls alone",
        caveat="ssl decrypts and encrypts tickets, ccert looks up sessions",
    ),
    Row(
        "handshakes/s: ccert / pyOpenSSL with a Python callback",
        "pyOpenSSL's callback / ccert, server", None,
        f"{SERVER}, or pyOpenSSL's", wrong="ignoring error 26 lets code signing pass",
        caveat="another library: cryptography's own OpenSSL, see the header; two tickets there",
    ),
    Row(
        "  ... that one / pyOpenSSL without a callback",
        "pyOpenSSL's callback / pyOpenSSL, server", None,
        "time of a handshake, the same library; clientAuth certificates without the callback",
    ),
    Row(
        "wrap_bio(): ccert / ssl's default", "wrap_bio(), ccert / ssl's default", None,
        "an SSLObject is made and freed, without a handshake", "<= 1.05",
    ),
    Row(
        "ccert.peer() / the server's side of a handshake", "peer()", "ccert, server",
        "one call after each handshake", digits=3,
    ),
    Row(
        "Python calls inside a handshake: ccert", "Python calls, ccert", None,
        "from ClientHello to Finished, beside do_handshake() itself", "<= 0", digits=0,
    ),
    Row(
        "  ... pyOpenSSL with a Python callback", "Python calls, pyOpenSSL's callback", None,
        "likewise", digits=0,
    ),
)  # fmt: skip


@pytest.fixture
def servers(clique):
    """Return handshakes of each server in Python, by name."""
    peer, client = (contexts.client(clique.directory, name) for name in ("peer", "client"))
    return {
        "ccert": Handshakes(new_ssl(contexts.server(clique.directory)), peer),
        "ssl's default": Handshakes(new_ssl(contexts.default(clique.directory)), client),
        "pyOpenSSL": Handshakes(new_pyopenssl(pyopenssl(clique.directory, None)), client),
        "pyOpenSSL's callback": Handshakes(
            new_pyopenssl(pyopenssl(clique.directory, forgives)), peer
        ),
    }


def test_one_thread(clique, library, servers, record, smoke):
    """Let all take turns; each of their ends asserts that it trusts the other."""
    server, peer = contexts.server(clique.directory), contexts.client(clique.directory, "peer")
    servers["ccert"] = Handshakes(new_ssl(server), peer)
    for name, certificate in (("ccert", "peer"), ("ssl's default", "client")):
        client = contexts.client(clique.directory, certificate)
        servers[f"{name}, resumed"] = Handshakes(servers[name].new, client, resume=True)
    servers["C"] = Loop(library, server, peer, resume=False)
    rounds = [turn(servers, 1 if smoke else COUNT) for _ in range(2 if smoke else ROUNDS)][1:]
    if smoke:
        return
    for name in servers:
        seconds, server_seconds = zip(*(each[name] for each in rounds), strict=True)
        record(name, statistics.median(seconds) / COUNT)
        record(f"{name}, server", statistics.median(server_seconds) / COUNT)
    for above, below in PAIRS:
        for what, index in (("", 0), (", server", 1)):
            ratios = [each[above][index] / each[below][index] for each in rounds]
            quartiles = statistics.quantiles(ratios, n=4)
            record(f"{above} / {below}{what}", statistics.median(ratios), "", quartiles=quartiles)


def turn(servers, count) -> dict[str, tuple[float, float]]:
    """Let each run; return the seconds that it took, and those of its server's side."""
    took = {}
    for name, handshakes in servers.items():
        before = handshakes.seconds, handshakes.server_seconds
        handshakes.run(count)
        after = handshakes.seconds, handshakes.server_seconds
        took[name] = after[0] - before[0], after[1] - before[1]
    return took


def test_wrap_bio(clique, record, smoke):
    """A new connection costs no call of ccert's."""
    servers = {"ccert": contexts.server, "ssl's default": contexts.default}
    ends = {name: new_ssl(make(clique.directory)) for name, make in servers.items()}
    rounds = []
    for _ in range(1 if smoke else ROUNDS):
        took = {name: timeit.timeit(end, number=1000) for name, end in ends.items()}
        rounds.append(took["ccert"] / took["ssl's default"])
    record("wrap_bio(), ccert / ssl's default", statistics.median(rounds), "")


def test_peer(servers, record, smoke):
    """ccert.peer() is called once for each connection, when the handshake is over."""
    servers["ccert"].run(1)
    tls, times = servers["ccert"].last.tls, []
    for _ in range(1 if smoke else 1000):
        start = time.perf_counter()
        peer = ccert.peer(tls)
        times.append(time.perf_counter() - start)
    assert peer.trusted_as_server
    record("peer()", statistics.median(times))


def test_code_signing(servers, clique):
    """What the table says of pyOpenSSL's callback is so; ccert and ssl refuse such a peer."""
    signer = contexts.client(clique.directory, "signer")
    Handshakes(servers["pyOpenSSL's callback"].new, signer).run(
        1
    )  # no longer WRONG? correct its row
    for name in ("ccert", "ssl's default", "pyOpenSSL"):
        with pytest.raises((AssertionError, ssl.SSLError, SSL.Error)):
            Handshakes(servers[name].new, signer).run(1)


def calls_within(handshakes) -> list[str]:
    """Shake hands; return the Python functions that were called while the server's libssl ran."""
    server, seen, running = handshakes.new(), [], []
    client = SslEnd(handshakes.client, server_hostname="mx.example")

    def note(frame, event, function) -> None:
        if event.startswith("c_") and function.__name__ in ("do_handshake", "SSL_do_handshake"):
            running.append(function) if event == "c_call" else running.clear()
        elif event == "call" and running:
            seen.append(frame.f_code.co_name)

    octets = b""
    while not (client.done and server.done):
        octets = client.step(octets)
        sys.setprofile(note)
        try:
            octets = server.step(octets)
        finally:
            sys.setprofile(None)
    return seen


def test_no_python(servers, record):
    """No Python function, whoever's, runs inside libssl; pyOpenSSL's callbacks do, and are seen."""
    assert calls_within(servers["ccert"]) == []
    record("Python calls, ccert", 0, "calls")
    callbacks = calls_within(servers["pyOpenSSL's callback"])
    assert callbacks
    record("Python calls, pyOpenSSL's callback", len(callbacks), "calls")
