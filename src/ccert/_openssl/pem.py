"""Certificates in PEM text, as OpenSSL finds them; see ``csrc/pem.c``."""

from __future__ import annotations

from ccert._openssl.library import ffi, lib

__all__ = ["pem_certificates"]


def pem_certificates(text: bytes) -> list[bytes]:
    """Return the DER of each certificate in PEM text; trust settings are left out.

    Octets that cannot be decoded may be among them.  Where OpenSSL finds a block that is broken,
    it reads no further, and b"" stands for the rest; or for all if there is a NUL, over which
    OpenSSL's own readers disagree.
    """
    pem = lib.ccert_pem_new(ffi.from_buffer("char[]", text), len(text))
    if not pem:
        raise MemoryError
    pem = ffi.gc(pem, lib.ccert_pem_free)
    der, size = ffi.new("unsigned char **"), ffi.new("size_t *")
    found = []
    while (result := lib.ccert_pem_next(pem, der, size)) == lib.CCERT_PEM_CERTIFICATE:
        found.append(bytes(ffi.buffer(der[0], size[0])))
    if found and b"\0" in text:
        return [b""]
    return [*found, b""] if result == lib.CCERT_PEM_BROKEN else found
