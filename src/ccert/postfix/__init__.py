"""Postfix's vocabulary: tables of clients, actions, restrictions, the policy service, log lines.

It may import ``ccert.tls`` and what that may import.  ``ccert.aiosmtpd``, the server and the
commands use it, and so may programs that query a policy service themselves.
"""

from ccert.postfix.actions import Action, parse_action
from ccert.postfix.policy import PolicyService, access_request

__all__ = ["Action", "PolicyService", "access_request", "parse_action"]
