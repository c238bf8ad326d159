"""A CA that the system trusts, too, certifies everybody: what is refused, and what is warned of."""

import warnings

import pki
import pytest
from cryptography import x509

import ccert
from ccert.server.tls_context import server_context
from ccert.tls import system_cas

NARROWED = {
    "relay_clientnames": "names", "relay_clientcerts": "keys", "check_ccert_access": "access",
    "check_policy_service": "inet:127.0.0.1:1",
}  # fmt: skip


@pytest.fixture
def public(tmp_path, monkeypatch) -> pki.Certificate:
    """A CA of the system, as a certificate that is not the system's own one of it."""
    root = pki.issue("Public Root", ca=True)
    others = [pki.issue(name, ca=True) for name in "abc"]
    (tmp_path / "system.pem").write_bytes(b"".join(c.pem for c in (root, *others)))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    monkeypatch.setattr(system_cas, "_BUNDLES", ())
    return pki.issue("Public Root", ca=True, key=root.key)


@pytest.fixture
def context(read, host, public, tmp_path, caplog):
    """Return a function that makes a context with a CA, and returns what was logged."""
    assert public

    def context(ca: pki.Certificate, **parameters: str) -> list[str]:
        (tmp_path / "cas.pem").write_bytes(ca.pem)
        config = read(
            f"smtpd_tls_cert_file = {host.certfile}\nsmtpd_tls_key_file = {host.keyfile}\n"
            f"maildir = x\nsmtpd_tls_CAfile = {tmp_path}/cas.pem\n",
            tls_trust_server_ccerts="yes",
            **parameters,
        )
        server_context(config, warn=True)
        return [record.getMessage() for record in caplog.records]

    return context


def test_require_trusted(context, public, clique):
    """Everybody would be let in: an error names the CA and the way out; a clique's CA is fine."""
    with pytest.raises(ccert.ConfigError) as error:
        context(public, require_trusted="yes")
    for words in ("require_trusted lets everybody in", "Public Root", "relay_clientnames"):
        assert words in str(error.value)
    assert context(clique.root, require_trusted="yes") == []


@pytest.mark.parametrize("narrowed", NARROWED)
def test_narrowed(context, public, narrowed):
    """Where something else decides as well, there is nothing to say."""
    assert context(public, require_trusted="yes", **{narrowed: NARROWED[narrowed]}) == []


def test_meant(context, public):
    """--allow-system-cas still says that it is meant; the log warns."""
    (warning,) = context(public, require_trusted="yes", allow_system_cas="yes")
    assert "certifies every host on the Internet" in warning


def test_without_require_trusted(context, public):
    """The verdict is only logged, then: a warning."""
    (warning,) = context(public)
    assert "Public Root" in warning


def test_in_python(host, public, clique):
    """ServerContext and attach() warn, with a category of its own; off and observe do not."""
    files = (host.certfile, host.keyfile)
    for setting, expected in ((True, 1), (False, 0), ("observe", 0)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            cadata = public.pem.decode()
            context = ccert.ServerContext(*files, cadata=cadata, trust_server_ccerts=setting)
            ccert.attach(context, client_certs="ask", trust_server_ccerts=setting)
        assert [each.category for each in caught] == [ccert.PublicCAWarning] * 2 * expected
        assert all("NameTable" in str(w.message) and w.filename == __file__ for w in caught)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ccert.ServerContext(*files, cadata=clique.root.pem.decode(), trust_server_ccerts=True)


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("C=ES,O=A Company,CN=A Root", "A Root"),  # RFC 4514: the CN comes first in the certificate
        ("CN=A Root,O=A Company,C=ES", "A Root"),
        ("OU=Roots,O=A Company,C=ES", "A Company"),
        ("OU=Roots,C=ES", "the CA number 2"),
    ],
)
def test_named(tmp_path, monkeypatch, host, clique, subject, name):
    """A CA of the system is named by its CN, or else by its organization, wherever they stand."""
    root = pki.issue(x509.Name.from_rfc4514_string(subject), ca=True)
    (tmp_path / "system.pem").write_bytes(root.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    monkeypatch.setattr(system_cas, "_BUNDLES", ())
    assert system_cas.public_cas(host.stock(clique.root.pem + root.pem)) == [name]
