"""Memory and threads: nothing dangles, nothing grows, nobody waits for Python."""

import functools
import gc
import os
import random
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pairs
import pki
import pytest
from programs import has_gil

import ccert
from ccert import Trust


def _rss() -> int:
    """Resident set size in kB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")  # freed memory is kept in quarantine


def _flat(action, warm_up: int, rounds: int, growth: int) -> None:
    for _ in range(warm_up):
        action()
    gc.collect()
    before = _rss()
    for _ in range(rounds):
        action()
    gc.collect()
    assert SANITIZED or _rss() - before < growth, f"grew from {before} kB to {_rss()} kB"


def test_attaching_leaks_nothing():
    """10 000 contexts, attached, probed and collected, leave the memory as it was."""

    def attach() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ccert.attach(context, client_certs="ask")
        ccert.stats(context)

    _flat(attach, warm_up=1000, rounds=10_000, growth=2048)


def test_attaching_again_leaks_nothing(host, clique):
    """Policies that are replaced on one context are freed."""
    context = host.context(clique.root.pem)
    _flat(lambda: ccert.attach(context), warm_up=1000, rounds=10_000, growth=1024)


def test_peers_leak_nothing(host, clique):
    """So does telling who is there, again and again."""
    pair = pairs.handshake(host.context(clique.root.pem), host.client(clique.leaf()))
    _flat(lambda: ccert.peer(pair.server.tls), warm_up=1000, rounds=5000, growth=1024)


def test_sessions_are_bounded(host, clique):
    """Clients who connect again and again fill a bounded cache, not the memory."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    client = host.client(clique.leaf())
    for _ in range(2100):
        pair = pairs.handshake(context, client)
        with pytest.raises(ssl.SSLWantReadError):
            pair.server.tls.unwrap()  # else OpenSSL drops the session with the connection
    assert 2000 < context.session_stats()["number"] <= 2048


def test_objects_and_contexts_in_any_order(host, clique):
    """Connections outlive contexts, contexts outlive connections, half-done ones as well."""
    client = host.client(clique.leaf())
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    begun = pairs.begin(context, client)
    done = pairs.handshake(context, client)
    del context
    gc.collect()
    assert pairs.finish(begun).completed
    assert ccert.peer(begun.server.tls).trusted_as_server
    assert ccert.peer(done.server.tls).trusted_as_server
    context = host.context(clique.root.pem)
    for keep in (True, False):
        pair = pairs.begin(context, client)
        if keep:
            pairs.finish(pair)
        del pair
        gc.collect()
    assert ccert.stats(context).verified == 1


@pytest.mark.skipif(not has_gil(), reason="its allocator gives out other addresses")
def test_an_address_used_again_finds_no_old_record(host, clique):
    """A new object at a freed one's address has no verdict until it has shaken hands itself."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    client = host.client(clique.leaf())
    used_again = 0
    for _ in range(20):
        pair = pairs.handshake(context, client)
        assert ccert.peer(pair.server.tls).trusted_as_server
        address = id(pair.server.tls._sslobj)
        del pair
        new = [pairs.begin(context, client).server.tls for _ in range(10)]
        for tls in new:
            with pytest.raises(ccert.CcertError, match="has not finished"):
                ccert.peer(tls)
        used_again += address in {id(tls._sslobj) for tls in new}
    assert used_again


def test_many_connections_are_told_apart(host, clique):
    """Each of many open connections, in whatever order it ends, has its own verdict."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    clients = [host.client(clique.leaf()), host.client(clique.leaf(eku=[pki.EMAIL])), host.client()]
    open_pairs = [(i % 3, pairs.handshake(context, clients[i % 3])) for i in range(300)]
    random.Random(1).shuffle(open_pairs)
    words = [Trust.TRUSTED, Trust.UNTRUSTED, Trust.ANONYMOUS]
    while open_pairs:
        assert all(ccert.peer(p.server.tls).trust is words[kind] for kind, p in open_pairs[::25])
        del open_pairs[::7]


