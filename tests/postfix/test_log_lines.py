"""The words of the log for each reason, as in Postfix's tls_log_verify_error()."""

import logging

import pairs
import pki
import pytest

import ccert
from ccert.postfix.log_lines import log_peer

FAILED = "certificate verification failed for x[192.0.2.1]: "


def _past(clique, **more):
    return pki.issue("Old CA", clique.root, ca=True, start=-9 * pki.DAY, end=-2 * pki.DAY, **more)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda c: c.leaf(eku=[pki.EMAIL]),
            FAILED + "not designated for use as a client certificate",
        ),
        (
            lambda c: c.below(pki.issue("CA", c.root, ca=True, eku=[pki.SERVER]), eku=[pki.CLIENT]),
            FAILED + "not designated for use as a CA certificate",
        ),
        (
            lambda c: c.leaf(eku=[pki.CLIENT], start=-9 * pki.DAY, end=-2 * pki.DAY),
            f"client {FAILED}certificate has expired",
        ),
        (
            lambda c: c.below(_past(c), eku=[pki.CLIENT]),
            f"CA {FAILED}certificate has expired",
        ),
    ],
    ids=["client-purpose", "ca-purpose", "client-expired", "ca-expired"],
)
def test_reason(host, clique, caplog, make, words):
    """At depth 0 it is the client's certificate that is at fault, above it a CA's."""
    chain = make(clique)
    pair = pairs.handshake(host.context(clique.root.pem), host.client(chain))
    with caplog.at_level(logging.INFO, "ccert"):
        log_peer(ccert.peer(pair.server.tls), "x[192.0.2.1]")
    assert caplog.records[0].getMessage() == words


def test_many_names(host, clique, caplog):
    """Ten names are listed, and how many there are."""
    chain = clique.leaf(names=[f"mx{n}.example" for n in range(12)])
    context = host.context(chain, trust_server_ccerts=True)
    with caplog.at_level(logging.INFO, "ccert"):
        log_peer(ccert.peer(pairs.handshake(context, host.client(chain)).server.tls), "x")
    names = caplog.records[-1].getMessage().partition("names=")[2]
    listed = ",".join(f"mx{n}.example" for n in range(10))
    assert names == f"{listed},... (12 names), trusted_as_server=yes"
