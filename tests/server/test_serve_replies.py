"""Replies: an enhanced status code in each (RFC 2034), and the same text in log and connection."""

import contextlib
import os
import re
import signal
import time

import pytest
from serving import begin, replies_until_closed

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


@pytest.mark.parametrize("word", ["FOO", "RCPT TO:<>"])
def test_nothing_runs_after_the_goodbye(host, clique, start, word):
    """What a client has pipelined behind its last error is not run: no mail without its 250."""
    server = start(tls_listen="127.0.0.1:0")
    transaction = ["MAIL FROM:<a@b.example>", "RCPT TO:<a@b.example>", "DATA", "x", "."]
    for errors in (19, 20, 30):
        with server.client(host.client(clique.leaf()), implicit=True) as smtp:
            smtp.ehlo("client.example")
            lines = ["RSET", *[word] * errors, *transaction, "QUIT", ""]
            smtp.send("\r\n".join(lines).encode())
            smtp.file = smtp.sock.makefile("rb")
            told = smtp.file.readlines()
        assert (b"221 2.0.0 Bye\r\n" in told) is (errors == 19)
        assert told[-1].startswith(b"221" if errors == 19 else b"421 4.7.0 Error: too many errors")
        assert sum(line.startswith(b"250 2.0.0 Ok: delivered") for line in told) == (errors == 19)
    assert len(server.messages()) == 1
    server.tell(signal.SIGTERM)
    assert server.finish() == 0
    log = "".join(server.lines)
    assert log.count("too many errors from unknown[127.0.0.1]") == 2
    assert "Traceback" not in log


def test_nothing_is_delivered_after_the_goodbye(host, clique, start):
    """A message whose time is over while the server still reads it is not taken without a 250.

    Each is in the server's buffers as a whole when the server stands still for more than its time.
    """
    server = start(tls_listen="127.0.0.1:0", smtpd_timeout="3s")
    client = host.client(clique.leaf())
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(server.client(client, implicit=True)) for _ in range(8)]
        for smtp in crowd:
            begin(smtp, data=True)
        for smtp in crowd:
            smtp.send(b"\r\n" * 60_000 + b".\r\n")
        time.sleep(0.3)  # this is no synchronisation: sooner or later, the test proves less
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        time.sleep(3.2)
        os.kill(worker, signal.SIGCONT)
        time.sleep(1.5)  # deaf: where TLS is closed at both ends, nothing more is read
        codes = [code for smtp in crowd for code in replies_until_closed(smtp)]
    server.tell(signal.SIGTERM)
    assert server.finish() == 0
    assert 421 in codes
    assert len(server.messages()) == codes.count(250)


def test_who_pipelines_does_not_keep_others_waiting(host, clique, start, tmp_path):
    """Another client gets its turn amid many commands that have come at once, as the log shows."""
    (tmp_path / "names").write_text("mx.partner.example OK\n")
    (tmp_path / "ca.pem").write_bytes(clique.root.pem)
    files = {"relay_clientnames": tmp_path / "names", "smtpd_tls_CAfile": tmp_path / "ca.pem"}
    server = start(tls_trust_server_ccerts="yes", **files)
    partner = host.client(clique.leaf(names=["mx.partner.example"]))
    (worker,) = server.workers()
    with begin(server.client(partner)) as many, begin(server.client()) as one:
        os.kill(worker, signal.SIGSTOP)  # until it has what both have sent
        many.send(b"RCPT TO:<b@mx.example>\r\n" * 500)
        one.send(b"RCPT TO:<b@mx.example>\r\n")
        os.kill(worker, signal.SIGCONT)
        for _ in range(500):
            assert _reply(many)[0][:3] == b"250"
        assert _reply(one)[0][:3] == b"554"
    server.tell(signal.SIGTERM)
    assert server.finish() == 0
    words = [
        word for line in server.lines for word in ("permit: RCPT", "reject: RCPT") if word in line
    ]
    assert words[2:].index("reject: RCPT") < 400  # the first two are of begin()


def test_nothing_runs_after_the_last_transaction(host, clique, start, tmp_path):
    """At shutdown, what a client has pipelined behind its transaction is not run either."""
    (tmp_path / "names").write_text("mx.partner.example OK\n")
    (tmp_path / "ca.pem").write_bytes(clique.root.pem)
    files = {"relay_clientnames": tmp_path / "names", "smtpd_tls_CAfile": tmp_path / "ca.pem"}
    server = start(tls_listen="127.0.0.1:0", tls_trust_server_ccerts="yes", **files)
    partner = host.client(clique.leaf(names=["mx.partner.example"]))
    idle = server.client()
    with begin(server.client(partner, implicit=True), data=True) as smtp:
        smtp.send(b"x\r\n")
        server.tell(signal.SIGTERM)
        assert replies_until_closed(idle) == [421]  # so the worker knows
        lines = [".", "MAIL FROM:<a@b.example>", "RCPT TO:<a@b.example>", "DATA", "y", ".", ""]
        smtp.send("\r\n".join(lines).encode())
        told = [_reply(smtp)[-1] for _ in range(2)]
    idle.close()
    assert [line[:3] for line in told] == [b"250", b"421"]
    assert server.finish() == 0
    assert len(server.messages()) == 1
    assert "".join(server.lines).count("permit: RCPT") == 1


def test_a_client_s_text_is_one_word_of_the_log(start, clique, tmp_path):
    """It cannot pass for another field."""
    (tmp_path / "names").write_text("")
    (tmp_path / "ca.pem").write_bytes(clique.root.pem)
    files = {"relay_clientnames": tmp_path / "names", "smtpd_tls_CAfile": tmp_path / "ca.pem"}
    server = start(**files)
    with server.client() as smtp:
        smtp.docmd("EHLO x> proto=ESMTP helo=<y")
        smtp.docmd('MAIL FROM:<"a b"@b.example>')
        assert smtp.docmd("RCPT TO:<a@b.example>")[0] == 554
    server.wait_for(r'from=<"a.b"@b.example> to=<a@b.example> proto=ESMTP helo=<x\?\?proto=ESMTP\?')


def test_a_reply_fits(start):
    """A line has 512 octets at most, whatever it quotes (RFC 5321, 4.5.3.1.5)."""
    with start().client() as smtp:
        smtp.ehlo("client.example")
        for line in ("X" * 500, "HELP " + "X" * 500, "MAIL FROM:<" + "x" * 490 + ">"):
            smtp.send(f"{line}\r\n".encode())
            assert len(_reply(smtp)[-1]) <= 512


def test_refusals_are_logged(start):
    """Also aiosmtpd's own, of clients without TLS; with the text of the reply."""
    server = start(smtpd_tls_security_level="encrypt")
    with server.client() as smtp:
        smtp.ehlo("client.example")
        code, text = smtp.docmd("MAIL FROM:<a@b.example>")
    server.wait_for(f"reject: command from unknown.127.0.0.1.: {code} {text.decode()}; ")


def test_too_large_is_logged(start):
    """Whether the client says so, or sends it."""
    server = start(message_size_limit="100")
    with server.client() as smtp:
        smtp.ehlo("client.example")
        code, text = smtp.docmd("MAIL FROM:<a@b.example> SIZE=101")
        server.wait_for(f"reject: command from unknown.127.0.0.1.: {code} {text.decode()}; ")
        smtp.docmd("MAIL FROM:<a@b.example>")
        smtp.docmd("RCPT TO:<a@b.example>")
        assert smtp.data(b"x" * 200)[0] == 552
    server.wait_for("reject: DATA from unknown.127.0.0.1.: 552 ")
