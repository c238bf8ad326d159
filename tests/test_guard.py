"""A malformed certificate harms nobody but its owner.

OpenSSL leaves entries on the thread's error queue while it looks at a malformed extension.  Where
the handshake goes on, the next read of whatever connection on that thread takes them for its own.
"""

import pairs
import pki
import pytest

import ccert
from ccert import Trust

TRUNCATED = pki.eku_der(pki.SERVER)[:-1]
MALFORMED = {
    "eku": {"eku": TRUNCATED},
    "twice": {"second_eku": [pki.SERVER]},
    "key-usage": {"eku": None, "extensions": [(pki.extension("2.5.29.15", b"\x01\x02"), True)]},
    "san": {"extensions": [(pki.extension("2.5.29.17", b"\x30\x05\x82"), False)]},
}


@pytest.fixture(params=MALFORMED.values(), ids=MALFORMED.keys())
def malformed(request, clique, host):
    """A client whose own certificate is malformed."""
    return host.foreign(clique.leaf(**request.param))


@pytest.fixture
def extra(clique, host):
    """A trusted client that sends a malformed certificate after its chain."""
    chain = clique.leaf()
    chain.sent.append(pki.issue("Extra", clique.root, eku=TRUNCATED))
    return host.foreign(chain)


def _echo(pair: pairs.Pair) -> None:
    pair.client.tls.write(b"innocent")
    pair.server.incoming.write(pair.client.outgoing.read())
    assert pair.server.tls.read(8) == b"innocent"


def _beside_an_innocent(server, client, innocent: pairs.Pair) -> pairs.Pair:
    """Shake hands byte by byte, with the innocent connection talking after every byte."""
    pair = pairs.begin(server, client)
    step = pair.server.step

    def step_and_echo() -> None:
        step()
        _echo(innocent)

    pair.server.step = step_and_echo
    return pairs.finish(pair, chunk=1)


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
def test_innocent_connection_survives(host, clique, malformed, setting, version):
    """A connection on the same thread goes on talking all the while."""
    server = host.context(clique.root.pem, trust_server_ccerts=setting)
    server.minimum_version = server.maximum_version = version
    innocent = pairs.handshake(server, host.client(clique.leaf()))
    pair = _beside_an_innocent(server, malformed, innocent)
    assert pair.completed, pair.server.error
    assert ccert.peer(pair.server.tls).trust is Trust.UNTRUSTED
    _echo(innocent)  # ccert.peer() looked at the certificate again


def test_malformed_extra_certificate(host, clique, extra, version):
    """Even a trusted client's superfluous certificate disturbs neither itself nor others."""
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    server.minimum_version = server.maximum_version = version
    innocent = pairs.handshake(server, host.client(clique.leaf()))
    pair = _beside_an_innocent(server, extra, innocent)
    assert pair.completed, pair.server.error
    peer = ccert.peer(pair.server.tls)
    assert peer.trust is Trust.TRUSTED
    assert len(peer.chain) == 3
    _echo(innocent)


def test_refused_handshake_spares_the_innocent(host, clique, malformed, version):
    """Where the handshake fails for it, nothing is left behind either."""
    server = host.context(clique.root.pem, client_certs="require", trust_server_ccerts=True)
    server.minimum_version = server.maximum_version = version
    innocent = pairs.handshake(server, host.client(clique.leaf()))
    pair = _beside_an_innocent(server, malformed, innocent)
    assert pair.server.error.reason == "CERTIFICATE_VERIFY_FAILED"
    _echo(innocent)
