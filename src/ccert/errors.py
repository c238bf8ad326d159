"""Errors, divided by who can do something about them.

An untrusted certificate is none of them: it is a verdict, see :class:`ccert.Peer`.
"""

__all__ = ["CcertError", "ConfigError", "PublicCAWarning", "UnsupportedRuntime"]


class CcertError(Exception):
    """The root of all errors that ccert raises on its own behalf."""


class ConfigError(CcertError, ValueError):
    """A file or a setting is unusable; the message names it and says what is wrong with it."""


class UnsupportedRuntime(CcertError, ImportError):  # noqa: N818 - says what it is
    """Python's ``ssl`` and ccert do not run on one and the same OpenSSL."""


class PublicCAWarning(UserWarning):
    """A trusted CA is one of the system's, and certifies every host: check names."""
