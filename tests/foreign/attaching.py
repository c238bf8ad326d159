"""Attach ccert to every context of this process that serves, whoever made it."""

from __future__ import annotations

import ssl

from ccert.tls.attachment import attach_checked, settings


def attach(context: ssl.SSLContext, *, setting: bool) -> None:
    """Attach once, and not by ``ccert.attach``, which refuses a context that asks for nothing."""
    if not settings(context):
        attach_checked(context, None, setting, 9)


def _attach_and_keep_tickets(context: ssl.SSLContext, *, setting: bool) -> None:
    """Attach; sessions stay in tickets, because CPython's tests look for them there."""
    if context.protocol is ssl.PROTOCOL_TLS_CLIENT:
        return  # an error of the test's, on purpose
    options, tickets = context.options, context.num_tickets
    attach(context, setting=setting)
    context.options = options
    if context.protocol is ssl.PROTOCOL_TLS_SERVER:  # else ssl does not let us
        context.num_tickets = tickets


def attach_all(*, setting: bool) -> None:
    """Attach where a server's connection is made, and where it is moved to another context."""
    for name in ("wrap_socket", "wrap_bio"):
        setattr(ssl.SSLContext, name, _attaching(getattr(ssl.SSLContext, name), setting=setting))
    for made in (ssl.SSLSocket, ssl.SSLObject):
        made.context = _moving(made.context, setting=setting)


def _attaching(wrap, *, setting: bool):
    def attaching(self, *args, **kwargs):
        position = 1 if wrap.__name__ == "wrap_socket" else 2
        if kwargs.get("server_side", args[position] if len(args) > position else False):
            _attach_and_keep_tickets(self, setting=setting)
        return wrap(self, *args, **kwargs)

    return attaching


def _moving(context: property, *, setting: bool) -> property:
    def move(self, to) -> None:
        if self.server_side and isinstance(to, ssl.SSLContext):
            _attach_and_keep_tickets(to, setting=setting)
        context.fset(self, to)

    return property(context.fget, move)
