"""Load and initialize the C extension, and describe its failures.

``ssl`` is imported first, so that the loader resolves the extension to the libssl that ``_ssl`` was
linked with.
"""

from __future__ import annotations

import ssl
from typing import Any

from ccert.errors import ConfigError, UnsupportedRuntime

try:
    from ccert._ffi import ffi, lib
except ImportError as error:  # a missing symbol, or never built
    remedy = (
        "Build it on this machine, with this Python and this OpenSSL: in ccert's source directory, "
        "pip install --force-reinstall --no-deps ."
    )
    if "libssl.so.3" in str(error) or "libcrypto.so.3" in str(error):
        remedy = (
            "It needs the OpenSSL 3 of the system; Debian's package is libssl3.  If Python's ssl "
            f"uses another OpenSSL (this one uses {ssl.OPENSSL_VERSION}): {remedy}"
        )
    if "subinterpreter" in str(error):
        remedy = (
            "It works in the main interpreter and in those that share its GIL, but not in one that "
            "has a GIL of its own"
        )
    raise UnsupportedRuntime(f"ccert's extension does not load: {error}.  {remedy}") from error

__all__ = [
    "check",
    "ffi",
    "lib",
    "library",
    "library_version",
    "reason",
    "ssl_module_file",
    "text_of",
    "versions_differ",
]


def text_of(chars: Any) -> str:  # noqa: ANN401 - cdata
    """Decode a C string."""
    # OpenSSL's own names are ASCII; it converts names in certificates to UTF-8
    return str(ffi.string(chars).decode("utf-8", "backslashreplace"))


def reason() -> str:
    """Return the reason of the last failure from OpenSSL's error queue, and clear the queue."""
    text = ffi.new("char[256]")
    return text_of(text) if lib.ccert_error(text, len(text)) else "out of memory"


def check(result: int, doing: str) -> None:
    """Raise ConfigError unless the C result is success; ``doing``: what failed, for the user."""
    if not result:
        raise ConfigError(f"{doing}: {reason()}")


def versions_differ(header: tuple[int, int], library: tuple[int, int]) -> str:
    """Say why an extension built for ``header`` cannot run on ``library``; "" if it can.

    Args:
        header: major and minor version of the OpenSSL that the extension was built with.
        library: major and minor version of the OpenSSL that is loaded.
    """
    if header[0] == library[0] and header <= library:
        return ""
    return (
        "ccert was built for OpenSSL {0}.{1} and runs on {2}.{3}: rebuild it with the headers of "
        "{2}.{3} (Debian: libssl-dev of that version): in ccert's source directory, "
        "pip install --force-reinstall --no-deps ."
    ).format(*header, *library)


def _start() -> None:
    if not lib.ccert_init():
        raise UnsupportedRuntime(f"ccert cannot initialize OpenSSL: {reason()}")
    header, library = ffi.new("unsigned int[2]"), ffi.new("unsigned int[2]")
    lib.ccert_header_version(header, header + 1)
    lib.ccert_library_version(library, library + 1)
    if difference := versions_differ((header[0], header[1]), (library[0], library[1])):
        raise UnsupportedRuntime(difference)


_start()


def ssl_module_file() -> str:
    """Return the file of the C part of Python's ``ssl``."""
    import _ssl  # noqa: PLC0415 - wanted for messages only

    return getattr(_ssl, "__file__", None) or "built into the interpreter"


def library_version() -> tuple[int, int]:
    """Return the major and minor version of the OpenSSL that ccert runs on."""
    version = ffi.new("unsigned int[2]")
    lib.ccert_library_version(version, version + 1)
    return version[0], version[1]


def library() -> tuple[str, str]:
    """Return the name and the path of the OpenSSL that ccert runs on."""
    return text_of(lib.ccert_library_name()), text_of(lib.ccert_library_path())
