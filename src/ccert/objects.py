"""Python's TLS objects, with a memory: which ``SSL`` of OpenSSL is behind each.

``ssl.SSLContext.sslobject_class`` and ``sslsocket_class`` are documented for subclasses like these.
An application's own classes are subclassed in turn, not replaced.
"""

from __future__ import annotations

import functools
import re
import ssl
from typing import Any, cast

from ccert._openssl import Probe, peer_facts
from ccert.errors import CcertError

__all__ = ["connection_facts", "is_host_name", "remembering"]

# Postfix's valid_hostname(): anything else it does not accept as a name, and nothing else may
# reach a log line.
_LABEL = r"\w([\w-]{0,61}\w)?"
_HOSTNAME = re.compile(rf"(?!.{{256}})(?![\d.]+$){_LABEL}(\.{_LABEL})*", re.ASCII)


class _Remembers:
    _ccert_connection: Any = None
    _ccert_accepts_names = False

    @classmethod
    def _create(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - ssl's own signature
        with Probe() as probe:
            self = super()._create(*args, **kwargs)  # type: ignore[misc] # of the ssl class
            if self._sslobj is not None:  # else it listens: its connections come by accept()
                self._ccert_connection = probe.connection(self._sslobj)
        self._ccert_accepts_names = kwargs["context"].sni_callback is not None
        return self

    def getpeercert(self, binary_form: bool = False) -> Any:  # noqa: ANN401, FBT002 - ssl's own
        """Return {}, "not validated", for names that ssl cannot decode, where ssl raises.

        asyncio asks after each handshake and drops the connection if that raises: any client could
        lose its mail by a name that is not UTF-8, also one whose certificate nobody trusts.
        """
        try:
            return super().getpeercert(binary_form)  # type: ignore[misc] # of the ssl class
        except (ssl.SSLError, UnicodeDecodeError):
            if binary_form:
                raise
            return {}


def remembering(base: type) -> type:
    """Return a subclass of ``base``, an ``SSLObject`` or ``SSLSocket``, that remembers its SSL."""
    return base if issubclass(base, _Remembers) else _subclass(cast("Any", base))


@functools.cache
def _subclass(base: type) -> type:
    return type(base.__name__, (_Remembers, base), {"__module__": base.__module__})


def is_host_name(text: str) -> bool:
    """Tell whether Postfix would take this for a host name."""
    return _HOSTNAME.fullmatch(text) is not None


def connection_facts(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> dict[str, Any]:
    """Gather the facts of the handshake behind a Python TLS object.

    Raises:
        TypeError: this is no TLS object of Python's ``ssl``.
        CcertError: there is nothing to tell: see the message.
    """
    if not isinstance(ssl_object, ssl.SSLObject | ssl.SSLSocket):
        raise TypeError(
            f"peer() takes an ssl.SSLObject or ssl.SSLSocket, not {type(ssl_object).__name__}; "
            'an asyncio transport has it as get_extra_info("ssl_object"), which is None before TLS'
        )
    if not isinstance(ssl_object, _Remembers):
        raise CcertError(
            "this TLS object was made by a context that ccert was not attached to: "
            "use ccert.ServerContext, or ccert.attach(context) before the connection is made; "
            "or it is the client's end"
        )
    alive = getattr(ssl_object, "_sslobj", None)  # holds the SSL meanwhile
    if alive is None:
        raise CcertError(
            "the TLS connection is closed, or was never made "
            "(a listening socket? pass what its accept() returned)"
        )
    if ssl_object._ccert_connection is None:  # noqa: SLF001 - ours
        raise CcertError(
            "the TLS connection is not there yet (within its own sni_callback?), or other TLS "
            "objects were made while it was made, and it cannot be told from them"
        )
    facts = peer_facts(ssl_object._ccert_connection)  # noqa: SLF001 - ours
    if not ssl_object._ccert_accepts_names or not is_host_name(facts["server_name"]):  # noqa: SLF001
        facts["server_name"] = ""
    return facts
