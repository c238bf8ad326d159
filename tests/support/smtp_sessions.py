"""aiosmtpd servers with CcertMixin in a thread of the test, and clients of theirs."""

import asyncio
import contextlib
import smtplib
import ssl
import threading

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP

from ccert.aiosmtpd import CcertMixin

TIMEOUT = 20


class Handler(CcertMixin, Sink):
    """Keeps the last session; Sink takes the messages."""

    session = None

    async def handle_QUIT(self, _server, session, _envelope) -> str:
        self.session = session
        return "221 Bye"


@contextlib.contextmanager
def serving(handler, context, *, implicit: bool = False):
    """Serve in a thread until the block ends and the clients have gone; yields the port."""

    def smtp() -> SMTP:
        options = {} if implicit else {"tls_context": context}
        return SMTP(handler, hostname="mx.example", loop=loop, **options)

    async def start() -> asyncio.Server:
        tls = context if implicit else None
        return await loop.create_server(smtp, "127.0.0.1", 0, ssl=tls)

    async def stop() -> None:
        server.close()
        clients = asyncio.all_tasks() - {asyncio.current_task()}
        if clients:
            await asyncio.wait(clients, timeout=TIMEOUT)
        await server.wait_closed()

    with contextlib.closing(asyncio.new_event_loop()) as loop:
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            server = asyncio.run_coroutine_threadsafe(start(), loop).result(TIMEOUT)
            try:
                yield server.sockets[0].getsockname()[1]
            finally:
                asyncio.run_coroutine_threadsafe(stop(), loop).result(TIMEOUT)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(TIMEOUT)


@contextlib.contextmanager
def connected(port: int, client: ssl.SSLContext, *, implicit: bool):
    """Connect up to the end of the handshake."""
    client.check_hostname = False
    if implicit:
        smtp = smtplib.SMTP_SSL("127.0.0.1", port, timeout=TIMEOUT, context=client)
    else:
        smtp = smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT)
    with contextlib.closing(smtp):
        if not implicit:
            smtp.starttls(context=client)
        yield smtp
