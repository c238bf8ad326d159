"""What is asked at RCPT, in which order, and who has the last word."""

import asyncio
import logging
import smtplib

import pairs
import pytest
from smtp_sessions import TIMEOUT, Handler, connected, serving

import ccert
from ccert.aiosmtpd import CcertMixin
from ccert.postfix.access_table import AccessTable
from ccert.postfix.policy import PolicyService
from ccert.postfix.restrictions import Restrictions

CLIENT = "unknown[192.0.2.1]"
RECIPIENT = "b@mx.example"
RELAY_DENIED = "554 5.7.1 <b@mx.example>: Relay access denied"


@pytest.fixture(scope="module")
def chain(clique):
    return clique.leaf()


@pytest.fixture
def peer(host, chain) -> ccert.Peer:
    """An untrusted peer, whose key may be listed nevertheless."""
    peer = ccert.peer(pairs.handshake(host.context(chain), host.client(chain)).server.tls)
    assert peer.trust is ccert.Trust.UNTRUSTED
    return peer


@pytest.fixture
def table(tmp_path, peer):
    """Return a function that makes a table; "" lists somebody else."""

    def table(action: str, **options) -> AccessTable:
        path = tmp_path / f"table-{action}"
        key = peer.pubkey_fingerprint if action else ":".join(["00"] * 32)
        path.write_text(f"{key}\t{action or 'OK'}\n")
        return AccessTable(path, **options)

    return table


def _decide(peer, access=None, relay=None, service=None, recipient=RECIPIENT):
    restrictions = Restrictions(
        check_ccert_access=access, relay_clientcerts=relay, policy_service=service
    )
    decision = restrictions.decide(peer, CLIENT, recipient, dict)
    action, headers, _ = asyncio.run(asyncio.wait_for(decision, TIMEOUT))
    return action.text or action.verb, headers


def _decide_with_service(peer, answer: str, *tables) -> tuple[str, list[str]]:
    """Decide with a policy service that gives one answer."""
    asked = []

    async def main():
        async def serve(reader, writer) -> None:
            asked.append(await reader.readuntil(b"\n\n"))
            writer.write(f"action={answer}\n\n".encode())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            service = PolicyService(f"inet:127.0.0.1:{port}")
            access, relay = tables
            decision = Restrictions(
                check_ccert_access=access, relay_clientcerts=relay, policy_service=service
            ).decide(peer, CLIENT, RECIPIENT, lambda: {"recipient": RECIPIENT})
            action, headers, _ = await asyncio.wait_for(decision, TIMEOUT)
            await service.close()
            return action.text or action.verb, headers

    return *asyncio.run(main()), asked


def test_nothing_to_ask(peer):
    """Without tables and service everybody is let in."""
    assert _decide(peer) == _decide(None) == ("permit", [])


@pytest.mark.parametrize(
    ("action", "decision"),
    [
        ("OK", "permit"),
        ("REJECT Not you", "554 5.7.1 Not you"),
        ("DUNNO", "permit"),
        ("", "permit"),
        ("WARN look at this", "permit"),
    ],
)
def test_access_table(peer, table, action, decision, caplog):
    """check_ccert_access decides about those that it lists; what WARN says is logged."""
    with caplog.at_level(logging.INFO, "ccert"):
        assert _decide(peer, table(action, actions=True)) == (decision, [])
    expected = [f"{CLIENT}: warn: look at this"] if "WARN" in action else []
    assert [record.getMessage() for record in caplog.records] == expected


def test_relay_clientcerts(peer, table):
    """Who is listed may send, untrusted as he is; the others, and those without TLS, may not."""
    assert _decide(peer, None, table("x")) == ("permit", [])
    assert _decide(peer, None, table("")) == (RELAY_DENIED, [])
    assert _decide(None, None, table("x")) == (RELAY_DENIED, [])


def test_first_answer_counts(peer, table):
    """The access table comes before the list."""
    reject = table("REJECT", actions=True)
    assert _decide(peer, reject, table("x"))[0] == "554 5.7.1 Access denied"
    assert _decide(peer, table("OK", actions=True), table("")) == ("permit", [])


