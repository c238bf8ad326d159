"""Certificates in PEM text, as OpenSSL finds them; see ``csrc/pem.c``."""

from __future__ import annotations

from ccert._openssl.library import ffi, lib

__all__ = ["pem_certificates"]


def pem_certificates(text: bytes) -> list[bytes]:
    """Return the DER of each certificate in PEM text, without trust settings.

    Some of it may not be decodable.  OpenSSL stops at a broken block, and b"" stands for that block
    and the rest.  If there is a NUL, which OpenSSL's own readers treat differently, b"" stands for
    everything.
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
