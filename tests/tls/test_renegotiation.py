"""TLS 1.2 renegotiation, where it is allowed: the rule for sessions holds for each handshake.

Python's ssl cannot renegotiate, so the client's SSL is asked.  ``ServerContext`` forbids it.
"""

import contextlib
import ctypes
import gc
import ssl

import pairs
import pki
import pytest
from sessions import NO_TICKET, resumed, trusted

import ccert

_LIBSSL = ctypes.CDLL("libssl.so.3")
for _name in ("SSL_renegotiate", "SSL_renegotiate_abbreviated", "SSL_do_handshake"):
    getattr(_LIBSSL, _name).argtypes = [ctypes.c_void_p]
_ALLOW_CLIENT_RENEGOTIATION = 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION, from OpenSSL 3.0 on


def _ssl_of(tls: ssl.SSLObject) -> int:
    """Return the ``SSL *``: in PySSLSocket, after the object's head and a reference."""
    return ctypes.c_void_p.from_address(id(tls._sslobj) + object.__basicsize__ + 8).value


def _renegotiate(pair: pairs.Pair, *, abbreviated: bool) -> None:
    ask = _LIBSSL.SSL_renegotiate_abbreviated if abbreviated else _LIBSSL.SSL_renegotiate
    assert ask(_ssl_of(pair.client.tls)) == 1
    for _ in range(8):
        _LIBSSL.SSL_do_handshake(_ssl_of(pair.client.tls))
        for one, other in ((pair.client, pair.server), (pair.server, pair.client)):
            other.incoming.write(one.outgoing.read() or b"")
            with contextlib.suppress(ssl.SSLError):
                other.tls.read(1)


@pytest.fixture
def server(host, clique) -> ccert.ServerContext:
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    context.options &= ~ssl.OP_NO_RENEGOTIATION
    context.options |= _ALLOW_CLIENT_RENEGOTIATION
    return context


@pytest.fixture
def client(host, clique) -> ssl.SSLContext:
    context = host.client(clique.leaf())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize("stateless", [False, True], ids=["stateful", "stateless"])
@pytest.mark.parametrize("how", ["nothing", "stock", "attached", "detach", "attach"])
def test_resumed_in_a_renegotiation(host, clique, server, client, stateless, how):
    """A session that the connection resumes within itself is bound by the rule as any other."""
    if stateless:
        server.options &= ~NO_TICKET
    pair = pairs.handshake(server, client)
    assert trusted(pair)
    other = pki.issue("Other Root", ca=True)
    if how == "stock":
        stock = host.stock(clique.leaf())
        stock.load_verify_locations(cadata=other.pem.decode())
        pair.server.tls.context = stock
    elif how == "attached":
        pair.server.tls.context = host.context(other.pem, client_certs="require")
    elif how == "detach":
        ccert.detach(server)
    elif how == "attach":
        ccert.attach(server, client_certs="require", trust_server_ccerts=False)
    _renegotiate(pair, abbreviated=True)
    assert trusted(pair) is (how == "nothing")


@pytest.mark.parametrize("end", ["attach", "fill", "free"])
def test_stored_session_of_a_renegotiation_elsewhere(host, clique, server, client, end):
    """The session before the renegotiation stays as it was filed: the cache is not corrupted."""
    pair = pairs.handshake(server, client)
    session = pair.client.tls.session
    pair.server.tls.context = host.stock(clique.leaf())
    _renegotiate(pair, abbreviated=False)
    assert not resumed(pairs.handshake(server, client, session=session))
    del pair
    gc.collect()
    if end == "attach":
        ccert.attach(server, trust_server_ccerts=True)
        assert server.session_stats()["number"] == 0
    elif end == "fill":
        for _ in range(2100):
            pairs.handshake(server, client)
        assert server.session_stats()["number"] <= 2048
    assert trusted(pairs.handshake(server, client))
