"""What is asked about each recipient: two tables and a policy service, as in smtpd(8)."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from ccert.errors import ConfigError
from ccert.postfix.actions import Action, parse_action
from ccert.postfix.policy import access_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccert.postfix.access_table import AccessTable
    from ccert.postfix.policy import PolicyService
    from ccert.tls.peer import Peer

__all__ = ["Restrictions"]

_log = logging.getLogger("ccert")


class Restrictions:
    """Asks, as far as they are there, in this order, until one permits or refuses.

    Where none does the recipient is accepted; but not with ``relay_clientcerts``: then only those
    are let in who are listed there, or permitted by another.

    Args:
        check_ccert_access: a table of actions (made with ``actions=True``).
        relay_clientcerts: a table of clients that may send.
        policy_service: the policy service, asked last.

    Raises:
        ConfigError: ``check_ccert_access`` is no table of actions.
    """

    def __init__(
        self,
        check_ccert_access: AccessTable | None,
        relay_clientcerts: AccessTable | None,
        policy_service: PolicyService | None,
    ) -> None:
        if check_ccert_access and not check_ccert_access.actions:
            raise ConfigError("check_ccert_access: make the AccessTable with actions=True")
        self._check_ccert_access = check_ccert_access
        self._relay_clientcerts = relay_clientcerts
        self._policy_service = policy_service

    async def decide(
        self, peer: Peer | None, client: str, attributes: dict[str, str | int]
    ) -> tuple[Action, list[str]]:
        """Decide about a recipient.

        Args:
            peer: the client; None without TLS.
            client: its name in the log, "unknown[192.0.2.1]".
            attributes: what is known, as for :func:`ccert.postfix.policy.access_request`.

        Returns:
            The action, "permit" or "refuse", and the headers to prepend to the message.
        """
        headers: list[str] = []
        async for action in self._opinions(peer, attributes):
            if action.verb in {"permit", "refuse"}:
                return action, headers
            if action.verb == "prepend":
                headers.append(action.text)
            elif action.text:
                _log.info("%s: %s", client, action.text)
        if self._relay_clientcerts is None:
            return Action("permit"), headers
        recipient = re.sub(r"[^ -~]", "?", str(attributes["recipient"]))
        return Action("refuse", f"554 5.7.1 <{recipient}>: Relay access denied"), headers

    async def _opinions(
        self, peer: Peer | None, attributes: dict[str, str | int]
    ) -> AsyncIterator[Action]:
        if peer and self._check_ccert_access:
            yield parse_action(self._check_ccert_access.lookup(peer) or "DUNNO")
        if peer and self._relay_clientcerts and self._relay_clientcerts.lookup(peer) is not None:
            yield Action("permit")
        if self._policy_service:
            request = access_request(peer=peer, **attributes)
            yield parse_action(await self._policy_service.ask(request))
