"""Sessions and HelloRetryRequest: what a client says the second time."""

import ssl

import pairs
import pki
import pytest
from sessions import NAME, OTHER, NameChanger, resumed, route, trusted

import ccert


def test_switched_after_a_retry(host, clique):
    """Nor does one that a stock context begins and hands over after a HelloRetryRequest."""
    attached, stock = host.context(clique.root.pem, trust_server_ccerts=True), host.stock()
    stock.verify_mode = ssl.CERT_OPTIONAL
    stock.set_ecdh_curve("secp384r1")  # not the share that clients send at first
    attached.set_ecdh_curve("secp384r1")
    route(stock, {NAME: attached})
    client = host.client(clique.leaf())
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    first = pairs.handshake(stock, client)
    assert trusted(first)
    again = pairs.handshake(stock, client, session=first.client.tls.session)
    assert trusted(again)
    assert not resumed(again)


@pytest.mark.parametrize("tickets", [0, 1])
def test_name_changed_in_the_second_client_hello(host, clique, tickets):
    """A session for one name does not come in at another by way of a second ClientHello.

    Nobody of ours sees that one where the first name leads to a stock context, nor the end of the
    handshake where no new ticket is made.
    """
    lax, strict = host.stock(clique.root.pem), host.context(pki.issue("Other", ca=True).pem)
    server = host.context(clique.root.pem, trust_server_ccerts=True)
    for context in (server, lax, strict):
        context.set_ecdh_curve("secp384r1")  # not the share that clients send at first
    table = {}
    route(server, table)
    changer = NameChanger(host, clique.leaf())
    first = changer.shake(server, NAME, NAME)
    session = first.client.tls.connection.get_session()
    server.num_tickets = tickets
    same = changer.shake(server, NAME, NAME, session)
    assert ccert.peer(same.server.tls).resumed
    table.update({NAME: lax, OTHER: strict})
    changed = changer.shake(server, NAME, OTHER, session)
    assert changed.server.tls.context in {strict, lax}  # some builds ask again, some do not
    assert not trusted(changed)
    assert not changed.completed or pairs.is_closed(changed.server.tls)
