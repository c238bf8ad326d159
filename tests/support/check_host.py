"""X509_check_host(3) itself, the judge of which host a certificate is valid for."""

import ctypes

_LIBCRYPTO = ctypes.CDLL("libcrypto.so.3")
_LIBCRYPTO.d2i_X509.restype = ctypes.c_void_p
_LIBCRYPTO.X509_free.argtypes = [ctypes.c_void_p]
_LIBCRYPTO.X509_check_host.argtypes = [
    ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_void_p,
]  # fmt: skip
_FLAGS = 0x4 | 0x20  # X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, ..._NEVER_CHECK_SUBJECT


def is_valid_for(der: bytes, name: str) -> bool:
    """Tell whether a certificate is valid for a host, or for hosts below ".DOMAIN"."""
    at = ctypes.c_char_p(der)
    certificate = _LIBCRYPTO.d2i_X509(None, ctypes.byref(at), len(der))
    assert certificate
    try:
        octets = name.encode()
        return _LIBCRYPTO.X509_check_host(certificate, octets, len(octets), _FLAGS, None) == 1
    finally:
        _LIBCRYPTO.X509_free(certificate)
