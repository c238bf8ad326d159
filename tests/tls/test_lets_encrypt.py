"""Let's Encrypt's generation Y: every certificate below its old roots is for servers only.

The CAs' public certificates are in docs/vectors/lets-encrypt, and are verified for a fixed moment.
"""

import datetime
import re
import subprocess

import pytest
from programs import ROOT

import ccert

CAS = ROOT / "docs" / "vectors" / "lets-encrypt"
AT = datetime.datetime(2026, 11, 27, tzinfo=datetime.timezone.utc)
PATHS = {  # an intermediate, as the leaf that it is issued like, up to the root in the trust file
    "ECDSA": (["int-ye1", "root-ye-by-x2", "root-x2-by-x1"], "isrgrootx1"),
    "ECDSA, X2 trusted": (["int-ye1", "root-ye-by-x2"], "isrg-root-x2"),
    "RSA": (["int-yr1", "root-yr-by-x1"], "isrgrootx1"),
}


def _pem(names: list[str]) -> bytes:
    return b"".join((CAS / f"{name}.pem").read_bytes() for name in names)


@pytest.mark.parametrize("path", PATHS)
def test_off_and_on(path):
    """As a client's chain it fails, as a server's it passes."""
    sent, root = PATHS[path]
    off, on = (
        ccert.ChainVerifier(cafile=CAS / f"{root}.pem", trust_server_ccerts=setting).verify(
            _pem(sent), AT
        )
        for setting in (False, True)
    )
    assert (off.trust, off.error_code, off.error_depth) == (ccert.Trust.UNTRUSTED, 26, 0)
    assert (on.trust, on.trusted_as_server) == (ccert.Trust.TRUSTED, True)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("purpose", ["sslclient", "sslserver"])
def test_as_openssl(path, purpose, tmp_path):
    """openssl verify agrees; of a client's chain it refuses the CAs as well, not the leaf alone.

    So to forgive the leaf's error, as some servers do, does not help.
    """
    sent, root = PATHS[path]
    (tmp_path / "chain.pem").write_bytes(_pem(sent))
    done = subprocess.run(
        [
            "openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", CAS / f"{root}.pem",
            "-untrusted", tmp_path / "chain.pem", "-purpose", purpose, "-auth_level", "2",
            "-attime", str(int(AT.timestamp())), tmp_path / "chain.pem",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    depths = {int(depth) for depth in re.findall(r"error 26 at (\d) depth", done.stderr)}
    if purpose == "sslserver":
        assert (done.returncode, depths) == (0, set())
    else:
        assert done.returncode == 2
        assert {0, 1} <= depths
