"""Postfix's vocabulary: tables of clients, actions, restrictions, the policy service, log lines.

May import ``ccert.tls``, and what that may.  For ``ccert.aiosmtpd``, the server and the commands,
and for programs that ask a policy service themselves.
"""

from ccert.postfix.actions import Action, parse_action
from ccert.postfix.policy import PolicyService, access_request

__all__ = ["Action", "PolicyService", "access_request", "parse_action"]
