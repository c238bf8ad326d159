"""TLS objects of attached contexts: the ``_ssl`` object behind them, and guarded methods.

``ssl.SSLContext.sslobject_class`` and ``sslsocket_class`` are documented for subclasses like these.
An application's own classes are subclassed as well, not replaced.
"""

from __future__ import annotations

import ssl
import weakref
from typing import Any

from ccert._openssl import decode
from ccert.errors import CcertError

__all__ = ["guarded", "inner_object"]


class _Guarded:
    """Decodes the peer's certificates without affecting other connections of the thread.

    It returns them only if they are trusted, as ``ssl`` documents: with "ask" they need not be.
    """

    def getpeercert(self, binary_form: bool = False) -> Any:  # noqa: ANN401, FBT002 - ssl's own
        """Return {} or None, "not validated", unless the certificate is trusted.

        Return {}, too, for names that ssl cannot decode; ssl's own method raises.  asyncio calls
        this after each handshake and drops the connection if it raises.
        """
        method: Any = super().getpeercert  # type: ignore[misc] # of the ssl class
        nothing: dict[str, Any] | None = None if binary_form else {}
        try:
            return decode(_inner(self), lambda: method(binary_form), nothing, verified=True)
        except (ssl.SSLError, UnicodeDecodeError):
            if binary_form:
                raise
            return nothing


class _GuardedChains(_Guarded):
    """Likewise for Python 3.13 and later, where ``ssl`` also returns chains."""

    def get_verified_chain(self) -> Any:  # noqa: ANN401 - ssl's own
        method: Any = super().get_verified_chain  # type: ignore[misc] # likewise
        return decode(_inner(self), method, [], verified=True)

    def get_unverified_chain(self) -> Any:  # noqa: ANN401 - ssl's own
        method: Any = super().get_unverified_chain  # type: ignore[misc]
        return decode(_inner(self), method, [], verified=False)


def _inner(tls: object) -> object:
    return getattr(tls, "_sslobj", None)


def _subclass(base: type) -> type:
    guard = _GuardedChains if hasattr(base, "get_verified_chain") else _Guarded
    return type(base.__name__, (guard, base), {"__module__": base.__module__})


# weak: an application's classes may be temporary, ssl's are not
_subclasses: weakref.WeakKeyDictionary[type, weakref.ref[type]] = weakref.WeakKeyDictionary()
_SSLS: tuple[type, ...] = (ssl.SSLObject, ssl.SSLSocket)
_OF_SSL = {base: _subclass(base) for base in _SSLS}


def guarded(base: type) -> type:
    """Return the guarded subclass of ``base``, an ``SSLObject`` or ``SSLSocket``."""
    if issubclass(base, _Guarded):
        return base
    known = _subclasses.get(base)
    subclass = _OF_SSL.get(base) or (known() if known else None)
    if subclass is None:
        subclass = _subclass(base)
        _subclasses[base] = weakref.ref(subclass)
    return subclass


def inner_object(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> object:
    """Return the ``_ssl`` object that wraps, and keeps alive, the ``SSL`` of a server's connection.

    Raises:
        TypeError: this is not a TLS object of Python's ``ssl``.
        CcertError: the connection is closed, or this is the client's end.
    """
    if not isinstance(ssl_object, ssl.SSLObject | ssl.SSLSocket):
        raise TypeError(
            f"peer() takes an ssl.SSLObject or ssl.SSLSocket, not {type(ssl_object).__name__}; "
            'an asyncio transport has it as get_extra_info("ssl_object"), which is None before TLS'
        )
    inner = _inner(ssl_object)
    if inner is None:
        raise CcertError(
            "the TLS connection is closed, or was never made "
            "(a listening socket? pass what its accept() returned)"
        )
    if not ssl_object.server_side:
        raise CcertError("this is the client's end of the TLS connection: peer() is for servers")
    return inner
