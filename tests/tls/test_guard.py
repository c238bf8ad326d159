"""A malformed certificate harms nobody but its owner.

OpenSSL leaves entries on the thread's error queue while it looks at a malformed extension.  Where
the handshake goes on, the next read of whatever connection on that thread takes them for its own.
"""

import asyncio
import contextlib
import ctypes
import dataclasses
import ssl
from pathlib import Path

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


# -- what Python's ssl decodes --

BAD = b"\x30\x05\x82"  # the beginning of a SEQUENCE
EXTENSIONS = {
    "aia": "1.3.6.1.5.5.7.1.1",
    "san": "2.5.29.17",
    "ian": "2.5.29.18",
    "crl-points": "2.5.29.31",
    "policies": "2.5.29.32",
}
METHODS = {
    "getpeercert": lambda tls: tls.getpeercert(),
    "getpeercert-binary": lambda tls: tls.getpeercert(True),
    "verified-chain": lambda tls: tls.get_verified_chain(),
    "unverified-chain": lambda tls: tls.get_unverified_chain(),
}


def _left_on_the_queue() -> int:
    """Look at the thread's error queue by the libcrypto that ssl uses."""
    libcrypto = ctypes.CDLL(_library("libcrypto.so.3"))
    libcrypto.ERR_peek_error.restype = ctypes.c_ulong
    return libcrypto.ERR_peek_error()


def _library(name: str) -> str:
    maps = Path("/proc/self/maps").read_text()
    return next(line.split()[-1] for line in maps.splitlines() if line.endswith(name))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("oid", EXTENSIONS.values(), ids=EXTENSIONS.keys())
@pytest.mark.parametrize("mode", ["ask", "optional", "require"])
def test_decoding_leaves_nothing_behind(host, clique, version, mode, oid, method):
    """Whatever ssl decodes of a stranger's or a member's certificate, others go on talking."""
    server = host.context(clique.root.pem, client_certs=mode, trust_server_ccerts=True)
    server.minimum_version = server.maximum_version = version
    innocent = pairs.handshake(server, host.client(clique.leaf()))
    member = clique.leaf(extensions=[(pki.extension(oid, BAD), False)])
    stranger = dataclasses.replace(
        member, sent=[pki.issue("stranger", extensions=[(pki.extension(oid, BAD), False)])]
    )
    for chain in (member, stranger):
        pair = pairs.finish(pairs.begin(server, host.foreign(chain)))
        assert pair.completed or mode != "ask"
        assert pair.completed or chain is stranger or oid != EXTENSIONS["aia"]
        if pair.completed:
            with contextlib.suppress(AttributeError):  # chains: from Python 3.13 on
                method(pair.server.tls)
        assert _left_on_the_queue() == 0
        _echo(innocent)


def test_stock_contexts_do_leave_it(host, clique):
    """The contrast: after ssl's own getpeercert() the queue is not empty."""
    chain = clique.leaf(
        eku=[pki.CLIENT], extensions=[(pki.extension(EXTENSIONS["aia"], BAD), False)]
    )
    server = host.stock(clique.root.pem)
    server.verify_mode = ssl.CERT_OPTIONAL
    pair = pairs.finish(pairs.begin(server, host.foreign(chain)))
    assert pair.completed
    pair.server.tls.getpeercert()
    left = _left_on_the_queue()
    with contextlib.suppress(ssl.SSLError):
        pair.server.tls.read(1)  # takes it for its own failure
    assert left != 0


def test_the_context_s_own_cas(host, clique):
    """get_ca_certs() decodes, too."""
    ca = pki.issue("Odd CA", ca=True, extensions=[(pki.extension(EXTENSIONS["aia"], BAD), False)])
    server = host.context(clique.root.pem + ca.pem, trust_server_ccerts=True)
    assert len(server.get_ca_certs()) == 2
    assert _left_on_the_queue() == 0


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
def test_asyncio_takes_the_stranger(host, clique, version, setting):
    """asyncio calls getpeercert() after each handshake: neither its connection nor others end."""
    odd = pki.issue("stranger", extensions=[(pki.extension(EXTENSIONS["aia"], BAD), False)])
    server = host.context(clique.root.pem, trust_server_ccerts=setting)
    server.minimum_version = server.maximum_version = version
    path = host.write("odd.pem", odd.pem + odd.key_pem)

    async def talk() -> list[bytes]:
        async def echo(reader, writer) -> None:
            while octets := await reader.read(100):
                writer.write(octets)
            writer.close()

        listening = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server)
        port = listening.sockets[0].getsockname()[1]
        streams = []
        for own in (None, path):
            client = host.client()
            if own:
                client.load_cert_chain(own)
            streams.append(
                await asyncio.open_connection(
                    "127.0.0.1", port, ssl=client, server_hostname="mx.example"
                )
            )
        answers = []
        for reader, writer in streams * 2:
            writer.write(b"octets")
            answers.append(await asyncio.wait_for(reader.readexactly(6), 10))
        for _, writer in streams:
            writer.close()
        listening.close()
        return answers

    assert asyncio.run(talk()) == [b"octets"] * 4
