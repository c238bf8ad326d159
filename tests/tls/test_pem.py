"""Certificates in PEM text: those that OpenSSL finds, in its order; its programs judge."""

import subprocess

import pki
import pytest

import ccert
from ccert import Trust
from ccert._openssl import pem_certificates

BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


@pytest.fixture(scope="module")
def two():
    """Two certificates that need no others."""
    return [pki.issue(name, eku=[pki.SERVER]) for name in ("one", "two")]


FORMS = {
    "plain": lambda one, two: one + two,
    "text between": lambda one, two: b"x\n" + one + b"y\n" + two,
    "crlf": lambda one, two: (one + two).replace(b"\n", b"\r\n"),
    "begin within a line": lambda one, two: one.replace(BEGIN, b"note: " + BEGIN) + two,
    "text after begin": lambda one, two: one.replace(BEGIN, BEGIN + b" x") + two,
    "text after end": lambda one, two: one.replace(END, END + b" x") + two,
    "blanks at line ends": lambda one, two: one.replace(b"\n", b" \n") + two,
    "blanks at line starts": lambda one, two: one.replace(b"\nM", b"\n M") + two,
    "blank line within": lambda one, two: one.replace(BEGIN, BEGIN + b"\nx: y\n", 1) + two,
    "lone cr": lambda one, two: one.replace(b"\n", b"\r") + two,
    "nul before": lambda one, two: b"\0" + one + two,
    "nul within a frame": lambda one, two: one.replace(b"E-----", b"E\0-----", 1) + two,
    "vertical tab": lambda one, two: one.replace(b"\nM", b"\n\x0bM", 1) + two,
    "file separator": lambda one, two: one.replace(b"\nM", b"\nM\x1c", 1) + two,
    "next line": lambda one, two: one.replace(b"\nM", b"\n\x85M", 1) + two,
    "no end": lambda one, two: one.replace(END, b"") + two,
    "other end": lambda one, two: one.replace(END, b"-----END KEY-----") + two,
    "bad base64": lambda one, two: one.replace(b"\nM", b"\n!", 1) + two,
    "second broken": lambda one, two: one + two.replace(b"\nM", b"\n!", 1),
    "old name": lambda one, two: one.replace(b" CERT", b" X509 CERT") + two,
    "bom": lambda one, two: b"\xef\xbb\xbf" + one + two,
    "nothing": lambda one, two: one[:9] + two[:9],
}


def _leaf_by_openssl(path) -> bytes | None:
    done = subprocess.run(
        ["openssl", "x509", "-in", path, "-outform", "DER"], capture_output=True, check=False
    )
    return done.stdout if done.returncode == 0 else None


@pytest.mark.parametrize("form", FORMS)
def test_leaf_is_the_one_that_openssl_reads(two, tmp_path, form):
    """What openssl x509 shows of a file is the leaf, unless a broken block ends all trust."""
    text = FORMS[form](*(certificate.pem for certificate in two))
    path = tmp_path / "chain.pem"
    path.write_bytes(text)
    found = pem_certificates(text)
    assert (found or [None])[0] in {b"", _leaf_by_openssl(path)}
    verifier = ccert.ChainVerifier(
        cadata="".join(c.pem.decode() for c in two), trust_server_ccerts=True
    )
    if not found:
        with pytest.raises(ccert.ConfigError, match="no PEM certificate found"):
            verifier.verify(path)
    else:
        expected = Trust.TRUSTED if all(found) else Trust.UNTRUSTED
        assert verifier.verify(path).trust is expected


def test_trust_settings_are_no_part_of_a_chain(clique, host, tmp_path):
    """A leaf with trust settings is the leaf all the same: its intermediate is not taken for it."""
    mail = clique.leaf(eku=[pki.EMAIL])
    pem = pki.with_trust(mail.sent[0], "-addtrust", "serverAuth", directory=tmp_path)
    assert b"BEGIN TRUSTED CERTIFICATE" in pem
    assert pem_certificates(pem + clique.ca.pem) == [c.der for c in mail.sent]
    verifier = ccert.ChainVerifier(cafile=host.anchors(clique.root.pem))
    assert verifier.verify(pem + clique.ca.pem).error_code == 26


def test_trust_settings_are_kept_of_anchors(clique, tmp_path):
    """In cadata they would get lost, and a CA gain trust: refused."""
    pem = pki.with_trust(clique.root, "-addreject", "clientAuth", directory=tmp_path)
    with pytest.raises(ccert.ConfigError, match="give cafile="):
        ccert.ChainVerifier(cadata=pem.decode())
