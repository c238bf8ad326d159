"""``ccert serve``: what becomes of a message, and what a client's words cannot do."""

import email
import email.policy
import re

import pytest
from serving import MESSAGE, raw, send, serving


def test_headers(server, host, clique):
    """The message begins with who sent it to whom, and from where, in Postfix's words."""
    with server.client(host.client(clique.leaf())) as smtp:
        smtp.ehlo("client.example")
        smtp.sendmail("a@client.example", ["b@mx.example", "c@mx.example"], MESSAGE)
    identifier = server.wait_for(r"([0-9A-F]{12}): client=")[1]
    expected = rf"""Return-Path: <a@client.example>
Delivered-To: b@mx.example
Delivered-To: c@mx.example
Received: from client.example \(unknown \[127.0.0.1\]\)
\t\(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 \(256/256 bits\)
\t key-exchange \w+ server-signature ECDSA \(prime256v1\) server-digest SHA256
\t client-signature ECDSA \(prime256v1\) client-digest SHA256\)
\t\(Client CN "", Issuer "" \(not verified\)\)
\tby mx.example \(ccert\) with ESMTPS id {identifier};
\t\w+, \d+ \w+ \d+ \d\d:\d\d:\d\d [+-]\d{{4}}
From: <a@client.example>
"""
    *_, message = server.messages()
    assert re.match(expected, message.decode())


def test_headers_without_tls(server):
    """Without TLS, and with HELO, the header does not pretend anything; one recipient is named."""
    with server.client() as smtp:
        smtp.helo("client.example")
        send(smtp)
    server.wait_for("trust=None")
    *_, message = server.messages()
    received = email.message_from_bytes(message, policy=email.policy.default)["Received"]
    assert re.fullmatch(
        r"from client.example \(unknown \[127.0.0.1\]\)\s+by mx.example \(ccert\) with SMTP id "
        r"\w{12}\s+for <b@mx.example>; .*",
        received,
    )


CONTENT = {
    "dots": b"S: x\r\n\r\n.\r\n..\r\n.a\r\n. \r\n",
    "octets": bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n",
    "long lines": b"x" * 100_000 + b"\r\n." + b"y" * 70_000 + b".\r\n",
    "limit": b"".join(b"x" * (2**16 + n) + b".\r\n" for n in range(-4, 4)),
    "long dots": b"." * 200_000 + b"\r\n",
    "lone CR and LF": b"a\rb\nc\r\r\n\n.\n.\r.\r\n",
    "smuggled end": b"a\n.\r\nMAIL FROM:<x@y>\r\n",
    "empty": b"",
    "empty lines": b"\r\n" * 300_000,
    "large": b"0123456789abcdef\r\n" * 100_000,
}


@pytest.mark.parametrize("kind", CONTENT)
def test_content(server, kind):
    """What arrives is what was sent, octet by octet, but for CRLF, which is LF in a Maildir.

    What does not begin with a header field is set apart from the headers on top by an empty line.
    """
    content = CONTENT[kind]
    stuffed = b"".join(
        b"." + line if line.startswith(b".") else line for line in re.split(rb"(?<=\r\n)", content)
    )
    with server.client() as smtp:
        smtp.helo("x")
        for command in ("MAIL FROM:<a@client.example>", "RCPT TO:<b@mx.example>", "DATA"):
            smtp.docmd(command)
        smtp.send(stuffed + b".\r\n")
        code, _ = smtp.getreply()
        assert code == 250
        assert smtp.noop()[0] == 250
    *_, message = server.messages()
    headers, _, body = message.partition(re.search(rb"\tfor <b@mx.example>;.*\n", message)[0])
    assert headers.startswith(b"Return-Path: <a@client.example>\n")
    below = b"" if content[:1] in {b"", b"\r"} or content.startswith(b"S: x") else b"\n"
    assert body == below + content.replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    "beginning",
    ['\t(Client CN "x" (verified OK))', "  x", "\x0bx: y", ": x", "no header", "\xa0: x"],
)
def test_a_message_cannot_continue_our_header(server, beginning):
    """A first line that is no header field is the message's body; our headers end above it."""
    with server.client() as smtp:
        smtp.ehlo("x")
        send(smtp, f"{beginning}\r\nSubject: x\r\n\r\nHello.\r\n".encode("latin-1"))
    *_, message = server.messages()
    parsed = email.message_from_bytes(message)
    assert len(parsed.get_all("Received")) == 1
    assert "verified" not in parsed["Received"]
    assert parsed["Subject"] is None
    assert parsed.get_payload(decode=True).startswith(beginning.encode("latin-1") + b"\n")


