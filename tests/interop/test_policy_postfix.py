"""Postfix's smtpd judges what we send to policy services, and what we make of their words.

Strategy: one smtpd asks a table, then a service that says what the test wants, then a second
service, which is asked only where nothing has been decided before; then it permits.
"""

import contextlib
import dataclasses
import re
import smtplib
import ssl

import pairs
import pki
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mailserver import TIMEOUT
from services import answering
from transports import postfix

import ccert
from ccert import AccessTable, Trust
from ccert.postfix.actions import parse_action
from ccert.postfix.policy import access_request

OK = (250, "2.1.5 Ok")


@dataclasses.dataclass
class Judge:
    """What the smtpd's table and service answer, and what it asked them."""

    port: int = 0
    table: dict[str, str] = dataclasses.field(default_factory=dict)
    action: str = "DUNNO"
    requests: list[list[tuple[str, str]]] = dataclasses.field(default_factory=list)
    undecided: bool = False  # the second service was asked

    def look_up(self, line: str) -> str:
        """Answer in tcp_table(5)'s protocol."""
        value = self.table.get(line.removeprefix("get ").strip().upper())
        return f"200 {value.replace(' ', '%20')}\n" if value else "500 absent\n"

    def first(self, request: str) -> str:
        lines = request.removesuffix("\n\n").split("\n")
        self.requests.append([tuple(line.split("=", 1)) for line in lines])
        return f"action={self.action}\n\n"

    def second(self, _request: str) -> str:
        self.undecided = True
        return "action=DUNNO\n\n"

    @contextlib.contextmanager
    def connected(self, client: ssl.SSLContext | None = None):
        """Say EHLO, by TLS if there is a context, and MAIL."""
        with smtplib.SMTP("127.0.0.1", self.port, "mx.example", TIMEOUT) as smtp:
            if client:
                client.check_hostname = False
                smtp.starttls(context=client)
            smtp.ehlo()
            smtp.mail("a@sender.example")
            yield smtp

    def reply(self, smtp: smtplib.SMTP) -> tuple[int, str]:
        """Say RCPT and RSET; return the answer, without the words in front of its text."""
        self.undecided = False
        code, octets = smtp.rcpt("b@mx.example")
        smtp.rset()
        smtp.mail("a@sender.example")
        words = re.sub("[^ -~]+", "?", octets.decode())
        return code, re.sub(r"<[^>]*>: [A-Z][a-z]+ [a-z]+ rejected: ", "", words)


@pytest.fixture(scope="module")
def judge(host, clique):
    judge = Judge()
    with (
        answering(judge.look_up, end="\n") as table,
        answering(judge.first, end="\n\n") as first,
        answering(judge.second, end="\n\n") as second,
    ):
        order = "{ search_order = pubkey_fingerprint, cert_fingerprint }"
        server = {
            "smtpd_recipient_restrictions": (
                f"check_ccert_access {{ tcp:127.0.0.1:{table}, {order} }}, "
                f"check_policy_service inet:127.0.0.1:{first}, "
                f"check_policy_service inet:127.0.0.1:{second}, "
                "check_client_access static:OK, reject"  # it insists on a "reject"
            ),
            "smtpd_relay_restrictions": "",
            "smtpd_reject_unlisted_recipient": "no",
            "smtpd_peername_lookup": "no",
            "smtpd_error_sleep_time": "0",
            "smtpd_hard_error_limit": "100000",
            "smtpd_junk_command_limit": "100000",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": host.certfile,
            "smtpd_tls_key_file": host.keyfile,
            "smtpd_tls_ask_ccert": "yes",
            "smtpd_tls_CAfile": host.write("judge-ca.pem", clique.root.pem),
        }
        with postfix({}, server) as running:
            judge.port = running.port
            yield judge


# -- requests --


@pytest.mark.parametrize("who", ["nobody", "anonymous", "stranger", "member"])
def test_request(host, clique, judge, who):
    """Names, order and values are Postfix's, with and without TLS and whatever the trust."""
    chains = {
        "anonymous": None,
        "stranger": clique.anchored(pki.issue("a +b=\N{LATIN SMALL LETTER U WITH DIAERESIS}")),
        "member": clique.leaf(eku=[pki.CLIENT]),
    }
    client = host.client(chains[who]) if who in chains else None
    peer = None
    if client:
        ours = pairs.handshake(host.context(clique.root.pem), client).server.tls
        peer = ccert.peer(ours)
        assert (peer.trust is Trust.TRUSTED) == (who == "member")
    with judge.connected(client) as smtp:
        assert judge.reply(smtp) == OK
        address, port = smtp.sock.getsockname()
    theirs = judge.requests[-1]
    known = dict(theirs)
    request = access_request(
        peer=peer, client_address=address, client_port=port, server_address="127.0.0.1",
        server_port=judge.port, helo_name="mx.example", sender="a@sender.example",
        recipient="b@mx.example", instance=known["instance"],
    )  # fmt: skip
    newer = [name for name in ("compatibility_level", "mail_version") if name not in known]
    newer.append("ccert_names")  # ours alone
    expected = [(name, value) for name, value in request.items() if name not in newer]
    of_postfix = {"compatibility_level", "mail_version"}  # ours are empty
    assert [(n, "" if n in of_postfix else v) for n, v in theirs] == expected


