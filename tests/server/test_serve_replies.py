"""Replies: an enhanced status code in each (RFC 2034), and the same text in log and connection."""

import re

import pytest

SESSIONS = [  # few enough errors in each
    ["MAIL FROM:<a@b.example>", "HELO", "EHLO client.example", "NOOP", "VRFY x", "VRFY", "HELP",
     "HELP MAIL", "HELP nothing", "BDAT 1", "RCPT TO:<a@b.example>", "DATA", "\xe9", "QUIT"],
    ["EHLO client.example", "DATA x", "MAIL x", "MAIL FROM:<a@b.example> SIZE=x",
     "MAIL FROM:<a@b.example> BODY=x", "MAIL FROM:<a@b.example> X=1",
     "MAIL FROM:<a@b.example> SIZE=99999999999", "MAIL FROM:<a@b.example>",
     "MAIL FROM:<a@b.example>", "RCPT x", "RCPT TO:<>", "RCPT TO:<a@b.example> X=1",
     "RCPT TO:<a@b.example>", "RSET x", "RSET", "QUIT x", "QUIT"],
    ["HELO client.example", "AUTH PLAIN", "STARTTLS x", "nothing", "QUIT"],
]  # fmt: skip
CODE = re.compile(rb"(?P<class>[245])\d\d (?P=class)\.\d{1,3}\.\d{1,3} \S")


def test_enhanced_status_codes(start):
    """Every reply but those to HELO and EHLO has one; EHLO offers them."""
    server = start()
    codes = set()
    for commands in SESSIONS:
        with server.client() as smtp:
            for command in commands:
                smtp.send(f"{command}\r\n".encode("latin-1"))
                lines = _reply(smtp)
                if command.startswith(("HELO", "EHLO")):
                    assert not CODE.match(lines[-1]), lines
                    assert (b"250-ENHANCEDSTATUSCODES\r\n" in lines) is (command[0] == "E")
                else:
                    assert CODE.match(lines[-1]), (command, lines)
                    codes.add(lines[-1][:3].decode())
    assert codes >= {"221", "250", "500", "501", "503", "552", "555"}


def _reply(smtp) -> list[bytes]:
    if smtp.file is None:
        smtp.file = smtp.sock.makefile("rb")
    lines = [smtp.file.readline()]
    while lines[-1][3:4] == b"-":
        lines.append(smtp.file.readline())
    return lines


@pytest.mark.parametrize("command", ["MAIL FROM:<a@b.example>", "NOOP"])
def test_starttls_required(start, command):
    """As Postfix: 530 5.7.0, to all but EHLO, NOOP, QUIT and STARTTLS."""
    server = start(smtpd_tls_security_level="encrypt")
    with server.client() as smtp:
        smtp.ehlo("client.example")
        code, text = smtp.docmd(command)
    assert (code, text[:5]) == ((530, b"5.7.0") if command != "NOOP" else (250, b"2.0.0"))


def test_a_reply_is_one_packet(start):
    """The lines of EHLO's reply come together: one write, one TLS record."""
    with start().client() as smtp:
        smtp.send(b"EHLO client.example\r\n")
        reply = smtp.sock.recv(4096)
    assert reply.count(b"250-") > 3
    assert reply.endswith(b"250 HELP\r\n")
