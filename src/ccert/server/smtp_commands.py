"""The methods of a session for commands, made once for its class: a session only binds them."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccert.server.smtp import SMTP

    _Command = Callable[[SMTP, str], Awaitable[None]]

__all__ = ["Commands"]

_JUNK = ("EHLO", "HELO", "HELP", "NOOP", "RSET", "STARTTLS", "VRFY")


class Commands(dict[str, Any]):
    """Commands by name; any other word has a method, too, so that it counts as an error.

    aiosmtpd itself would allow five such words, whatever the limits here, and leave no log line.

    Args:
        session: whose they are.
    """

    def __init__(self, session: SMTP) -> None:
        of: Any = type(session)
        known, self._other = _methods(of)
        super().__init__({name: types.MethodType(known[name], session) for name in known})
        self._session = session

    def get(self, name: str, default: object = None) -> Any:  # noqa: ANN401, ARG002 - dict's own
        """Return the method for a word."""
        return super().get(name) or types.MethodType(self._other, self._session)


@functools.cache
def _methods(of: type[Any]) -> tuple[dict[str, _Command], _Command]:
    """Return the commands by name, and what any other word calls; there are no users for AUTH."""
    names = {name.removeprefix("smtp_") for name in dir(of) if name.startswith("smtp_")}
    known = {
        name: _run(getattr(of, f"smtp_{name}"), junk=name in _JUNK) for name in names - {"AUTH"}
    }
    return known, _run(of.refuse, junk=False)


def _run(method: _Command, *, junk: bool) -> _Command:
    @functools.wraps(method)
    async def run(session: SMTP, argument: str) -> None:
        if junk:
            session.count_junk()
        await session.run(method, argument)

    return run
