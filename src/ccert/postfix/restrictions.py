"""The checks for each recipient: tables of clients and a policy service, as in smtpd(8)."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, NamedTuple

from ccert.errors import ConfigError
from ccert.postfix.access_table import AccessTable
from ccert.postfix.actions import Action, parse_action
from ccert.postfix.name_table import NameTable
from ccert.postfix.policy import PolicyService, access_request
from ccert.text import printable, printable_ascii

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccert.tls.peer import Peer

__all__ = ["Decision", "Restrictions"]

_log = logging.getLogger("ccert")


class Decision(NamedTuple):
    """What is decided about a recipient.

    Attributes:
        action: whose verb is "permit" or "refuse".
        headers: to prepend to the message.
        rule: which restriction decided, and by what: "relay_clientnames: mx.partner.example"; ""
            if none did.
    """

    action: Action
    headers: list[str]
    rule: str


class Restrictions:
    """Consults those of its arguments that are given, in this order, until one permits or refuses.

    If none does, the recipient is accepted, unless ``relay_clientcerts`` or ``relay_clientnames``
    is given: then only clients that are listed there, or that another check permits, may send.

    Args:
        check_ccert_access: a table of actions (made with ``actions=True``).
        relay_clientcerts: a table of keys that may send.
        relay_clientnames: a table of hosts that may send.
        policy_service: the policy service, consulted last.

    Raises:
        ConfigError: ``check_ccert_access`` is no table of actions.
        TypeError: a restriction is something else.
    """

    def __init__(
        self,
        *,
        check_ccert_access: AccessTable | None = None,
        relay_clientcerts: AccessTable | None = None,
        relay_clientnames: NameTable | None = None,
        policy_service: PolicyService | None = None,
    ) -> None:
        _check_type("check_ccert_access", check_ccert_access, AccessTable)
        _check_type("relay_clientcerts", relay_clientcerts, AccessTable)
        _check_type("relay_clientnames", relay_clientnames, NameTable)
        _check_type("policy_service", policy_service, PolicyService)
        if check_ccert_access is not None and not check_ccert_access.actions:
            raise ConfigError("check_ccert_access: make the AccessTable with actions=True")
        self._check_ccert_access = check_ccert_access
        self._relay_clientcerts = relay_clientcerts
        self._relay_clientnames = relay_clientnames
        self._policy_service = policy_service

    def log_new_key(self, peer: Peer) -> None:
        """Warn of a client that is listed by name, but not by the key that it has now."""
        if not self._relay_clientcerts or not self._relay_clientnames:
            return
        name = self._relay_clientnames.lookup(peer)
        if name is None or self._relay_clientcerts.lookup(peer) is not None:
            return
        old = ",".join(self._relay_clientcerts.fingerprints(name)) or "unknown"
        _log.warning("known name, new key: %s: %s -> %s", name, old, peer.pubkey_fingerprint)

    async def decide(
        self,
        peer: Peer | None,
        client: str,
        recipient: str,
        attributes: Callable[[], dict[str, str | int]],
    ) -> Decision:
        """Decide about a recipient.

        Args:
            peer: the client; None without TLS.
            client: its name for the log, "unknown[192.0.2.1]".
            recipient: its address.
            attributes: returns what is known for :func:`ccert.postfix.access_request`; it is called
                only if the policy service is asked.
        """
        headers: list[str] = []
        async for action, rule in self._opinions(peer, attributes):
            if action.verb in {"permit", "refuse"}:
                return Decision(action, headers, rule)
            if action.verb == "prepend":
                headers.append(action.text)
            elif action.text:
                _log.info("%s: %s", client, action.text)
        if self._relay_clientcerts is None and self._relay_clientnames is None:
            return Decision(Action("permit"), headers, "")
        address = printable_ascii(recipient)
        denied = Action("refuse", f"554 5.7.1 <{address}>: Relay access denied")
        return Decision(denied, headers, "")

    async def _opinions(
        self, peer: Peer | None, attributes: Callable[[], dict[str, str | int]]
    ) -> AsyncIterator[tuple[Action, str]]:
        if peer is not None and self._check_ccert_access:
            action = self._check_ccert_access.lookup(peer) or "DUNNO"
            yield parse_action(action), f"check_ccert_access: {printable(action)}"
        if peer is not None and self._relay_clientcerts:
            value = self._relay_clientcerts.lookup(peer)
            if value is not None:
                yield Action("permit"), f"relay_clientcerts: {printable(value)}"
        if peer is not None and self._relay_clientnames:
            name = self._relay_clientnames.lookup(peer)
            if name is not None:
                yield Action("permit"), f"relay_clientnames: {name}"
        if self._policy_service:
            request = access_request(peer=peer, **attributes())
            action = await self._policy_service.ask(request)
            yield parse_action(action), f"check_policy_service: {printable(action)}"


def _check_type(name: str, value: object, wanted: type) -> None:
    if value is None or isinstance(value, wanted):
        return
    if isinstance(value, str | os.PathLike):
        raise TypeError(f"{name}: make a {wanted.__name__} of {os.fspath(value)!r} first")
    raise TypeError(f"{name} must be a {wanted.__name__}, not {type(value).__name__}")