# -- actions --


@pytest.fixture(scope="module")
def conversation(judge):
    with judge.connected() as smtp:
        yield smtp


def _agree(judge, conversation, text: str) -> str:
    """Compare what becomes of a recipient; return the verb, "" for what we cannot do."""
    judge.action = text
    try:
        action = parse_action(text)
    except ccert.ConfigError:
        return ""
    code, words = judge.reply(conversation)
    if action.verb == "refuse":
        assert (f"{code} {words}").rstrip() == action.text
    else:
        assert (code, words) == OK
        assert judge.undecided == (action.verb != "permit")
    return action.verb


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("OK", "permit"), ("relay", "permit"), ("OK text", "permit"), ("permit", "permit"),
        ("1234567", "permit"), ("0", "permit"),
        ("DUNNO", "dunno"), ("dunno text", "dunno"), ("INFO text", "dunno"), ("warn", "dunno"),
        ("PREPEND X-A: b", "prepend"), ("prepend X-A:", "prepend"),
        ("REJECT", "refuse"), ("DEFER", "refuse"), ("DEFER_IF_PERMIT", "refuse"),
        ("reject 4.7.25 text", "refuse"), ("599\ttext", "refuse"),
        ("DEFER 5.2.0 text", "refuse"), ("451 5.3.5 text", "refuse"), ("550 2.0.0 text", "refuse"),
    ],
)  # fmt: skip
def test_action(judge, conversation, text, verb):
    """Each action comes to what it comes to in Postfix, in the same words."""
    assert _agree(judge, conversation, text) == verb


_word = st.sampled_from(
    ["REJECT", "defer", "DEFER_IF_PERMIT", "550", "450", "599", "5", "OK", "INFO"]
)
_detail = st.sampled_from(
    [
        "5.7.1", "4.2.0", "2.0.0", "5.7.1234", "5.7", "3.1.1", "5.7.1.", "5.07.001", "550", ".",
        "text", "a  b", "\N{LATIN SMALL LETTER U WITH DIAERESIS}",
    ]
)  # fmt: skip
_blank = st.sampled_from([" ", "  ", "\t", " \t "])


@settings(max_examples=100)  # Postfix is slow
@given(_word, st.lists(st.tuples(_blank, _detail).map("".join), max_size=4), _blank | st.just(""))
def test_actions(judge, conversation, word, details, end):
    """So do actions put together at random, as far as ccert can do them.

    A status alone is not among them: smtpds from before March 2026 read beyond it.
    """
    _agree(judge, conversation, "".join([word, *details, *(details and [" text"]), end]))


def test_bare_code_permits(judge, conversation):
    """What ccert refuses to read, a code without a text, is a permission to Postfix."""
    assert _agree(judge, conversation, "550") == ""
    assert judge.reply(conversation) == OK
    assert not judge.undecided


# -- the table --


@pytest.mark.parametrize(
    ("key", "certificate"),
    [
        ("OK", "REJECT"), ("REJECT", "OK"), ("", "REJECT"), ("", "OK"), ("REJECT", ""), ("", ""),
        ("DUNNO", "REJECT"), ("DUNNO", "OK"), ("DUNNO", ""), ("", "DUNNO"), ("DUNNO", "INFO text"),
        ("INFO text", "450 4.7.0 Later"),
    ],
)  # fmt: skip
def test_table(host, clique, judge, tmp_path, key, certificate):
    """Of key and certificate that entry decides which decides in Postfix."""
    client = host.client(clique.leaf())
    peer = ccert.peer(pairs.handshake(host.context(), client).server.tls)
    assert peer.trust is Trust.UNTRUSTED
    entries = {peer.pubkey_fingerprint: key, peer.fingerprint: certificate}
    judge.table = {digest: value for digest, value in entries.items() if value}
    judge.action = "DUNNO"
    path = tmp_path / "table"
    path.write_text("".join(f"{digest} {value}\n" for digest, value in judge.table.items()))
    action = parse_action(AccessTable(path, actions=True).lookup(peer) or "DUNNO")
    with judge.connected(client) as smtp:
        code, words = judge.reply(smtp)
    if action.verb == "refuse":
        assert f"{code} {words}" == action.text
    else:
        assert (code, words) == OK
        assert judge.undecided == (action.verb == "dunno")