@pytest.mark.parametrize("beginning", ["Subject: x", "Subject \t: x", "X:", "\r\nSubject: x"])
def test_header_fields_are_left_alone(server, beginning):
    """What begins as messages do gets nothing between it and our headers."""
    with server.client() as smtp:
        smtp.ehlo("x")
        send(smtp, f"{beginning}\r\n\r\nHello.\r\n".encode())
    *_, message = server.messages()
    text = beginning.replace("\r\n", "\n").encode()
    assert re.search(rb"\n\tfor <b@mx.example>;.*\n" + text + rb"\n\nHello.\n$", message)


def test_null_sender(server):
    """Bounces, which have no sender, are taken, as RFC 5321, 4.5.5, demands; so is postmaster."""
    with server.client() as smtp:
        smtp.sendmail("", ["postmaster"], MESSAGE)
    server.wait_for("from=<>, to=<postmaster>")
    *_, message = server.messages()
    assert message.startswith(b"Return-Path: <>\nDelivered-To: postmaster\nReceived: ")


@pytest.mark.parametrize(
    "path",
    [
        "<=?utf-8?q?=0D=0AX-Evil:yes?=@client.example>",
        '<"=?utf-8?q?a=0D=0AX-Evil:yes?="@client.example>',
        '<"a\rX-Evil:yes"@client.example>',
        "<a\x0bb@client.example>",
        "<a@client.example\x85>",
        "<",
        "<a@client.example",
        "<a@>",
    ],
)
def test_addresses_cannot_inject(server, path):
    """No address can begin another header; those of aiosmtpd's own parser could."""
    with server.client() as smtp:
        smtp.ehlo("client.example")
        code = raw(smtp, f"MAIL FROM:{path}")
        if code == 250:  # an encoded word is an atom like any other
            raw(smtp, f"RCPT TO:{path}")
            assert smtp.data(MESSAGE)[0] == 250
            *_, message = server.messages()
            assert message.startswith(f"Return-Path: {path}\nDelivered-To: {path[1:-1]}\n".encode())
            assert email.message_from_bytes(message)["X-Evil"] is None
        else:
            assert code in {500, 553}


def test_helo_cannot_inject(server):
    """What a client calls itself cannot end the header or its comment, nor begin a log line."""
    with server.client() as smtp:
        raw(smtp, 'HELO x) (y "<a@b>;\rX-Evil:\x0bz\x00\x1b[2J')
        raw(smtp, "MAIL FROM:<a@client.example>")
        raw(smtp, "RCPT TO:<b@mx.example>")
        assert smtp.data(MESSAGE)[0] == 250
    *_, message = server.messages()
    assert b"Received: from x???y???a?b???X-Evil:?z??[2J (unknown [127.0.0.1])\n" in message


def test_log_lines_are_one_line(identity, tmp_path):
    """Control characters of a client do not reach the log, nor does a client begin a line of it."""
    with serving(tmp_path / "Mail", *identity, "--verbose") as server:
        with server.client() as smtp:
            smtp.ehlo("x")
            raw(smtp, "FROBNICATE\x1b[2J\rX")
            raw(smtp, "VRFY <\x1b[2J\rX")
            raw(smtp, "MAIL FROM:<a\x1b[2J@\rX>")
            send(smtp)
        server.wait_for("delivered as")
    assert any("FROBNICATE" in line for line in server.lines)
    assert all(re.match(r"[\d-]+ [\d:,]+ ccert\[\d+\]: ", line) for line in server.lines)
    assert all(line.removesuffix("\n").isprintable() for line in server.lines)
