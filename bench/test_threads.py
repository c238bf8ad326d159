"""Handshakes in two threads against one: whether anything but the CPU holds them up.

Strategy: each thread shakes hands in memory with a client's context of its own; the server's is
shared, as an application would.  One thread and two take turns; a ratio is the median of the
rounds'.  The bare C loop, which never holds the GIL, tells what libssl's own locks and the machine
allow.  Where others use the CPUs, too, all of them stay below 2: then the best of the rounds, which
is in the JSON, tells more.
"""

from __future__ import annotations

import statistics

import contexts
from ends import Handshakes, forgives, new_pyopenssl, new_ssl, pyopenssl
from loop import Loop
from report import Row
from together import in_threads

ROUNDS, COUNT = 25, 60

MEASURES = "full TLS 1.3 handshakes/s in memory, both ends, in two Python threads against one"
ROWS = (
    Row("two threads / one: ccert", "two threads, ccert", None, MEASURES, ">= 1.7"),
    Row("  ... the bare C loop", "two threads, C", None, f"{MEASURES}; without the GIL"),
    Row(
        "  ... ccert / the bare C loop", "two threads, ccert", "two threads, C",
        "one's gain divided by the other's: says something on a busy machine, too",
    ),
    Row("  ... ssl's default", "two threads, ssl's default", None, MEASURES),
    Row(
        "  ... pyOpenSSL with a Python callback", "two threads, pyOpenSSL's callback", None,
        MEASURES, wrong="ignoring error 26 lets code signing pass",
        caveat="another library: cryptography's own OpenSSL, see the header",
    ),
)  # fmt: skip


def test_threads(clique, library, record, smoke):
    """Let one thread and two take turns; each end asserts that it trusts its peer."""

    def two(new, certificate) -> list[Handshakes]:
        return [Handshakes(new, contexts.client(clique.directory, certificate)) for _ in range(2)]

    server = contexts.server(clique.directory)
    clients = [contexts.client(clique.directory, "peer") for _ in range(2)]
    callback = pyopenssl(clique.directory, forgives)
    parties = {
        "ccert": two(new_ssl(server), "peer"),
        "C": [Loop(library, server, client, resume=False) for client in clients],
        "ssl's default": two(new_ssl(contexts.default(clique.directory)), "client"),
        "pyOpenSSL's callback": two(new_pyopenssl(callback), "peer"),
    }
    count = 1 if smoke else COUNT
    rounds = [
        {
            name: (in_threads(party[:1], count), in_threads(party, count))
            for name, party in parties.items()
        }
        for _ in range(1 if smoke else ROUNDS)
    ]
    for name in parties:
        alone, together = zip(*(each[name] for each in rounds), strict=True)
        speedups = [2 * one / two for one, two in zip(alone, together, strict=True)]
        record(
            f"two threads, {name}",
            statistics.median(speedups),
            "",
            quartiles=None if smoke else statistics.quantiles(speedups, n=4),
            best=2 * min(alone) / min(together),
        )
