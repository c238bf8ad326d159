"""Exceptions out of signal handlers, at any moment: time-outs by signal and Ctrl-C are such.

Strategy: a child process makes contexts and connections while a timer raises every few
microseconds; it must survive, and be whole afterwards.  Stock ssl does.
"""

import concurrent.futures
import os
import subprocess
import sys

import pytest

SECONDS = float(os.environ.get("CCERT_INTERRUPTS") or 10)  # of each process

SCRIPT = """
import sys; sys.path[:0] = {path!r}
import random, signal, ssl, time
import ccert, pairs

class Interrupt(Exception):
    pass

def handler(*_):
    raise Interrupt

server = ccert.ServerContext({certfile!r}, {keyfile!r}, cafile={cafile!r}, trust_server_ccerts=True)
client = ssl.create_default_context(cafile={host_ca!r})
client.load_cert_chain({member!r})
random.seed({seed})
signal.signal(signal.SIGALRM, handler)
end = time.monotonic() + {seconds}
interrupted = rounds = 0
bystander = pairs.handshake(server, client)

def wrap():
    for _ in range(20):
        server.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)

def attach():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ccert.attach(context, client_certs="ask")
    ccert.attach(context)
    ccert.detach(context)

def shake():
    pair = pairs.handshake(server, client)
    pair.server.tls.getpeercert()
    ccert.peer(pair.server.tls)

while time.monotonic() < end:
    action = random.choice([wrap, attach, shake])
    rounds += 1
    try:
        longest = 2e-3 if action is shake else 3e-4
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, longest))
        action()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupt:
        interrupted += 1
    except ssl.SSLError as error:  # of the connection that was interrupted, not of the bystander
        if action is not shake:
            raise
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
assert interrupted > 50, (interrupted, rounds)
bystander.round_trip()
assert ccert.peer(bystander.server.tls).trusted_as_server
shake()
print(interrupted, rounds)
"""


def test_interrupts_at_any_moment(host, clique):
    """Three processes are interrupted again and again; none crashes, none is confused."""
    chain = clique.leaf()
    member = host.write(
        "interrupts.pem", b"".join(c.pem for c in chain.sent) + chain.sent[0].key_pem
    )
    anchors = host.write("interrupts-ca.pem", chain.anchors)

    def run(seed: int) -> subprocess.CompletedProcess:
        script = SCRIPT.format(
            path=sys.path, certfile=str(host.certfile), keyfile=str(host.keyfile),
            cafile=str(anchors), host_ca=str(host.cafile), member=str(member), seed=seed,
            seconds=SECONDS,
        )  # fmt: skip
        return subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", script],
            capture_output=True, text=True, check=False, timeout=60 + SECONDS,
        )  # fmt: skip

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for done in pool.map(run, range(3)):
            if done.returncode:
                pytest.fail(f"exit status {done.returncode}\n{done.stderr[-4000:]}")
            print(done.stdout)