def test_other_objects_of_the_thread_are_not_confused(host, clique):
    """A class that makes other TLS objects while it is made itself gets its own verdict."""

    class Own(ssl.SSLObject):
        def __new__(cls, *_args, **_kwargs):
            bios = ssl.MemoryBIO(), ssl.MemoryBIO()
            ssl.create_default_context().wrap_bio(*bios, server_hostname="a")  # made and dropped
            self = super().__new__(cls)
            self.earlier = ssl.SSLObject._create(*bios, server_side=True, context=context)
            return self

        @classmethod
        def _create(cls, *args, **kwargs):
            self = super()._create(*args, **kwargs)
            bios = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.other = ssl.create_default_context().wrap_bio(*bios, server_hostname="a")
            return self

    context = host.stock(clique.root.pem)
    context.sslobject_class = Own
    ccert.attach(context, client_certs="ask", trust_server_ccerts=True)
    pair = pairs.handshake(context, host.client(clique.leaf()))
    assert ccert.peer(pair.server.tls).trusted_as_server


def test_contexts_made_amid_a_handshake(host, clique):
    """An sni_callback may attach ccert to a context that it makes on the spot."""
    contexts = []

    def switch(tls, _name, _context) -> None:
        contexts.append(host.context(clique.root.pem, trust_server_ccerts=True))
        tls.context = contexts[-1]

    context = host.context(clique.root.pem)
    context.sni_callback = switch
    pair = pairs.handshake(context, host.client(clique.leaf()))
    assert ccert.peer(pair.server.tls).trusted_as_server
    assert ccert.stats(contexts[0]).trusted_as_server == 1


def amid_handshakes(context, clients, is_right, changes) -> int:
    """Make changes while a thread for each client shakes hands, one or more after each change.

    Returns:
        how many handshakes there were.
    """
    results, over = [], threading.Event()

    def shake(client: ssl.SSLContext) -> None:
        while not over.is_set():
            results.append(is_right(pairs.handshake(context, client)))

    threads = [threading.Thread(target=shake, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    try:
        for change in changes:
            change()
            before = len(results)
            while len(results) == before:
                assert all(thread.is_alive() for thread in threads)
                time.sleep(0.001)  # lets them have the GIL
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert all(results)
    return len(results)


def test_threads_share_a_context(host, clique):
    """Two threads shake hands on one context while a third replaces its policy."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    clients = [host.client(clique.leaf()) for _ in range(2)]

    def is_right(pair: pairs.Pair) -> bool:
        peer = ccert.peer(pair.server.tls)
        return peer.trusted_as_server or peer.error_code == 26

    attach = functools.partial(ccert.attach, context)
    changes = [functools.partial(attach, trust_server_ccerts=on) for on in (False, True)] * 50
    assert amid_handshakes(context, clients, is_right, changes) == ccert.stats(context).verified


def test_detaching_amid_handshakes(host, clique):
    """Threads shake hands on a context while ccert comes and goes: each handshake completes."""
    context = host.stock(clique.root.pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    clients = [host.client(clique.leaf(eku=[pki.CLIENT])) for _ in range(2)]
    attach = functools.partial(ccert.attach, context, trust_server_ccerts=True)
    changes = [attach, functools.partial(ccert.detach, context)] * 50
    amid_handshakes(context, clients, lambda pair: pair.completed, changes)


def test_fork_keeps_working(host, clique):
    """A forked worker serves with the context it inherited."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    client = host.client(clique.leaf())
    pid = os.fork()
    if pid == 0:
        trusted = ccert.peer(pairs.handshake(context, client).server.tls).trusted_as_server
        os._exit(0 if trusted else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_interpreter_exits_with_everything_alive(host):
    """At exit nothing is torn down in an order that crashes."""
    script = f"""
import sys; sys.path[:0] = {sys.path!r}
import pairs, ccert, ssl, atexit
server = ccert.ServerContext({str(host.certfile)!r}, {str(host.keyfile)!r})
client = ssl.create_default_context(cafile={str(host.cafile)!r})
pair = pairs.handshake(server, client)
atexit.register(lambda: print(ccert.peer(pair.server.tls).trust.value))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "Anonymous"), done.stderr


def test_depth_of_a_long_chain(host, clique):
    """A hundred certificates in a flight are told, not feared."""
    chain = clique.leaf()
    chain.sent.extend([pki.issue("Extra", clique.root)] * 98)
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    peer = ccert.peer(pairs.handshake(context, host.foreign(chain)).server.tls)
    assert len(peer.chain) == 100
    assert peer.trusted_as_server
