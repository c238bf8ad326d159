"""Contexts are not copied, and say so: keys, sessions and settings are OpenSSL's."""

import copy
import pickle

import pytest

import ccert


@pytest.mark.parametrize("act", [copy.copy, copy.deepcopy, pickle.dumps])
def test_no_copies(host, clique, act):
    """Neither kind of context is copied or pickled; of ours, the message says what to do.

    A subclass that knows its files may say how it is pickled.
    """

    class Own(ccert.ServerContext):
        def __reduce__(self):
            return ccert.ServerContext, (host.certfile, host.keyfile)

    attached = host.stock(clique.root.pem)
    ccert.attach(attached, client_certs="ask")
    with pytest.raises(TypeError, match="cannot pickle 'SSLContext' object"):
        act(attached)
    with pytest.raises(TypeError, match="make one in each process"):
        act(host.context(clique.root.pem))
    assert act(Own(host.certfile, host.keyfile))
