"""A handshake runs without Python and without the GIL."""

import ctypes
import os
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

import pairs
import pytest
from programs import has_gil

import ccert

# -- no Python in the handshake --


def _events(action) -> list[str]:
    events = []

    def profile(_frame, event, argument) -> None:
        events.append(f"{event} {getattr(argument, '__name__', '')}".strip())

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return events


@pytest.mark.parametrize("named", [False, True], ids=["quiet", "sni_callback"])
def test_no_python_runs_in_the_handshake(host, clique, named):
    """Between the ClientHello and the verdict the interpreter sees no call.

    The contrast: an sni_callback is one, and it is seen.
    """
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    if named:
        context.sni_callback = lambda *_: None
    pair = pairs.begin(context, host.client(clique.leaf()))
    server = pair.server.tls._sslobj.do_handshake  # the C function itself

    def step() -> None:
        try:
            server()
            pair.server.done = True
        except ssl.SSLWantReadError:
            pass

    inside = []

    def profiled() -> None:
        inside.extend(e for e in _events(step) if "SSLWant" not in e)

    pair.server.step = lambda: None if pair.server.done else profiled()
    pairs.finish(pair)
    assert ccert.peer(pair.server.tls).trusted_as_server
    calls = [event for event in inside if event.startswith("call")]
    steps = inside.count("c_call do_handshake")
    assert steps >= 2
    assert (len(calls) > steps) is named  # one "call" each is step() itself


_CLIENT = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.load_cert_chain(sys.argv[3])
context.maximum_version = ssl.TLSVersion.TLSv1_2  # its end proves that the server has verified
sock = socket.socket(fileno=int(sys.argv[1]))
sock.settimeout(2)
context.wrap_socket(sock, server_hostname="mx.example")
"""


def _blocked_in_handshake(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident)
    state = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2]
    return frame is not None and frame.f_code.co_name == "do_handshake" and state.split()[0] == "S"


@pytest.mark.parametrize("named", [False, True], ids=["quiet", "sni_callback"])
def test_handshake_needs_no_gil(host, clique, named):
    """A whole handshake, verdict included, while the main thread keeps the GIL in C.

    ``system()``, called without releasing the GIL, runs the client to its end.  The contrast: an
    sni_callback waits for the GIL, if there is one, and the client loses patience.
    """
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    if named:
        context.sni_callback = lambda *_: None
    chain = clique.leaf()
    member = host.write("gil.pem", b"".join(c.pem for c in chain.sent) + chain.sent[0].key_pem)
    script = host.write("client.py", _CLIENT.encode())
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    connection = context.wrap_socket(ours, server_side=True, do_handshake_on_connect=False)
    outcome = []

    def shake() -> None:
        try:
            connection.do_handshake()
            outcome.append(ccert.peer(connection).trusted_as_server)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=shake)
    thread.start()
    for _ in range(1000):
        if _blocked_in_handshake(thread):
            break
        time.sleep(0.01)
    assert _blocked_in_handshake(thread)
    command = f"{sys.executable} {script} {theirs.fileno()} {host.cafile} {member}"
    status = ctypes.PyDLL(None).system(command.encode())
    theirs.close()
    thread.join(20)
    connection.close()
    waited = named and has_gil()
    assert (status == 0) is not waited
    assert (outcome == [True]) is not waited
