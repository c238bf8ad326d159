"""Whoever resumes gets what a full handshake would get: random worlds, random sequences.

Strategy: a world has some contexts, attached or stock, and clients with a certificate or none.  A
sequence reroutes names, attaches anew, loads CRLs, changes modes, forks, and lets clients offer
any session that they ever earned, also across a HelloRetryRequest with a changed name and with
something happening in the middle.  The oracle of each resumption is a full handshake of the same
client, for the same name, right after.

``CCERT_SESSION_SECONDS`` says for how long (default: 8).
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import os
import random
import ssl
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import pki
from OpenSSL import SSL
from pairs import Pair, is_closed
from sessions import NO_TICKET, NameChanger, route

import ccert

if TYPE_CHECKING:
    from cases import Clique
    from conftest import Host

PATIENCE = 120  # more seconds on a slow machine, until every kind has been seen
SECONDS = float(os.environ.get("CCERT_SESSION_SECONDS") or 8)
STEPS = 60  # of a world
CHANGES = 0.15  # of these
NAMES = ("mx.example", "mx2.example", "localhost")
SOON = datetime.timedelta(seconds=3)


@dataclasses.dataclass
class Client:
    end: NameChanger
    leaf: pki.Certificate | None
    expires: float
    sessions: list[tuple[str, Any]] = dataclasses.field(default_factory=list)


class World:
    """Some contexts, one of which listens, and some clients."""

    def __init__(self, host: Host, clique: Clique, other: Clique, seed: int) -> None:
        self.random = random.Random(seed)
        self.host = host
        self.cas = clique, other
        self.counts: collections.Counter[str] = collections.Counter()
        self.keep: list[Pair] = []  # a session goes with its connection
        self.retries = self.random.random() < 0.5
        self.contexts = [self._context() for _ in range(4)]
        self.listening = self.contexts[0]
        self.table: dict[str, ssl.SSLContext] = {}
        route(self.listening, self.table)
        self.clients = [self._client() for _ in range(4)]

    def _context(self) -> ssl.SSLContext:
        choose = self.random.choice
        chain = choose(self.cas).root.pem
        if self.random.random() < 0.3:
            context = self.host.stock(chain)
            context.verify_mode = choose([ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
            if self.random.random() < 0.3:
                ccert.attach(context, trust_server_ccerts=choose([False, True]))
        else:
            setting = choose([False, True, True, "observe"])
            mode = choose(["ask", "ask", "optional", "require"])
            context = self.host.context(chain, client_certs=mode, trust_server_ccerts=setting)
        if self.random.random() < 0.5:
            context.options &= ~NO_TICKET
            context.num_tickets = choose([1, 2])
        if self.retries:
            context.set_ecdh_curve("secp384r1")  # not the share that clients send at first
        return context

    def _client(self) -> Client:
        choose = self.random.choice
        version = choose([SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
        if self.random.random() < 0.15:
            return Client(NameChanger(self.host, None, version), None, float("inf"))
        clique = choose(self.cas)
        eku = choose([[pki.SERVER], [pki.SERVER], [pki.CLIENT], [pki.SERVER, pki.CLIENT]])
        brief = self.random.random() < 0.15
        chain = clique.leaf(eku=eku, end=SOON if brief else 30 * pki.DAY)
        expires = time.time() + SOON.total_seconds() if brief else float("inf")
        return Client(NameChanger(self.host, chain, version), chain.sent[0], expires)

    # -- what happens --

    def change(self) -> None:
        if self.random.random() < 0.4:
            self._reroute()
        else:
            self.change_policy()

    def change_policy(self) -> None:
        what = self.random.choice([self._attach, self._revoke, self._mode])
        self.counts[what.__name__] += 1
        what()

    def _reroute(self) -> None:
        name = self.random.choice(NAMES)
        if self.random.random() < 0.4:
            self.table.pop(name, None)
        else:
            self.table[name] = self.random.choice(self.contexts)

    def _attach(self) -> None:
        context = self.random.choice(self.contexts)
        setting = self.random.choice([False, True])
        mode = self.random.choice([None, "ask", "optional", "require"])
        if is_attached(context) and self.random.random() < 0.2:
            ccert.detach(context)
        else:
            ccert.attach(context, client_certs=mode, trust_server_ccerts=setting)

    def _revoke(self) -> None:
        members = [client for client in self.clients if client.leaf]
        context = self.random.choice(self.contexts)
        if not members or not is_attached(context):
            return
        leaf = self.random.choice(members).leaf
        ca = next((c.ca for c in self.cas if issued(c.ca, leaf)), None)
        if ca is None:
            return
        age = pki.DAY - datetime.timedelta(seconds=sum(self.counts.values()))  # newer each time
        context.load_verify_locations(
            self.host.write(f"{os.getpid()}.crl", pki.crl(ca, leaf, age=age))
        )
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        ccert.attach(context, trust_server_ccerts=True)

    def _mode(self) -> None:
        self.random.choice(self.contexts).verify_mode = self.random.choice(
            [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED]
        )

    # -- handshakes --

    def shake(self) -> None:
        client = self.random.choice(self.clients)
        first = second = self.random.choice(NAMES)
        if self.random.random() < 0.1:
            second = self.random.choice(NAMES)
        how: dict[str, Any] = {}
        if self.random.random() < 0.1:
            how["assigned"] = self.random.choice(self.contexts)
        offered = self._session(client, first)
        attached = {
            context for context in self.contexts if is_attached(context)
        }  # at its beginning
        # not where names lead: the server has asked that by now, in a full handshake, too
        meanwhile = self.change_policy if self.random.random() < 0.15 else lambda: None
        pair = client.end.shake(self.listening, first, second, offered, meanwhile=meanwhile, **how)
        self.counts["handshakes"] += 1
        if pair.server.tls.session_reused:
            self._compare(client, pair, (first, second), how, attached)
        if pair.completed and (session := pair.client.tls.connection.get_session()):
            client.sessions.append((second, session))
        self.keep.append(pair)

    def _session(self, client: Client, name: str) -> Any:
        """Choose one of the last, mostly of the same name."""
        any_name = self.random.random() < 0.3
        last = [s for n, s in client.sessions[-12:] if any_name or n == name][-3:]
        return self.random.choice([None, *last])

    def _compare(
        self, client: Client, pair: Pair, names: tuple[str, str], how: dict, attached: set
    ) -> None:
        """Compare with what a full handshake gets now; attached: the contexts that were."""
        ended_in = pair.server.tls.context
        if not attached & {self.listening, ended_in}:
            self.counts["stock's own"] += 1
            return
        if not pair.completed or is_closed(pair.server.tls):
            self.counts["closed"] += 1
            return
        self.counts["resumed"] += 1
        if not is_attached(ended_in):
            raise AssertionError("resumed into a stock context")
        got = verdict(pair)
        full = client.end.shake(self.listening, *names, **how)
        self.keep.append(full)
        assert not full.server.tls.session_reused
        if time.time() < client.expires:
            assert got == verdict(full), f"resumed as {got}, in full {verdict(full)}"
        self.counts[f"as {got[0].value}"] += 1


def is_attached(context: ssl.SSLContext) -> bool:
    try:
        ccert.stats(context)
    except ccert.ConfigError:
        return False
    return True


def issued(ca: pki.Certificate, leaf: pki.Certificate) -> bool:
    from cryptography import x509  # noqa: PLC0415 - here only

    parsed = x509.load_der_x509_certificate(leaf.der)
    try:
        parsed.verify_directly_issued_by(x509.load_der_x509_certificate(ca.der))
    except Exception:  # noqa: BLE001 - whatever it says, it is no
        return False
    return True


def verdict(pair: Pair) -> tuple | None:
    """Return what an application acts by; None: nothing, the connection is not there."""
    if not pair.completed or is_closed(pair.server.tls):
        return None
    peer = ccert.peer(pair.server.tls)
    return peer.trust, peer.trusted_as_server, peer.error_code, peer.fingerprint


def explore(make, first_seed: int, until: float) -> collections.Counter[str]:
    counts: collections.Counter[str] = collections.Counter()
    seed = first_seed
    while (now := time.time()) < until or (now < until + PATIENCE and not _has_seen_all(counts)):
        world = make(seed)
        try:
            for step in range(STEPS):
                (world.change if world.random.random() < CHANGES else world.shake)()
                if step == STEPS // 2 and world.random.random() < 0.2:
                    _fork(world)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        counts.update(world.counts)
        counts["worlds"] += 1
        seed += 1
    return counts


def _has_seen_all(counts: collections.Counter[str]) -> bool:
    return all(counts[what] for what in ("resumed", "closed", "as Trusted"))


def _fork(world: World) -> None:
    """Go on in a child process, with another fate, from here."""
    world.counts["forks"] += 1
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0, "in a forked child"
        return
    status = 1
    try:
        world.random.seed(world.random.random() + 1)
        for _ in range(STEPS // 2):
            (world.change if world.random.random() < CHANGES else world.shake)()
        status = 0
    except BaseException:  # noqa: BLE001 - told by the exit status
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(status)


def test_resumed_means_judged_alike(host, clique, tmp_path_factory):
    """A resumed client has the verdict that it would get in full, at that moment, in that place."""
    other = type(clique)(tmp_path_factory.mktemp("other"))
    seed = int(os.environ.get("CCERT_SESSION_SEED") or random.randrange(10**9))
    counts = explore(lambda s: World(host, clique, other, s), seed, time.time() + SECONDS)
    print(f"from seed {seed}: {dict(counts)}")
    assert _has_seen_all(counts), counts