def test_policy_service(peer, table):
    """It is asked about those that no table decides on, and told whose certificate it is."""
    decision, headers, asked = _decide_with_service(peer, "REJECT by policy", None, None)
    assert (decision, headers) == ("554 5.7.1 by policy", [])
    assert f"ccert_pubkey_fingerprint={peer.pubkey_fingerprint}\n".encode() in asked[0]
    assert _decide_with_service(peer, "REJECT", None, table("x")) == ("permit", [], [])
    assert _decide_with_service(peer, "OK", None, table(""))[0] == "permit"
    assert _decide_with_service(peer, "DUNNO", None, table(""))[0] == RELAY_DENIED
    assert _decide_with_service(peer, "PREPEND X-By: policy", None, None)[:2] == (
        "permit",
        ["X-By: policy"],
    )


def test_service_that_does_not_answer(peer, unused_port):
    """Then the default action stands, which lets nobody in."""
    service = PolicyService(f"inet:127.0.0.1:{unused_port}")
    assert _decide(peer, None, None, service)[0].startswith("451 4.3.5 ")


@pytest.mark.parametrize("recipient", ["b@mx.example\r\n250 OK", "ä@mx.example", "\x1b@x"])
def test_recipient_in_a_reply(table, recipient):
    """Whatever the recipient, the reply is one line of ASCII."""
    reply = _decide(None, None, table(""), None, recipient)[0]
    assert reply.isascii()
    assert reply.isprintable()


def test_table_without_actions(table):
    """A table whose right-hand sides nobody has looked at is no check_ccert_access."""
    with pytest.raises(ccert.ConfigError, match="actions=True"):
        Restrictions(check_ccert_access=table("whatever"))


class _Refusing:
    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: ARG002
        return "550 by the base"


class _Both(CcertMixin, _Refusing):
    pass


def test_with_aiosmtpd(host, clique, chain, table, caplog):
    """The whole way: refused with the reply, logged as smtpd(8) does; listed, accepted."""
    context = host.context(clique.root.pem)
    with caplog.at_level(logging.INFO, "ccert"):
        for key, code in (("", 554), ("x", 250)):
            handler = Handler(relay_clientcerts=table(key))
            with (
                serving(handler, context) as port,
                connected(port, host.client(chain), implicit=False) as smtp,
            ):
                smtp.ehlo("client.example")
                smtp.mail("a@a.example", ["size=100"])
                assert smtp.rcpt("b@mx.example")[0] == code
                smtp.quit()
    rejected = [r.getMessage() for r in caplog.records if r.getMessage().startswith("reject")]
    (line,) = rejected
    assert line == (
        f"reject: RCPT from unknown[127.0.0.1]: {RELAY_DENIED}; "
        "from=<a@a.example> to=<b@mx.example> proto=ESMTP helo=<client.example>"
    )


class _Choosy:
    """A base that refuses one recipient."""

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: ARG002
        if address == "no@mx.example":
            return "550 by the base"
        envelope.rcpt_tos.append(address)
        return "250 by the base"


class _Prepending(CcertMixin, _Choosy):
    headers = None

    async def handle_DATA(self, server, session, envelope):  # noqa: ARG002
        self.headers = envelope.ccert_headers
        return "250 OK"


def test_headers_of_refused_recipients(host, chain, table):
    """What a table wants to prepend counts once for each recipient that is accepted."""
    handler = _Prepending(check_ccert_access=table("PREPEND X-By: table", actions=True))
    with (
        serving(handler, host.context()) as port,
        connected(port, host.client(chain), implicit=False) as smtp,
    ):
        smtp.ehlo()
        smtp.mail("a@a.example")
        assert [smtp.rcpt(f"{who}@mx.example")[0] for who in ("no", "b", "no")] == [550, 250, 550]
        smtp.data("x")
        smtp.quit()
    assert handler.headers == ["X-By: table"]


def test_bases_come_last(host):
    """A base's own RCPT hook is asked once the tables have let the client in."""
    with (
        serving(_Both(), host.context()) as port,
        smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as smtp,
    ):
        smtp.ehlo()
        smtp.mail("a@a.example")
        assert smtp.rcpt("b@mx.example") == (550, b"by the base")
