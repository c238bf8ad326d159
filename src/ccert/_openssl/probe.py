"""The ``SSL_CTX`` behind a Python context; see ``csrc/probe.c``."""

from __future__ import annotations

import ssl
from typing import Any

from ccert._openssl.library import ffi, lib, library, library_version, ssl_module_file
from ccert.errors import UnsupportedRuntime

__all__ = ["find_ssl_ctx"]

_TRIES = 5


def find_ssl_ctx(context: ssl.SSLContext) -> Any:  # noqa: ANN401 - cdata
    """Find the ``SSL_CTX *`` behind a server's context, which keeps it alive.

    Raises:
        UnsupportedRuntime: it does not belong to the libssl that ccert runs on.
    """
    for _ in range(_TRIES):  # a garbage collection may free many others meanwhile
        found, others = _probe(context)
        if found:
            return found
    if others:
        raise UnsupportedRuntime(
            "this Python's ssl does not set SSL_get_app_data(3) as ccert expects: "
            "ccert does not support this version of CPython yet"
        )
    if library_version()[0] != ssl.OPENSSL_VERSION_INFO[0]:
        raise UnsupportedRuntime(
            f"Python's ssl runs on {ssl.OPENSSL_VERSION} ({ssl_module_file()}), ccert on another "
            f"({', '.join(library())}), because it was built with the headers of that: install the "
            f"headers of OpenSSL {ssl.OPENSSL_VERSION_INFO[0]} (Debian: its libssl-dev) "
            "and rebuild ccert (in its source directory: pip install --force-reinstall --no-deps .)"
        )
    raise UnsupportedRuntime(
        f"Python's ssl runs on its own copy of OpenSSL ({ssl.OPENSSL_VERSION}, "
        f"{ssl_module_file()}), ccert on another ({', '.join(library())}).  "
        "Use a Python that is linked with the system's libssl: /usr/bin/python3, or one "
        "built on this machine (pyenv); static builds, such as those that uv downloads, cannot work"
    )


def _probe(context: ssl.SSLContext) -> tuple[Any, bool]:
    """Make a TLS object and drop it; return the ``SSL_CTX`` seen, and whether any SSL was freed.

    It uses ssl's own class, because an application's subclass might make other objects.
    """
    create: Any = ssl.SSLObject._create  # type: ignore[attr-defined] # noqa: SLF001 - see above
    throw_away = create(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True, context=context)
    address = id(throw_away._sslobj)  # noqa: SLF001 - what app_data points to
    since = lib.ccert_probe_count()  # as long as it lives, the address is unique
    del throw_away
    found = lib.ccert_probe_get0_ctx(since, address)
    return (found if found != ffi.NULL else None), lib.ccert_probe_count() > since
