"""The ``SSL`` and ``SSL_CTX`` behind Python's objects; see ``csrc/probe.c``."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from ccert._openssl.library import ffi, lib, library, ssl_module_file
from ccert.errors import UnsupportedRuntime

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Probe"]


class Probe:
    """Catch the ``SSL`` that this thread makes within a ``with`` block.

    OpenSSL itself reports it, see ``csrc/probe.c``.
    """

    def __init__(self) -> None:
        self._probe = ffi.new("ccert_probe *")

    def __enter__(self) -> Self:
        lib.ccert_probe_begin(self._probe)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lib.ccert_probe_end(self._probe)

    def connection(self, inner: object) -> Any:  # noqa: ANN401 - cdata
        """Return ccert's record of the ``SSL`` behind a Python object; within the ``with`` block.

        Args:
            inner: the ``_ssl`` object that Python has made around the ``SSL``.

        Returns:
            None if it was not made within the block, or too many others were.
        """
        ssl_ = lib.ccert_probe_get0_ssl(self._probe, id(inner))
        if not ssl_:
            return None
        connection = lib.ccert_connection_get1(ssl_)
        if not connection:
            raise MemoryError
        return ffi.gc(connection, lib.ccert_connection_free)

    def ssl_ctx(self, inner: object) -> Any:  # noqa: ANN401 - cdata
        """Return the ``SSL_CTX *`` behind a Python object; within the ``with`` block.

        Args:
            inner: as for connection().

        Raises:
            UnsupportedRuntime: it is not of the libssl that ccert runs on.
        """
        ssl_ = lib.ccert_probe_get0_ssl(self._probe, id(inner))
        if ssl_:
            return lib.ccert_probe_get0_ctx(ssl_)
        if self._probe.seen:
            raise UnsupportedRuntime(
                "this Python's ssl does not tell which SSL is whose (SSL_get_app_data(3)): "
                "ccert does not know this version of CPython yet"
            )
        raise UnsupportedRuntime(
            f"Python's ssl runs on its own copy of OpenSSL ({ssl.OPENSSL_VERSION}, "
            f"{ssl_module_file()}), ccert on another ({', '.join(library())}).  "
            "Use a Python that is linked with the system's libssl: /usr/bin/python3, or one "
            "built on this machine (pyenv); static builds, as uv downloads them, cannot work"
        )
