"""Threads: 64 of them share contexts and connections, and do everything that there is to be done.

Stock clients shake hands with contexts that others attach, detach, and load CAs and CRLs into
meanwhile.  A connection that is established may be asked about, or ended, by any thread.  The
kind of a client's certificate says what its verdict may be.  ``CCERT_THREADS_SECONDS`` says for how
long; without it, each thread has a few turns.
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import ssl
import threading
import time
import weakref

import pairs
import pki

import ccert
from ccert import Trust, _openssl

THREADS = 64
TURNS = 12
SECONDS = float(os.environ.get("CCERT_THREADS_SECONDS") or 0)

# The verdicts that each client may get; None: no verdict.  "strict" refuses what is not Trusted;
# "steady" asks, and is always attached, with the setting on; anything may happen to "any".
VERDICTS = {
    ("strict", "nobody"): {Trust.ANONYMOUS, None},
    ("strict", "client"): {Trust.TRUSTED, None},
    ("strict", "server"): {Trust.TRUSTED, ssl.SSLError},
    ("strict", "stranger"): {ssl.SSLError},
    ("steady", "nobody"): {Trust.ANONYMOUS},
    ("steady", "client"): {Trust.TRUSTED},
    ("steady", "server"): {Trust.TRUSTED},
    ("steady", "stranger"): {Trust.UNTRUSTED},
    ("any", "nobody"): {Trust.ANONYMOUS, None},
    ("any", "client"): {Trust.TRUSTED, None},
    ("any", "server"): {Trust.TRUSTED, Trust.UNTRUSTED, ssl.SSLError},
    ("any", "stranger"): {Trust.UNTRUSTED, ssl.SSLError},
}


class Crowd:
    """What the threads share."""

    def __init__(self, host, clique) -> None:
        self.contexts = {
            "strict": host.stock(clique.root.pem),
            "steady": host.context(clique.root.pem, trust_server_ccerts=True),
            "any": host.context(clique.root.pem),
        }
        ccert.attach(self.contexts["strict"], client_certs="optional")
        self.clients = {
            "nobody": host.client(),
            "client": host.client(clique.leaf(eku=[pki.CLIENT])),
            "server": host.client(clique.leaf()),
            "stranger": host.client(clique.anchored(pki.issue("Stranger Root", ca=True))),
        }
        later = [pki.issue(f"Later {number}", ca=True).pem for number in range(4)]
        self.later = [host.anchors(text) for text in (*later, pki.crl(clique.root))]
        self.established = collections.deque(maxlen=100)
        self.closed = weakref.WeakSet()
        self.seen = collections.Counter()
        self.failures = []

    def shake(self, chance: random.Random) -> None:
        where, who = chance.choice(sorted(self.contexts)), chance.choice(sorted(self.clients))
        pair = pairs.handshake(self.contexts[where], self.clients[who])
        if pair.server.error:
            assert ssl.SSLError in VERDICTS[where, who], (where, who, pair.server.error)
            self.seen["refused"] += 1
        else:
            self.judge(where, who, pair.server.tls)
            self.established.append((where, who, pair.server.tls))

    def judge(self, where: str, who: str, tls: ssl.SSLObject) -> None:
        try:
            peer = ccert.peer(tls)
        except ccert.CcertError:
            peer = None
        trust = None if peer is None else peer.trust
        self.seen[trust] += 1
        assert trust in VERDICTS[where, who] or tls in self.closed, (where, who, trust)
        assert not peer or peer.trusted_as_server == (who == "server")

    def ask(self, chance: random.Random) -> None:
        with contextlib.suppress(IndexError):  # none are established yet
            self.judge(*chance.choice(self.established))

    def close(self, _chance: random.Random) -> None:
        with contextlib.suppress(IndexError):
            tls = self.established[0][-1]
            self.closed.add(tls)
            with contextlib.suppress(ssl.SSLError):  # the client does not answer
                tls.unwrap()

    def change(self, chance: random.Random) -> None:
        where = chance.choice(sorted(self.contexts))
        context, setting = self.contexts[where], where == "steady" or chance.random() < 0.5
        mode = chance.choice(["ask", "optional"]) if where == "any" else None
        act = chance.choice(["attach", "detach", "load"])
        self.seen[act] += 1
        if act == "load":
            context.load_verify_locations(chance.choice(self.later))
        elif act == "attach" or where == "steady":
            ccert.attach(context, client_certs=mode, trust_server_ccerts=setting)
        else:
            with contextlib.suppress(ccert.ConfigError):  # another thread was first
                ccert.detach(context)

    def run(self, number: int, until: float) -> None:
        """Take turns; on failure, say what has failed."""
        chance = random.Random(number)
        acts = [self.shake] * 4 + [self.ask] * 2 + [self.close, self.change]
        turns = 0
        try:
            while turns < TURNS or time.monotonic() < until:
                chance.choice(acts)(chance)
                turns += 1
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            self.failures.append(error)


def test_all_at_once(host, clique):
    """Each client gets a verdict that it may get; nothing crashes, and nobody waits for ever."""
    crowd = Crowd(host, clique)
    until = time.monotonic() + SECONDS
    threads = [threading.Thread(target=crowd.run, args=[i, until]) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 60)
        assert not thread.is_alive()
    print(dict(crowd.seen))
    if crowd.failures:
        raise crowd.failures[0]
    assert set(crowd.seen) == {*Trust, None, "refused", "attach", "detach", "load"}
    context = crowd.contexts["any"]
    for setting in (False, True):
        ccert.attach(context, client_certs="ask", trust_server_ccerts=setting)
        peer = ccert.peer(pairs.handshake(context, crowd.clients["server"]).server.tls)
        assert peer.trusted_as_server == setting


def test_attach_amid_a_detach(host, clique, monkeypatch):
    """Another thread's attach has its effect after the detach, and all of it: also on objects."""
    context = host.context(clique.root.pem)
    attached = threading.Event()
    remove = _openssl.remove

    def attach() -> None:
        ccert.attach(context, client_certs="ask", trust_server_ccerts=True)
        attached.set()

    thread = threading.Thread(target=attach)

    def remove_and_let_it_attach(ssl_ctx: object) -> None:
        remove(ssl_ctx)
        thread.start()
        attached.wait(0.2)  # seconds; it must wait for us

    monkeypatch.setattr(_openssl, "remove", remove_and_let_it_attach)
    ccert.detach(context)
    thread.join()
    stranger = host.client(clique.anchored(pki.issue("Stranger Root", ca=True)))
    tls = pairs.handshake(context, stranger).server.tls
    assert ccert.peer(tls).trust is Trust.UNTRUSTED
    assert tls.getpeercert(binary_form=True) is None
    assert ccert.stats(context).untrusted == 1
