"""What tests of resumption share: earning a session, offering it again, changing the name."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pairs
from cryptography import x509
from foreign import ForeignTLS
from OpenSSL import SSL

import ccert
from ccert import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Chain
    from conftest import Host

NO_TICKET = ssl.OP_NO_TICKET
NAME, OTHER = "mx.example", "mx2.example"


def resume(server, client, first: pairs.Pair, **kwargs) -> pairs.Pair:
    pair = pairs.handshake(server, client, session=first.client.tls.session, **kwargs)
    first.resumptions.append(pair)  # OpenSSL drops a session with a connection not shut down
    return pair


def resumed(pair: pairs.Pair) -> bool:
    return bool(pair.client.tls.session_reused)


def trusted(pair: pairs.Pair) -> bool:
    """Tell whether an application would take the client for trusted: closed connections are not."""
    try:
        return pair.completed and ccert.peer(pair.server.tls).trust is Trust.TRUSTED
    except ccert.CcertError:
        return False


def route(listening: ssl.SSLContext, table: dict[str, ssl.SSLContext]) -> None:
    """Let names lead to other contexts than the one that listens; the table may change."""

    def switch(tls, name, _context) -> None:
        if name in table:
            tls.context = table[name]

    listening.sni_callback = switch


class NameChanger:
    """A client that may ask for another name once the server wants another key share."""

    def __init__(self, host: Host, chain: Chain | None, version: int = SSL.TLS1_3_VERSION) -> None:
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self.context.set_min_proto_version(version)
        self.context.set_max_proto_version(version)
        self.context.set_session_cache_mode(SSL.SESS_CACHE_CLIENT)
        self.context.load_verify_locations(str(host.cafile))
        if chain is None:
            return
        leaf, *others = (x509.load_der_x509_certificate(c.der) for c in chain.sent)
        self.context.use_certificate(leaf)
        for other in others:
            self.context.add_extra_chain_cert(other)
        self.context.use_privatekey(chain.sent[0].key)

    def shake(
        self,
        server: ssl.SSLContext,
        first: str,
        second: str,
        session=None,
        *,
        assigned: ssl.SSLContext | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> pairs.Pair:
        """Shake hands.

        Args:
            first, second: names in the two ClientHellos; with one only, the first counts.
            session: to offer.
            assigned: the context that the server's end is given before.
            meanwhile: what happens after the server's first flight.
        """
        connection = SSL.Connection(self.context, None)
        connection.set_connect_state()
        connection.set_tlsext_host_name(first.encode())
        if session:
            connection.set_session(session)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = pairs.End(incoming, outgoing, ForeignTLS(connection, incoming, outgoing))
        pair = pairs.Pair(pairs._end(server, server_side=True), client)
        if assigned:
            pair.server.tls.context = assigned
        client.step()
        pair.server.incoming.write(client.outgoing.read())
        pair.server.step()  # perhaps answers with a HelloRetryRequest
        meanwhile()
        connection.set_tlsext_host_name(second.encode())
        client.incoming.write(pair.server.outgoing.read())
        pairs.finish(pair)
        if pair.completed and not pairs.is_closed(pair.server.tls):
            pair.round_trip()
        return pair
