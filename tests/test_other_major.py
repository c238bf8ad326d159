"""ccert on another major version of OpenSSL than ssl: offline all works, attaching is refused.

``make matrix SUITES=openssl4`` makes such a place; elsewhere these tests are skipped.
"""

import ssl
import subprocess

import pki
import pytest
from oracle import judge
from pages import text
from programs import COMMAND

import ccert
from ccert import Trust, _openssl
from ccert._openssl.library import library_version, ssl_module_file

MAJOR = ssl.OPENSSL_VERSION_INFO[0]
pytestmark = pytest.mark.skipif(
    library_version()[0] == MAJOR,
    reason="ccert and ssl run on one major version of OpenSSL: see make matrix",
)


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize(
    "eku", [pki.SERVER, pki.CLIENT, pki.EMAIL], ids=["server", "client", "email"]
)
def test_offline(host, clique, tmp_path, eku, setting):
    """ChainVerifier says what the new version's own ``openssl verify`` says."""
    chain = clique.leaf(eku=[eku])
    verdict = host.verifier(chain, setting=setting).verify(chain.sent[0].pem + chain.sent[1].pem)
    judgement = judge(chain, tmp_path, setting=setting)
    assert (verdict.trust is Trust.TRUSTED) == judgement.trusted, judgement.transcript
    assert verdict.error_code == judgement.error_code


def test_attaching_is_refused(host):
    """The error names both libraries, and the remedy is to rebuild ccert with ssl's headers."""
    for attach in (
        lambda: ccert.attach(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), client_certs="ask"),
        host.context,
    ):
        with pytest.raises(ccert.UnsupportedRuntime) as refused:
            attach()
        words = str(refused.value)
        for library in (ssl.OPENSSL_VERSION, ssl_module_file(), *_openssl.library()):
            assert library in words
        assert f"install the headers of OpenSSL {MAJOR} (Debian: its libssl-dev)" in words
        assert "and rebuild ccert" in words


def test_doctor():
    """``ccert doctor`` ends with 1; what it says does work is what the page on it promises."""
    done = subprocess.run(
        [COMMAND, "doctor"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "ServerContext and attach() will NOT work.  Python's ssl runs on" in done.stdout
    assert "ChainVerifier and ccert check do work: they do not use ssl." in done.stdout
    page = text("docs/explanation/system-openssl.md")
    assert "`ChainVerifier` and `ccert check` work with every Python" in page
    assert "install the headers of the version that `ssl` uses, and build ccert again" in page
