"""Any command lines: each gets one well-formed reply, and none an internal error's.

The same clients talk to ``ccert serve`` and to a bare aiosmtpd with CcertMixin.
"""

import logging
import re
import socket

import pytest
import smtp_sessions
from hypothesis import example, given
from hypothesis import strategies as st
from serving import PATIENCE

_REPLY = re.compile(rb"(?:([2-5]\d\d)-[ -~]*\r\n)*([2-5]\d\d) [ -~]*\r\n")
# aiosmtpd quotes what it was told, control characters included
_AS_IT_COMES = re.compile(rb"(?s:([2-5]\d\d)-.*\r\n)*([2-5]\d\d) (?s:.*)\r\n")
_INTERNAL = re.compile(rb"451 4\.3\.0 Error: internal error|500 Error: \(")

_VERB = st.sampled_from(
    ["HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "VRFY", "HELP", "AUTH", "BDAT", "ETRN",
     "mail", "Rcpt", "STARTTLS now", "QUIT now", "X"],
)  # fmt: skip
_PATH = st.sampled_from(
    ["<>", "<a@b.example>", "<@c,@d:a@b>", '<"a b"@c>', "<a@[192.0.2.1]>", "<a@b", "a@b>", "<a@b>>",
     "<=?utf-8?q?a?=@b>", "<<a@b>", "<é@b>", "<" + "a" * 400 + "@b>", "<a@b> SIZE=1", "<a>"],
)  # fmt: skip
_WORD = _PATH | st.sampled_from(
    ["FROM:", "TO:", "from:", "SIZE=x", "SIZE=-1", "SIZE", "BODY=8BITMIME", "BODY=x", "SMTPUTF8",
     "AUTH=<>", "X=Y", "mx.example", "[192.0.2.1]", ":", "PLAIN", "=", "\t", "\0", "\r", "\x85"],
)  # fmt: skip
_COMMAND = st.tuples(_VERB, st.lists(_WORD | st.text(max_size=4), max_size=4)).map(
    lambda parts: " ".join([parts[0], *parts[1]]).encode("utf-8", "replace")
)
_NORMAL = st.sampled_from(
    [b"EHLO client.example", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@mx.example>", b"DATA"]
)
_ADDRESSED = st.tuples(
    st.sampled_from(["MAIL FROM:", "RCPT TO:"]), _PATH, st.just("") | _WORD.map(" ".__add__)
).map(lambda parts: "".join(parts).encode())
_LINE = st.one_of(_NORMAL, _NORMAL, _COMMAND, _ADDRESSED, st.binary(max_size=20)).map(
    lambda line: line.replace(b"\n", b"?")
)
_START = [b"EHLO client.example", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@mx.example>"]


class _Client:
    """Waits for the reply to each line; ``form`` is that of replies."""

    def __init__(self, port: int, form: re.Pattern[bytes]) -> None:
        self.over = False  # the server says that this was its last reply
        self._form = form
        self._socket = socket.create_connection(("localhost", port), PATIENCE)
        self._file = self._socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._socket.close()

    def say(self, line: bytes) -> bytes:
        self._socket.sendall(line + b"\r\n")
        return self.reply()

    def reply(self) -> bytes:
        lines = [self._file.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(self._file.readline())
        reply = b"".join(lines)
        match = self._form.fullmatch(reply)
        assert match, reply
        assert {line[:3] for line in lines} == {match[2]}
        assert not _INTERNAL.search(reply), reply
        self.over = match[2] in {b"221", b"421"} or b"goodbye" in reply
        return match[2]


def _talk(port: int, lines: list[bytes], form: re.Pattern[bytes]) -> None:
    """Say them all; what comes after 354 is a message."""
    with _Client(port, form) as client:
        assert client.reply() == b"220"
        for line in lines:
            code = client.say(line)
            if code == b"354":
                code = client.say(b"Subject: x\r\n\r\n" + line.lstrip(b".") + b"\r\n.")
            if client.over or code == b"220":  # TLS begins
                return
        assert client.say(b"QUIT") == b"221"


@given(st.lists(_LINE, max_size=10).map(_START.__add__) | st.lists(_LINE, max_size=10))
@example([*_START, b"DATA"])
@example([b"MAIL FROM:<=?utf-8?q?=0D=0A?=@b>"])
def test_serve(server, lines):
    """``ccert serve`` answers, whatever is said, and goes on."""
    _talk(server.ports[0], lines, _REPLY)


def test_serve_logs_no_error(server):
    """Nor did it find anything to complain about."""
    while not server.unread.empty():
        server.lines.append(server.unread.get())
    log = "".join(server.lines)
    assert "internal error" not in log
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def mixin(host):
    with smtp_sessions.serving(smtp_sessions.Handler(), host.context()) as port:
        yield port


@given(st.lists(_LINE, max_size=10).map(_START.__add__) | st.lists(_LINE, max_size=10))
@example([*_START, b"DATA"])
def test_mixin(mixin, caplog, lines):
    """So does aiosmtpd with CcertMixin, whose hooks never raise."""
    caplog.clear()
    _talk(mixin, lines, _AS_IT_COMES)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []
