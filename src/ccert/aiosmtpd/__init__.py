"""For aiosmtpd: a mixin for handlers that identifies the client of each session.

It may import ``ccert.postfix`` and what that may import.  The server and the commands use it, and
so may handlers of other programs.
"""

try:
    from ccert.aiosmtpd.mixin import CcertMixin
    from ccert.aiosmtpd.session import Envelope, Session
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"ccert.aiosmtpd needs {error.name}: pip install 'ccert[aiosmtpd]'", name=error.name
    ) from error

__all__ = ["CcertMixin", "Envelope", "Session"]
