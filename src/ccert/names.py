"""Host names, and which of them a name in a certificate matches (RFC 9525, 6.3)."""

from __future__ import annotations

import re

__all__ = ["covers", "dns_name", "host_name", "is_host_name", "wildcard_parent"]

# As Postfix's valid_hostname(): Postfix accepts no other names, and no other name may reach a log.
_LABEL = r"\w([\w-]{0,61}\w)?"
_HOSTNAME = re.compile(rf"(?!.{{256}})(?![\d.]+$){_LABEL}(\.{_LABEL})*", re.ASCII)
# X509_check_host(3): a wildcard stands for one label of letters, digits and hyphens ...
_STARRED = re.compile("[a-z0-9-]+")
# ... below two labels at least, of the same characters.
_PARENT = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")


def is_host_name(text: str) -> bool:
    """Return whether Postfix would accept this as a host name."""
    return _HOSTNAME.fullmatch(text) is not None


def host_name(text: str) -> str:
    """Return a host name in lower case, without a trailing dot (RFC 1034, 3.1).

    Raises:
        ValueError: it is not a host name; the message says why.
        TypeError: it is no str.
    """
    if not isinstance(text, str):
        raise TypeError(f"a host name must be a str, not {type(text).__name__}")
    if not text.isascii():
        raise ValueError(f"{text!r} is not ASCII: write the name as A-labels (xn--...)")
    name = text.lower().removesuffix(".")
    if not is_host_name(name):
        raise ValueError(f"{text!r} is no host name")
    return name


def dns_name(raw: bytes) -> str:
    """Return a dNSName of a certificate in lower case; "" if it is neither host nor wildcard."""
    name = raw.decode("ascii", "replace").lower()
    return name if is_host_name(name.removeprefix("*.")) else ""


def wildcard_parent(name: str) -> str:
    """Return "partner.example" for "*.partner.example"; "" if the name is no wildcard."""
    parent = name.removeprefix("*.")
    return parent if parent != name and _PARENT.fullmatch(parent) else ""


def covers(name: str, host: str) -> bool:
    """Return whether a certificate's name matches a host, as ``X509_check_host(3)`` does.

    Args:
        name: as :func:`dns_name` returns it.
        host: as :func:`host_name` returns it.
    """
    if name == host:
        return True
    label, _, parent = host.partition(".")
    return bool(parent and wildcard_parent(name) == parent and _STARRED.fullmatch(label))
