"""The only package that calls the C library: it turns each C result into a value or an exception.

It may import only the modules that all packages use (errors, names, text, verdict,
x509_errors).  ``ccert.tls`` may import it, and code that needs a certificate decoded.
"""

from ccert._openssl.certificate import (
    certificate,
    certificate_expiry,
    certificate_identity,
    lists_server_only,
    subject_hash,
)
from ccert._openssl.facts import decode, peer_facts
from ccert._openssl.library import library, ssl_module_file, versions_differ
from ccert._openssl.pem import pem_certificates
from ccert._openssl.policy import counters, install, remove, renew, send_ca_names
from ccert._openssl.probe import find_ssl_ctx
from ccert._openssl.verifier import Verifier

__all__ = [
    "Verifier",
    "certificate",
    "certificate_expiry",
    "certificate_identity",
    "counters",
    "decode",
    "find_ssl_ctx",
    "install",
    "library",
    "lists_server_only",
    "peer_facts",
    "pem_certificates",
    "remove",
    "renew",
    "send_ca_names",
    "ssl_module_file",
    "subject_hash",
    "versions_differ",
]
