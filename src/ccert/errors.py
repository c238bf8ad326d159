"""Errors, by who can fix them.

An untrusted certificate is not an error but a verdict, see :class:`ccert.Peer`.
"""

__all__ = ["CcertError", "ConfigError", "PublicCAWarning", "UnsupportedRuntime"]


class CcertError(Exception):
    """The base class of ccert's own errors."""


class ConfigError(CcertError, ValueError):
    """A file or a setting is unusable; the message names it and says why."""


class UnsupportedRuntime(CcertError, ImportError):  # noqa: N818 - the name is clear
    """Python's ``ssl`` and ccert do not share one copy of OpenSSL."""


class PublicCAWarning(UserWarning):
    """A trusted CA is one of the system's, and certifies every host: check names."""
