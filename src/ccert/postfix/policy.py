"""Query a policy service, as Postfix's check_policy_service does; protocol: SMTPD_POLICY_README.

A request consists of lines name=value and an empty line; the answer is a line action=… and an empty
line.  Anything else (no answer in time, a malformed answer, a connection that breaks twice) results
in the default action and a warning in the log.  So a broken service never lets anybody in, and
never delays an SMTP session for longer than ``timeout``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import re
import threading
from typing import TYPE_CHECKING

from ccert.errors import ConfigError
from ccert.postfix.actions import parse_action
from ccert.postfix.policy_connections import Connections
from ccert.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccert.postfix.policy_connections import Address
    from ccert.tls.peer import Peer

__all__ = ["PolicyService", "access_request"]

_PATH_OCTETS = 107  # sockaddr_un's

_WITHOUT_TLS = {
    "ccert_subject": "",
    "ccert_issuer": "",
    "ccert_fingerprint": "",
    "ccert_pubkey_fingerprint": "",
    "encryption_protocol": "",
    "encryption_cipher": "",
    "encryption_keysize": "0",
}
_OUR_OWN = {"ccert_names": ""}
_ATTRIBUTES = {  # check_policy_service() in Postfix's smtpd_check.c
    "request": "smtpd_access_policy",
    "protocol_state": "RCPT",
    "protocol_name": "ESMTP",
    "client_address": "unknown",
    "client_name": "unknown",
    "client_port": "unknown",
    "reverse_client_name": "unknown",
    "server_address": "unknown",
    "server_port": "unknown",
    "helo_name": "",
    "sender": "",
    "recipient": "",
    "recipient_count": "0",
    "queue_id": "",
    "instance": "",
    "size": "0",
    "etrn_domain": "",
    "stress": "",
    "sasl_method": "",
    "sasl_username": "",
    "sasl_sender": "",
    **_WITHOUT_TLS,
    "policy_context": "",
    "compatibility_level": "",
    "mail_version": "",
    **_OUR_OWN,
}

_log = logging.getLogger("ccert")


class PolicyService:
    """A policy service: greylisting, SPF, quotas, or one of your own.

    Sessions may send requests concurrently, even in several event loops.  Each loop has its own
    connections, 100 at most, which are kept for the next request.  A connection carries requests
    for different messages in turn; those for one message (``instance``) use the same connection if
    it is free.

    Args:
        endpoint: "unix:PATH", "inet:HOST:PORT" or "inet:[ADDRESS]:PORT".  A relative
            path is relative to the working directory, not to Postfix's queue directory.
        timeout: the most seconds that :meth:`ask` may take in total.
        max_idle: seconds after which an unused connection is closed.
        default_action: the action after a failure.

    Raises:
        ConfigError: an argument is unusable.
        TypeError: ``endpoint`` is no str.

    Source: postconf(5), smtpd_policy_service_*.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        timeout: float = 100.0,
        max_idle: float = 300.0,
        default_action: str = "451 4.3.5 Server configuration problem",
    ) -> None:
        self._address = _address(endpoint)
        if not timeout > 0 or not max_idle >= 0:
            raise ConfigError(f"policy service {endpoint}: timeout or max_idle is not positive")
        parse_action(default_action)
        self._endpoint = endpoint
        self._timeout = timeout
        self._max_idle = max_idle
        self._default_action = default_action
        self._lock = threading.Lock()  # event loops run in threads
        self._connections: dict[asyncio.AbstractEventLoop, Connections] = {}

    def __repr__(self) -> str:
        return (
            f"PolicyService({self._endpoint!r}, timeout={self._timeout!r}, "
            f"max_idle={self._max_idle!r}, default_action={self._default_action!r})"
        )

    async def ask(self, attributes: Mapping[str, str]) -> str:
        """Send a request; return the service's action.

        Any action that :func:`ccert.postfix.parse_action` does not support counts as a failure.
        Characters that are not printable are sent as "?", so a value cannot begin another line.

        Args:
            attributes: as made by :func:`ccert.postfix.access_request`.

        Returns:
            The action, or the default action after a failure.  A failure is logged as a warning to
            the logger "ccert" and never raises an exception.
        """
        request = _encoded(attributes)
        instance = attributes.get("instance", "")
        try:
            asking = self._connections_here().ask(request, instance)
            action = _action(await asyncio.wait_for(asking, self._timeout))
            parse_action(action)
        except asyncio.TimeoutError as error:
            problem = str(error) or f"no answer within {self._timeout:g} s"
        except (OSError, ValueError) as error:
            problem = str(error)
        else:
            return action
        _log.warning(
            "policy service %s: %s; answering %s",
            self._endpoint,
            printable(problem),
            self._default_action,
        )
        return self._default_action

    async def close(self) -> None:
        """Close the connections; one that is in use is closed after its answer.

        Call this before the event loop ends.  Later requests open new connections.
        """
        with self._lock:
            kept, self._connections = self._connections, {}
        for loop, connections in kept.items():
            if loop is asyncio.get_running_loop():
                connections.close()
            elif not loop.is_closed():
                loop.call_soon_threadsafe(connections.close)

    def _connections_here(self) -> Connections:
        """Return the running loop's connections; drop those of closed loops."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._connections:
                self._connections = {
                    other: connections
                    for other, connections in self._connections.items()
                    if not other.is_closed()
                }
                self._connections[loop] = Connections(self._address, self._max_idle)
            return self._connections[loop]


def access_request(*, peer: Peer | None, **attributes: str | int) -> dict[str, str]:
    """Make a request about a recipient: what Postfix 3.10 sends, in its order, and ``ccert_names``.

    ``compatibility_level`` and ``mail_version`` are empty, "unavailable" in the protocol: we are
    not Postfix, and whoever looks there wants to know what Postfix can do.

    Args:
        peer: the client's; None without TLS.  ``ccert_*`` and ``encryption_*`` come from it alone.
        attributes: those that are known, by their names in the protocol: ``client_address``,
            ``helo_name``, ``sender``, ``recipient``, ``instance``, ….  ``instance`` is to be one
            value for each message, new with each MAIL.  The others get Postfix's defaults.

    Raises:
        TypeError: an attribute is unknown, or comes from ``peer``.
    """
    of_peer = _WITHOUT_TLS.keys() | _OUR_OWN.keys()
    unknown = attributes.keys() - _ATTRIBUTES.keys() | attributes.keys() & of_peer
    if unknown:
        raise TypeError(f"access_request() got unexpected attributes: {', '.join(sorted(unknown))}")
    known = {name: str(value) for name, value in attributes.items()}
    return _ATTRIBUTES | known | ({} if peer is None else peer.policy_attributes())


def _address(endpoint: str) -> Address:
    if not isinstance(endpoint, str):
        raise TypeError(f"endpoint must be a str, not {type(endpoint).__name__}")
    if match := re.fullmatch(r"unix:([^\0]+)", endpoint):
        if len(os.fsencode(match[1])) > _PATH_OCTETS:
            raise ConfigError(f"policy service {endpoint}: path longer than {_PATH_OCTETS} octets")
        return match[1]
    inet = re.fullmatch(r"inet:(?:([\w.-]+)|\[([\w.:%]+)\]):(\d{1,5})", endpoint, re.ASCII)
    try:
        if inet and 0 < int(inet[3]) < 1 << 16:
            return inet[1] or str(ipaddress.IPv6Address(inet[2])), int(inet[3])
    except ValueError as error:
        raise ConfigError(f"policy service {endpoint}: {error}") from error
    raise ConfigError(
        f"policy service {endpoint!r}: not unix:PATH, inet:HOST:PORT or inet:[ADDRESS]:PORT"
    )


def _encoded(attributes: Mapping[str, str]) -> bytes:
    lines = (
        f"{printable(name).replace('=', '?')}={printable(value)}\n"
        for name, value in attributes.items()
    )
    return "".join([*lines, "\n"]).encode()


def _action(answer: bytes) -> str:
    """Return the first action; other lines are ignored, as by Postfix's attr_scan_plain(3)."""
    for line in answer.decode().split("\n"):
        name, _, value = line.partition("=")
        if name == "action":
            return value
    raise ValueError("its answer has no action")
