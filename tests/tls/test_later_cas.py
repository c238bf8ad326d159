"""CAs and CRLs that a ServerContext loads after it was made."""

import ssl
import warnings

import pairs
import pki
import pytest

import ccert
from ccert import ConfigError


@pytest.fixture
def context(host, clique):
    return host.context(clique.root.pem, trust_server_ccerts=True)


@pytest.mark.parametrize("form", ["cafile", "cadata"])
def test_names_are_sent(host, clique, context, form):
    """A client that chooses its certificate by the CertificateRequest finds the later CA there."""
    other = pki.issue("Later Root", ca=True)
    context.load_verify_locations(
        **{form: host.anchors(other.pem) if form == "cafile" else other.pem}
    )
    client = host.foreign(clique.leaf())
    pair = pairs.handshake(context, client)
    names = [name.CN for name in pair.client.tls.connection.get_client_ca_list()]
    assert names == ["Clique Root", "Later Root"]
    assert ccert.peer(pairs.handshake(context, host.client(clique.anchored(other))).server.tls)


@pytest.mark.parametrize("later", ["neither", "first", "second", "both"])
def test_names_after_a_switch(host, clique, version, later):
    """The names are those of the context that an sni_callback chooses, whoever loaded CAs later."""
    first, second = host.context(clique.root.pem), host.context(pki.issue("Other", ca=True).pem)
    if later in {"first", "both"}:
        first.load_verify_locations(cadata=pki.issue("First", ca=True).pem)
    if later in {"second", "both"}:
        second.load_verify_locations(cadata=pki.issue("Second", ca=True).pem)

    def switch(tls, _name, _context) -> None:
        tls.context = second

    first.minimum_version = first.maximum_version = version
    names = []
    for first.sni_callback in (None, switch):
        client = pairs.handshake(first, host.foreign(clique.leaf())).client
        names.append([name.CN for name in client.tls.connection.get_client_ca_list()])
    assert names == [
        ["Clique Root", "First"] if later in {"first", "both"} else ["Clique Root"],
        ["Other", "Second"] if later in {"second", "both"} else ["Other"],
    ]


def test_errors_name_the_file(clique, context, tmp_path):
    """As in the constructor; nothing of a broken file is trusted."""
    path = tmp_path / "cas.pem"
    with pytest.raises(ConfigError, match=f"CA file {path}: No such file"):
        context.load_verify_locations(path)
    other = pki.issue("Later Root", ca=True)
    path.write_bytes(other.pem + clique.ca.pem[:-40])
    with pytest.raises(ConfigError, match=f"CA file {path}: certificate 2"):
        context.load_verify_locations(path)
    assert context.cert_store_stats()["x509"] == 1
    with pytest.raises(ConfigError, match=f"CA directory {tmp_path}: no hashed certificate found"):
        context.load_verify_locations(capath=tmp_path)
    good = tmp_path / "good.pem"
    good.write_bytes(other.pem)
    with pytest.raises(ConfigError, match="no hashed certificate found"):
        context.load_verify_locations(good, capath=tmp_path)
    assert context.cert_store_stats()["x509"] == 1
    for nothing in ({}, {"cafile": None}):
        with pytest.raises(TypeError, match="cannot be all omitted"):
            context.load_verify_locations(**nothing)


def test_crl(host, clique, context):
    """A file may hold nothing but a CRL here; in the constructor that would be no CA."""
    leaf = clique.leaf()
    crls = pki.crl(clique.ca, leaf.sent[0]) + pki.crl(clique.root)
    path = host.write("crls.pem", crls)
    with pytest.raises(ConfigError, match="no PEM certificate found"):
        host.context(crls)
    assert ccert.peer(pairs.handshake(context, host.client(leaf)).server.tls)
    context.load_verify_locations(path)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    assert ccert.peer(pairs.handshake(context, host.client(leaf)).server.tls).error_code == 23


def test_too_many(host, context):
    """The warning comes where the CAs are loaded, and not again for a CRL."""
    roots = [pki.issue(f"Root {number}", ca=True) for number in range(21)]
    with pytest.warns(UserWarning, match="22 trusted CAs") as caught:
        context.load_verify_locations(host.anchors(b"".join(root.pem for root in roots)))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        context.load_verify_locations(host.write("crl.pem", pki.crl(roots[0])))


@pytest.mark.parametrize("setting", [False, "observe", True])
def test_the_systems(host, clique, setting):
    """With the setting on, the system's CAs certify everybody, which is said."""
    context = host.context(clique.root.pem, trust_server_ccerts=setting)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        context.load_default_certs()
        context.set_default_verify_paths()
    told = [str(each.message) for each in caught if each.category is ccert.PublicCAWarning]
    assert len(told) == (2 if setting is True else 0)
    assert all("the system's CAs" in text for text in told)


def test_repr(clique, context):
    """It tells the settings, not a secret."""
    settings = "trust_server_ccerts=True verify_depth=9"
    assert repr(context) == f"<ServerContext client_certs='ask' {settings} trusted_cas=1>"
    context.verify_mode = ssl.CERT_REQUIRED
    assert "client_certs='require'" in repr(context)
    ccert.detach(context)
    assert repr(context) == "<ServerContext detached trusted_cas=1>"
    verifier = ccert.ChainVerifier(cadata=clique.root.pem, trust_server_ccerts="observe")
    settings = "trust_server_ccerts='observe' verify_depth=9 auth_level=2"
    assert repr(verifier) == f"<ChainVerifier {settings} trusted_cas=1>"
