"""``ccert doctor``: check whether ccert can be attached to this Python's contexts."""

from __future__ import annotations

import platform
import ssl
import sys

import ccert
from ccert import _openssl

__all__ = ["run"]


def run() -> int:
    """Print the findings; return 0 if ccert can be attached to contexts, else 1."""
    name, path = _openssl.library()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        ccert.attach(context, client_certs="ask")
    except ccert.UnsupportedRuntime as error:
        problem = str(error)
    else:
        problem = ""
    findings = {
        "ccert": f"{ccert.__version__}, {ccert.__file__}",
        "Python": f"{platform.python_version()}, {sys.executable}",
        "ssl": f"{ssl.OPENSSL_VERSION}, {_openssl.ssl_module_file()}",
        "ccert's OpenSSL": f"{name}, {path}",
        "one copy": "no: OpenSSL did not report the SSL object that Python made"
        if problem
        else "yes: OpenSSL reported the SSL object that Python made",
        "security level": f"{context.security_level} (see the man page SSL_CTX_set_security_level)",
    }
    for what, found in findings.items():
        print(f"{what + ':':17}{found}")
    print()
    if problem:
        print(f"ServerContext and attach() will NOT work.  {problem}.")
        print("ChainVerifier and ccert check do work: they do not use ssl.")
        return 1
    print("ServerContext and attach() work.")
    return 0
