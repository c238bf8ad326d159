"""ChainVerifier in Dask's processes."""

import distributed
import pki

import ccert


def test_dask(host, clique):
    """A verifier goes to the workers of a cluster as it is; their verdicts are its own."""
    verifier = ccert.ChainVerifier(cafile=host.anchors(clique.root.pem), trust_server_ccerts=True)
    chains = [[c.der for c in clique.leaf(eku=[usage]).sent] for usage in (pki.SERVER, pki.EMAIL)]
    with (
        distributed.LocalCluster(2, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = client.gather(client.map(verifier.verify, chains * 50))
    assert found == [verifier.verify(chain) for chain in chains] * 50
    assert [bool(verdict) for verdict in found[:2]] == [True, False]
