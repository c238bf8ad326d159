"""Which CAs ``ccert serve`` trusts, and which it refuses together with the setting."""

import pathlib
import ssl
import subprocess

import pki
import pytest
from cryptography import x509

import ccert
from ccert.server.tls_context import server_context
from ccert.tls import system_cas

# -- CAs that vouch for everybody --


@pytest.fixture(scope="module")
def roots() -> list[bytes]:
    return [pki.issue(f"Public Root {n}", ca=True).pem for n in range(6)]


@pytest.fixture
def system(roots, tmp_path, monkeypatch) -> pathlib.Path:
    """Let the system's bundle be one of six CAs."""
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(b"".join(roots))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    return bundle


@pytest.fixture
def context(read, host):
    """Return a function that makes a context from the configuration."""

    def context(**options) -> ccert.ServerContext:
        identity = {"smtpd_tls_cert_file": host.certfile, "smtpd_tls_key_file": host.keyfile}
        given = {name: str(value) for name, value in (identity | options).items()}
        return server_context(read("maildir = Mail\n", **given), warn=True)

    return context


@pytest.mark.parametrize("setting", ["yes", "observe"])
def test_system_cas(context, system, roots, tmp_path, setting):
    """The system's CAs, however they are named, are refused, unless they are allowed."""
    link = tmp_path / "link.pem"
    link.symlink_to(system)
    copy = tmp_path / "copy.pem"
    copy.write_bytes(b"".join(roots) + pki.issue("Own Root", ca=True).pem)
    old = tmp_path / "old.pem"
    old.write_bytes(b"".join(roots[:3]))  # half of six
    directory = tmp_path / "directory"
    directory.mkdir()
    for number, root in enumerate(roots):
        (directory / f"{number}.pem").write_bytes(root)
    subprocess.run(["openssl", "rehash", directory], check=True)
    for cas in (
        {},
        {"smtpd_tls_CAfile": system},
        {"smtpd_tls_CAfile": link},
        {"smtpd_tls_CAfile": copy},
        {"smtpd_tls_CAfile": old},
        {"smtpd_tls_CApath": directory},
        {"smtpd_tls_CApath": "/etc/ssl/certs"},
    ):
        with pytest.raises(ccert.ConfigError, match="every host on the Internet") as error:
            context(tls_trust_server_ccerts=setting, **cas)
        assert "--allow-system-cas" in str(error.value)
        if cas.get("smtpd_tls_CApath") != "/etc/ssl/certs":
            context(tls_trust_server_ccerts=setting, allow_system_cas="yes", **cas)
            context(tls_trust_server_ccerts="no", **cas)


def test_few_cas(context, system, roots, tmp_path):
    """A clique's file is fine, even with a public CA or two in it."""
    few = tmp_path / "few.pem"
    few.write_bytes(pki.issue("Own Root", ca=True).pem + b"".join(roots[:2]))
    context(tls_trust_server_ccerts="yes", smtpd_tls_CAfile=few)
    assert system.exists()


def test_system_cas_are_what_no_file_means(context, system, roots, tmp_path):
    """Allowed, and without a file, the system's CAs are those that are trusted; otherwise none."""
    allowed = context(tls_trust_server_ccerts="yes", allow_system_cas="yes")
    assert len(allowed.get_ca_certs()) == len(roots)
    assert context().get_ca_certs() == []
    system.unlink()
    with pytest.raises(ccert.ConfigError, match="the system has no CAs"):
        context(tls_trust_server_ccerts="yes", allow_system_cas="yes")
    assert tmp_path.exists()


@pytest.mark.parametrize("setting", ["yes", "observe"])
def test_more_cas_than_any_clique(context, tmp_path, monkeypatch, setting):
    """Where the system has no CAs to compare with, as in small images, their number tells."""
    monkeypatch.setattr(system_cas, "_existing", lambda *_: set())
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    roots = [pki.issue(f"Root {n}", ca=True).pem for n in range(51)]
    path = tmp_path / "bundle.pem"
    path.write_bytes(b"".join(roots))
    with pytest.raises(ccert.ConfigError, match=r"more CAs than any clique.*--allow-system-cas"):
        context(tls_trust_server_ccerts=setting, smtpd_tls_CAfile=path)
    context(tls_trust_server_ccerts=setting, smtpd_tls_CAfile=path, allow_system_cas="yes")
    context(tls_trust_server_ccerts="no", smtpd_tls_CAfile=path)
    path.write_bytes(b"".join(roots[1:]))
    context(tls_trust_server_ccerts=setting, smtpd_tls_CAfile=path)


def test_many_cas_are_warned_of(context, tmp_path, caplog):
    """A CA file that is no clique's is served, and warned of in the log."""
    many = tmp_path / "many.pem"
    many.write_bytes(b"".join(pki.issue(f"Root {n}", ca=True).pem for n in range(21)))
    context(tls_trust_server_ccerts="yes", smtpd_tls_CAfile=many)
    assert "21 trusted CAs" in caplog.text


@pytest.mark.parametrize("days", [-1, 1])
def test_expired_certificate(context, tmp_path, caplog, days):
    """That of the server is served, as it was before it expired, and warned of in the log."""
    leaf = pki.issue("mx.example", start=-9 * pki.DAY, end=days * pki.DAY)
    path = tmp_path / "mx.pem"
    path.write_bytes(leaf.pem + leaf.key_pem)
    context(smtpd_tls_cert_file=path, smtpd_tls_key_file="")
    day = x509.load_der_x509_certificate(leaf.der).not_valid_after_utc.date()
    assert (f"{path}: it expired on {day}" in caplog.text) == (days < 0)


def test_no_ca_among_cas(context, host, clique, caplog):
    """A partner's own certificate vouches for nobody else: the log says so unless a CA is there."""
    leaf = clique.leaf().sent[0].pem
    context(smtpd_tls_CAfile=host.anchors(leaf + clique.root.pem))
    assert not caplog.text
    context(smtpd_tls_CAfile=host.anchors(leaf))
    assert "no CA among its certificates" in caplog.text


def test_modes(context, host, clique):
    """Parameters become the context's modes."""
    cafile = host.anchors(clique.root.pem)
    assert context().verify_mode is ssl.CERT_OPTIONAL
    assert context(smtpd_tls_ask_ccert="no").verify_mode is ssl.CERT_NONE
    required = context(smtpd_tls_req_ccert="yes", smtpd_tls_CAfile=cafile)
    assert required.verify_mode is ssl.CERT_REQUIRED
