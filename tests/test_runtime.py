"""One libssl for both, or a clear refusal; and a public surface that changes on purpose only."""

import re
import ssl
import subprocess
import sys

import pytest
from programs import ROOT, require_program, run_python

import ccert
from ccert import _openssl
from ccert._ffi import lib
from ccert.x509_errors import X509VErr


def test_public_names():
    """What users may rely on."""
    assert ccert.__all__ == [
        "AccessTable", "CcertError", "ChainVerifier", "ClientCerts", "ConfigError", "NameTable",
        "Peer", "PublicCAWarning", "ServerContext", "Signature", "Stats", "Trust",
        "TrustServerCcerts", "UnsupportedRuntime", "Verdict", "attach", "detach", "peer", "stats",
    ]  # fmt: skip
    for name in set(ccert.__all__) - {"ClientCerts", "TrustServerCcerts"}:  # types have none
        assert getattr(ccert, name).__doc__, name


def test_c_boundary():
    """The extension has exactly the names of ccert.h."""
    header = re.sub(r"/\*.*?\*/", "", (ROOT / "csrc" / "ccert.h").read_text(), flags=re.DOTALL)
    functions = re.findall(r"\b(ccert_\w+)\(", header)
    constants = re.findall(r"\b(CCERT_\w+)\b(?=[,\s}])", header)
    constants = [name for name in constants if name != "CCERT_H"]
    assert sorted(dir(lib)) == sorted({*functions, *constants})


def test_errors_fit_pythons():
    """Each error is also what Python code would expect to catch."""
    assert issubclass(ccert.ConfigError, ccert.CcertError)
    assert issubclass(ccert.ConfigError, ValueError)
    assert issubclass(ccert.UnsupportedRuntime, ccert.CcertError)
    assert issubclass(ccert.UnsupportedRuntime, ImportError)


@pytest.mark.parametrize(
    ("header", "library", "fits"),
    [
        ((3, 0), (3, 0), True),
        ((3, 0), (3, 5), True),
        ((3, 5), (3, 0), False),
        ((3, 5), (4, 0), False),
        ((4, 0), (3, 5), False),
    ],
)
def test_versions(header, library, fits):
    """A newer minor version of the library will do; an older one, or another major, will not."""
    text = _openssl.versions_differ(header, library)
    assert (text == "") == fits
    if not fits:
        assert f"built for OpenSSL {header[0]}.{header[1]} and runs on" in text


def test_another_libssl_is_refused(another_libssl):
    """Two copies of one version: attaching is refused, with both libraries and the remedy named."""
    code = """
import ssl, ccert
try:
    ccert.attach(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), client_certs="ask")
except ccert.UnsupportedRuntime as error:
    print(error)
"""
    done = run_python(code, PYTHONPATH=str(another_libssl), LD_LIBRARY_PATH=str(another_libssl))
    assert done.returncode == 0, done.stderr
    assert "runs on its own copy of OpenSSL" in done.stdout
    assert f"{another_libssl}/libssl.so.Z" in done.stdout
    assert "_ssl" in done.stdout
    assert "/usr/bin/python3" in done.stdout


def test_built_for_another_major_version(another_libssl):
    """Where the versions differ, the remedy is to rebuild ccert, not another Python."""
    code = """
import ssl, ccert
ssl.OPENSSL_VERSION_INFO = (ssl.OPENSSL_VERSION_INFO[0] + 1, 0, 0, 0, 0)
try:
    ccert.attach(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), client_certs="ask")
except ccert.UnsupportedRuntime as error:
    print(error)
"""
    done = run_python(code, PYTHONPATH=str(another_libssl), LD_LIBRARY_PATH=str(another_libssl))
    assert "and rebuild ccert" in done.stdout, done.stderr
    assert "/usr/bin/python3" not in done.stdout


def test_missing_library_is_explained(another_libssl):
    """An extension that does not load says how to get one that does."""
    done = run_python("import ccert", PYTHONPATH=str(another_libssl))
    assert "UnsupportedRuntime: ccert's extension does not load: libssl.so.Z" in done.stderr
    assert "pip install --force-reinstall" in done.stderr


@pytest.mark.skipif("_ssl" in sys.builtin_module_names, reason="Python's ssl is built in")
def test_no_openssl_3_is_explained(another_libssl, tmp_path):
    """Where there is no libssl.so.3, it is named, and so is the OpenSSL of Python's ssl."""
    (tmp_path / "libssl.so.3").write_bytes(b"")  # hides the system's
    done = run_python(
        "import ssl, ccert",
        PYTHONPATH=str(another_libssl / "python"),
        LD_LIBRARY_PATH=f"{another_libssl}:{tmp_path}",
    )
    assert "UnsupportedRuntime: ccert's extension does not load: " in done.stderr, done.stderr
    assert "It needs the OpenSSL 3 of the system" in done.stderr
    assert f"this one uses {ssl.OPENSSL_VERSION}" in done.stderr


def test_verification_errors_are_openssls():
    """Names and numbers are those of x509_vfy.h."""
    require_program("gcc")
    header = subprocess.run(
        ["gcc", "-E", "-dM", "-"],
        input="#include <openssl/x509_vfy.h>\n",
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    defined = dict(re.findall(r"#define X509_V_ERR_(\w+)\s+(\d+)", header))
    for error in X509VErr:
        assert int(defined[error.name]) == error, error
