"""Processes: forked, spawned, and ended amid it all; contexts and connections are where they were.

A stock client is on the other side, of ``ssl`` or ``openssl s_client``.
"""

import multiprocessing
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import warnings

import pairs
import pytest
from programs import require_program, run_python

import ccert

TIMEOUT = 20


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads
        return os.fork()


def _child(action) -> int:
    """Fork a child that acts, or is killed for taking too long; return its wait status."""
    pid = _fork()
    if pid == 0:
        signal.alarm(TIMEOUT)
        try:
            action()
        except BaseException:  # noqa: BLE001 - nothing of pytest's runs in a child
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_fork_with_live_connections(host, clique, version):
    """Parent and child go on with every connection, begun or established, as if there were one."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    context.minimum_version = context.maximum_version = version
    client = host.client(clique.leaf())
    established, begun = pairs.handshake(context, client), pairs.begin(context, client)
    begun.client.step()
    begun.server.incoming.write(begun.client.outgoing.read())
    begun.server.step()  # it has answered the ClientHello
    peer = ccert.peer(established.server.tls)

    def go_on() -> None:
        assert ccert.peer(established.server.tls) == peer
        established.round_trip()
        with pytest.raises(ccert.CcertError, match="has not finished"):
            ccert.peer(begun.server.tls)
        begun.server.step()
        begun.client.incoming.write(begun.server.outgoing.read())
        assert ccert.peer(pairs.finish(begun).server.tls).trusted_as_server
        assert ccert.peer(pairs.handshake(context, client).server.tls).trusted_as_server
        ccert.attach(context)
        assert ccert.peer(pairs.handshake(context, client).server.tls).error_code == 26
        ccert.detach(context)

    assert _child(go_on) == 0
    assert ccert.stats(context).verified == 1  # the child's are not ours
    go_on()


def test_fork_while_threads_attach(host, clique):
    """A child attaches, even if a thread of its parent was about to do so when it was forked."""
    contexts = [host.stock(clique.root.pem) for _ in range(4)]
    client = host.client(clique.leaf())
    done = threading.Event()

    def attach(context: ssl.SSLContext) -> None:
        while not done.is_set():
            ccert.attach(context, client_certs="ask")
            ccert.detach(context)

    def serve() -> None:
        context = host.context(clique.root.pem, trust_server_ccerts=True)
        assert ccert.peer(pairs.handshake(context, client).server.tls).trusted_as_server

    threads = [threading.Thread(target=attach, args=[context]) for context in contexts]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert _child(serve) == 0
    finally:
        done.set()
        for thread in threads:
            thread.join(TIMEOUT)


def _serve(listener: socket.socket, context: ssl.SSLContext | dict) -> None:
    """Tell one client its verdict, with a context or with one to be made."""
    signal.alarm(TIMEOUT)
    if isinstance(context, dict):
        context = ccert.ServerContext(**context)
    with listener, context.wrap_socket(listener.accept()[0], server_side=True) as connection:
        connection.sendall(str(ccert.peer(connection).trusted_as_server).encode())


@pytest.fixture
def files(host, clique) -> dict:
    """What a worker needs to make the context itself."""
    cafile = host.anchors(clique.root.pem)
    return {"certfile": host.certfile, "keyfile": host.keyfile, "cafile": cafile}


@pytest.fixture
def s_client(host, clique):
    """Return a function that connects to a port with a serverAuth-only certificate."""
    leaf, *others = clique.leaf().sent
    sent = b"".join([leaf.key_pem, leaf.pem, *(other.pem for other in others)])
    member = host.write("member.pem", sent)

    def connect(port: int) -> str:
        return subprocess.run(
            [
                require_program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-quiet",
                "-cert", member, "-cert_chain", member,
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        ).stdout  # fmt: skip

    return connect


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(files, s_client, method):
    """A worker serves with a context that it makes from files or, if it was forked, inherits.

    With the other methods, a context among its arguments is an error where it starts.
    """
    made = multiprocessing.get_context(method)
    inherited = ccert.ServerContext(**files, trust_server_ccerts=True)
    for context in (files | {"trust_server_ccerts": True}, inherited):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            worker = made.Process(target=_serve, args=(listener, context))
            if context is inherited and method != "fork":
                with pytest.raises(TypeError, match="make one in each process"):
                    worker.start()
                continue
            worker.start()
            port = listener.getsockname()[1]
        assert s_client(port) == "True"
        worker.join(TIMEOUT)
        assert worker.exitcode == 0


EXIT = """
import sys; sys.path[:0] = {path!r}
import pairs, ccert, socket, ssl, threading
server = ccert.ServerContext({certfile!r}, {keyfile!r})
client = ssl.create_default_context(cafile={cafile!r})
shaken = threading.Semaphore(0)

def shake():
    while True:
        ccert.peer(pairs.handshake(server, client).server.tls)
        ccert.attach(server)
        shaken.release()

def accept(connection, finished):
    with server.wrap_socket(connection, server_side=True) as tls:
        ccert.peer(tls)
        finished.set()
        tls.recv(1)

ends = []
for begin in (True, False):
    ours, theirs = socket.socketpair()
    finished = threading.Event()
    threading.Thread(target=accept, args=[ours, finished], daemon=True).start()
    if begin:
        theirs = client.wrap_socket(theirs, server_hostname="mx.example")
        finished.wait()
    ends.append(theirs)
for _ in range(4):
    threading.Thread(target=shake, daemon=True).start()
for _ in range(20):
    shaken.acquire()
print("over")
"""


@pytest.mark.parametrize("turn", range(3))
def test_exit_with_live_connections(host, turn):
    """The interpreter ends while threads attach, shake hands, wait for a client or for octets."""
    files = {name: str(getattr(host, name)) for name in ("certfile", "keyfile", "cafile")}
    done = run_python(EXIT.format(path=sys.path, **files))
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", ""), turn
