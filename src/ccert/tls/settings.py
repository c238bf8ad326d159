"""The settings of a context, checked before anything is changed."""

from __future__ import annotations

import ssl
import warnings
from typing import Literal

from ccert.errors import ConfigError, PublicCAWarning
from ccert.tls.system_cas import CLIQUE_SIZE, public_cas

__all__ = [
    "VERIFY_MODES",
    "ClientCerts",
    "TrustServerCcerts",
    "check_effect_without_anchors",
    "check_settings",
    "too_many_anchors",
    "warn_of_anchors",
    "warn_of_many_anchors",
    "warn_of_system_cas",
]

ClientCerts = Literal["ask", "optional", "require"]
"""The values of ``client_certs``: "ask", "optional", "require"."""
TrustServerCcerts = bool | Literal["observe"]
"""The values of ``trust_server_ccerts``: True, False, "observe"."""

VERIFY_MODES = {
    "ask": ssl.CERT_OPTIONAL,
    "optional": ssl.CERT_OPTIONAL,
    "require": ssl.CERT_REQUIRED,
}
_MAX_DEPTH = 2**31 - 2


def check_settings(
    client_certs: object,
    trust_server_ccerts: object,
    verify_depth: object,
) -> None:
    """Raise ConfigError or TypeError unless each setting has a valid value."""
    if not isinstance(client_certs, str) or client_certs not in VERIFY_MODES:
        raise ConfigError(
            f'client_certs must be "ask", "optional" or "require", not {client_certs!r}'
        )
    if not isinstance(trust_server_ccerts, bool) and trust_server_ccerts != "observe":
        raise TypeError(
            f'trust_server_ccerts must be True, False or "observe", not {trust_server_ccerts!r}'
        )
    if not isinstance(verify_depth, int) or isinstance(verify_depth, bool):
        raise TypeError(f"verify_depth must be an int, not {verify_depth!r}")
    if not 0 <= verify_depth <= _MAX_DEPTH:
        raise ConfigError(f"verify_depth must be 0 to {_MAX_DEPTH}, not {verify_depth}")


def check_effect_without_anchors(client_certs: str, trust_server_ccerts: object) -> None:
    """Raise ConfigError if the settings have no effect because no CA is trusted."""
    if trust_server_ccerts:
        raise ConfigError(
            f"trust_server_ccerts={trust_server_ccerts!r} has no effect without a trusted CA: "
            "give cafile, capath or cadata"
        )
    if client_certs != "ask":
        raise ConfigError(
            f'client_certs="{client_certs}" refuses every certificate without a trusted CA: '
            "give cafile, capath or cadata"
        )


def warn_of_many_anchors(trust_server_ccerts: object, anchors: int, *, stacklevel: int) -> None:
    """Warn if there are too many trusted CAs for a clique; ``stacklevel``: see warnings.warn()."""
    text = too_many_anchors(anchors)
    if text and trust_server_ccerts is True:
        warnings.warn(text, stacklevel=stacklevel)


def too_many_anchors(anchors: int) -> str:
    """Return a warning if there are too many trusted CAs for a clique, otherwise ""."""
    if anchors <= CLIQUE_SIZE:
        return ""
    return (
        f"trust_server_ccerts with {anchors} trusted CAs: a clique trusts a few, not the Web PKI, "
        "whose CAs issue server certificates to everybody"
    )


def warn_of_anchors(
    trust_server_ccerts: object, context: ssl.SSLContext, *, stacklevel: int
) -> None:
    """Warn, likewise, of a CA that the system trusts, too, else of too many CAs."""
    if trust_server_ccerts is not True:
        return
    for name in public_cas(context)[:1]:
        _warn_of_public_ca(f"{name}, which is among the system's CAs: it certifies", stacklevel)
        return
    anchors = context.cert_store_stats()["x509"]
    warn_of_many_anchors(trust_server_ccerts, anchors, stacklevel=stacklevel + 1)


def warn_of_system_cas(trust_server_ccerts: object, *, stacklevel: int) -> None:
    """Warn, likewise, that all of the system's CAs are trusted."""
    if trust_server_ccerts is True:
        _warn_of_public_ca("the system's CAs: they certify", stacklevel)


def _warn_of_public_ca(subject_and_verb: str, stacklevel: int) -> None:
    warnings.warn(
        f"trust_server_ccerts with {subject_and_verb} every host on the Internet, and each of them "
        "is Trusted.  Check names, by Peer.matches() or a NameTable (relay_clientnames)",
        PublicCAWarning,
        stacklevel=stacklevel + 1,
    )
