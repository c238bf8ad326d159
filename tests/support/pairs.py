"""Two TLS endpoints in one thread, joined by memory: no sockets, no time, a bound on every loop."""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = 100
VERSIONS = {"tls12": ssl.TLSVersion.TLSv1_2, "tls13": ssl.TLSVersion.TLSv1_3}


class StuckError(AssertionError):
    """The handshake did not come to an end within the bound."""


@dataclasses.dataclass
class End:
    """One endpoint: its TLS object and what it is still to receive."""

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    tls: ssl.SSLObject
    done: bool = False
    error: ssl.SSLError | None = None

    def step(self) -> None:
        if self.done or self.error:
            return
        try:
            self.tls.do_handshake()
            self.done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = error


@dataclasses.dataclass
class Pair:
    """A finished handshake, or a failed one: then an end has its ``error``."""

    server: End
    client: End
    resumptions: list[Pair] = dataclasses.field(default_factory=list)

    @property
    def completed(self) -> bool:
        return self.server.done and self.client.done

    def round_trip(self) -> None:
        """Send a byte each way: TLS 1.3 tickets and alerts come to light."""
        for sender, receiver in ((self.server, self.client), (self.client, self.server)):
            sender.tls.write(b"x")
            for chunk in _chunks(sender.outgoing, None):
                receiver.incoming.write(chunk)
            assert receiver.tls.read(1) == b"x"


def _chunks(bio: ssl.MemoryBIO, size: int | None) -> Iterator[bytes]:
    octets = bio.read()
    size = size or len(octets) or 1
    for start in range(0, len(octets), size):
        yield octets[start : start + size]


def _end(context: ssl.SSLContext, **kwargs) -> End:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return End(incoming, outgoing, context.wrap_bio(incoming, outgoing, **kwargs))


def begin(
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    *,
    name: str | None = "mx.example",
    session: ssl.SSLSession | None = None,
) -> Pair:
    return Pair(_end(server, server_side=True), _end(client, server_hostname=name, session=session))


def finish(pair: Pair, *, chunk: int | None = None) -> Pair:
    """Shake hands; ``chunk``: the server gets so many octets at a time."""
    for _ in range(STEPS):
        pair.client.step()
        for octets in _chunks(pair.client.outgoing, chunk):
            pair.server.incoming.write(octets)
            pair.server.step()
        pair.server.step()
        for octets in _chunks(pair.server.outgoing, None):
            pair.client.incoming.write(octets)
        if pair.server.error:
            _drain(pair.client)
            return pair
        if pair.completed:
            return pair
        if pair.client.error:
            return pair
    raise StuckError


def _drain(client: End) -> None:
    """Let the client see the server's alert."""
    try:
        client.step()
        if client.done:
            client.tls.read(1)
    except ssl.SSLError as error:
        client.error = error


def is_closed(tls: ssl.SSLObject) -> bool:
    """Tell whether an end can neither read nor write."""
    try:
        tls.read(1)
    except ssl.SSLZeroReturnError:
        pass
    except ssl.SSLWantReadError:
        return False
    else:
        return False
    with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLError):
        tls.write(b"x")
        return False
    return True


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, *, chunk: int | None = None, **kwargs
) -> Pair:
    pair = finish(begin(server, client, **kwargs), chunk=chunk)
    if pair.completed and not is_closed(pair.server.tls):
        pair.round_trip()
    return pair
