"""Actions: access(5)'s words mean what they mean to Postfix, or are refused by name.

Expected replies were written down from Postfix 3.10's smtpd_check.c and dsn_util.c; a running
smtpd judges them in tests/interop.
"""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ccert
from ccert.postfix.actions import Action, parse_action


@pytest.mark.parametrize("text", ["OK", "ok", "RELAY", "OK whatever", "permit", "0", "1234567"])
def test_permit(text):
    """OK and RELAY with any text, permit, and an all-numerical result."""
    assert parse_action(text) == Action("permit")


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("REJECT", "554 5.7.1 Access denied"),
        ("reject", "554 5.7.1 Access denied"),
        ("REJECT Not here", "554 5.7.1 Not here"),
        ("REJECT\t5.7.25 No name", "554 5.7.25 No name"),
        ("REJECT 4.7.25 No name", "554 5.7.25 No name"),
        ("REJECT 5.7.25", "554 5.7.25 Access denied"),
        ("REJECT 5.7.25x", "554 5.7.1 5.7.25x"),
        ("REJECT 5.7.1234 x", "554 5.7.1 5.7.1234 x"),
        ("REJECT 3.7.1 x", "554 5.7.1 3.7.1 x"),
        ("DEFER", "450 4.7.1 Access denied"),
        ("DEFER 5.2.0 Later", "450 4.2.0 Later"),
        ("DEFER_IF_PERMIT", "450 4.7.1 Service unavailable"),
        ("defer_if_permit 4.2.0 Greylisted", "450 4.2.0 Greylisted"),
        ("550 Not here", "550 5.7.1 Not here"),
        ("550 2.0.0 Not here", "550 5.0.0 Not here"),
        ("451 4.3.5 Broken", "451 4.3.5 Broken"),
        ("451 5.3.5", "451 4.3.5 Access denied"),
        ("521 Away", "521 5.7.1 Away"),
        ("599  two  spaces ", "599 5.7.1 two  spaces"),
    ],
)
def test_refuse(text, reply):
    """Postfix's codes, enhanced status codes and texts; the code's class beats the status's."""
    assert parse_action(text) == Action("refuse", reply)


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("DUNNO", ""),
        ("dunno whatever", ""),
        ("INFO seen", "info: seen"),
        ("warn\tseen \x1b[2J", "warn: seen ?[2J"),
    ],
)
def test_dunno(text, logged):
    """Nothing is decided; what INFO and WARN want to have logged is one printable line."""
    assert parse_action(text) == Action("dunno", logged)


@pytest.mark.parametrize("text", ["PREPEND X-A: b", "prepend  X-A: b ", "PREPEND\tX-A: b"])
def test_prepend(text):
    """The header is what follows the word."""
    assert parse_action(text) == Action("prepend", "X-A: b")


@pytest.mark.parametrize(
    "text",
    [
        "", " ", " OK", "OKAY", "YES", "0x10", "12 34", "permit, reject", "permit reject",
        "perm\u0131t", "\u0131nfo x", "²", "٣", "550", "450", "550 ", "5500 x", "650 x", "55 x",
        "DISCARD", "HOLD why", "FILTER smtp:[127.0.0.1]", "REDIRECT a@b.example", "BCC a@b.example",
        "DEFER_IF_REJECT", "HANGUP", "reject_unauth_destination", "hash:/etc/postfix/access",
        "OK\n", "OK\r", "\0", "REJECT\nOK",
        "PREPEND", "PREPEND X-A", "PREPEND : b", "PREPEND X A: b", "PREPEND X-A : b",
        "PREPEND X-\N{LATIN SMALL LETTER E WITH ACUTE}: b",
        "PREPEND X-A: b\r\nX-B: c", "PREPEND X-A: b\nX-B: c", "PREPEND X-A: b\0",
        "PREPEND X-A: b\x85X-B: c", "PREPEND X-A: \ud800", "PREPEND X-A: " + "b" * 1000,
    ],
)  # fmt: skip
def test_refused(text):
    """What ccert cannot do is an error that quotes it on one line, never a permission."""
    with pytest.raises(ccert.ConfigError) as caught:
        parse_action(text)
    message = str(caught.value)
    assert message.startswith("action ")
    assert message.isprintable()


def test_bare_code():
    """550 alone is all-numerical, so Postfix permits; nobody can mean that: an error tells."""
    assert parse_action("549999").verb == "permit"
    with pytest.raises(ccert.ConfigError, match="add a text"):
        parse_action("550")


_LEAD = st.sampled_from(["REJECT ", "DEFER ", "550 ", "451\t", "defer_if_permit ", ""])


@given(_LEAD, st.text())
@example("REJECT ", "a\r\n250 OK")
@example("REJECT ", "x" * 600)
def test_reply_is_one_line(lead, text):
    """Whatever the text, a reply is one line of printable ASCII, of 512 octets with CR LF."""
    reply = _reply(lead + text)
    if reply is None:
        return
    assert reply.isascii()
    assert reply.isprintable()
    assert len(f"{reply}\r\n") <= 512
    assert reply[0] in "45"
    assert reply[4:6] == f"{reply[0]}."


def _reply(text: str) -> str | None:
    try:
        action = parse_action(text)
    except ccert.ConfigError:
        return None
    return action.text if action.verb == "refuse" else None


def test_foreign_characters_in_replies():
    """Tabs become spaces, as in Postfix; what is not ASCII, or hidden, "?"."""
    assert parse_action("REJECT a\tb\r\nc \x1bé").text == "554 5.7.1 a b  c ??"
