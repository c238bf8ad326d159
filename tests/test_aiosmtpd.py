"""CcertMixin in a real aiosmtpd server, with smtplib as the client."""

import dataclasses
import logging
import smtplib
import subprocess
import sys

import pytest
from smtp_sessions import TIMEOUT, Handler, connected, serving

import ccert
from ccert import Trust
from ccert.aiosmtpd import CcertMixin

REASON = (
    "certificate verification failed for unknown[127.0.0.1]: "
    "not designated for use as a client certificate"
)


@pytest.fixture(params=[False, True], ids=["starttls", "implicit"])
def implicit(request) -> bool:
    return request.param


def _visit(handler, context, client, *, implicit: bool):
    """Say EHLO and QUIT; return what the handler's session knows."""
    with serving(handler, context, implicit=implicit) as port:
        with connected(port, client, implicit=implicit) as smtp:
            smtp.ehlo()
            smtp.quit()
        return handler.session


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize("who", ["member", "nobody"])
def test_session_knows_its_peer(host, clique, implicit, setting, who, caplog):
    """session.ccert is the verdict, and Postfix's line is logged with the facts beside it."""
    chain = clique.leaf() if who == "member" else None
    context = host.context(clique.root.pem, trust_server_ccerts=setting)
    with caplog.at_level(logging.INFO, "ccert"):
        session = _visit(Handler(), context, host.client(chain), implicit=implicit)
    peer = session.ccert
    trust = {"nobody": Trust.ANONYMOUS, "member": Trust.TRUSTED if setting else Trust.UNTRUSTED}
    assert peer.trust is trust[who]
    *reasons, line = [
        record
        for record in caplog.records
        if record.name == "ccert" and "subject_CN=" not in record.msg
    ]
    keys = [
        r.getMessage()
        for r in caplog.records
        if f"pkey fingerprint={peer.pubkey_fingerprint}" in r.getMessage()
    ]
    assert len(keys) == (who == "member")
    assert line.getMessage() == peer.summary("unknown[127.0.0.1]")
    assert (line.ccert_trust, line.ccert_client) == (peer.trust.value, "unknown[127.0.0.1]")
    assert line.ccert_pubkey_fingerprint == peer.pubkey_fingerprint
    assert line.encryption_protocol == peer.protocol
    assert [reason.getMessage() for reason in reasons] == (
        [REASON] if peer.trust is Trust.UNTRUSTED else []
    )


def test_dry_run(host, clique, implicit, caplog):
    """Observing, the log tells who would be trusted, with the key to trust directly instead."""
    context = host.context(clique.root.pem, trust_server_ccerts="observe")
    client = host.client(clique.leaf())
    with caplog.at_level(logging.WARNING, "ccert"):
        peer = _visit(Handler(), context, client, implicit=implicit).ccert
    assert peer.trust is Trust.UNTRUSTED
    (told,) = (record.getMessage() for record in caplog.records if record.name == "ccert")
    assert told == (
        "trust_server_ccerts would make unknown[127.0.0.1] Trusted: no names, "
        f"subject 'mx.example', issuer 'Clique CA', public key {peer.pubkey_fingerprint}"
    )


def test_dry_run_of_what_stays(host, clique, implicit, caplog):
    """Who would be as trusted as before is not mentioned."""
    context = host.context(clique.root.pem, trust_server_ccerts="observe")
    chain = clique.leaf()
    stranger = dataclasses.replace(chain, sent=chain.sent[:1])
    with caplog.at_level(logging.WARNING, "ccert"):
        for client in (host.client(stranger), host.client()):
            _visit(Handler(), context, client, implicit=implicit)
    assert not [record for record in caplog.records if record.name == "ccert"]


COMMANDS = ["EHLO a", "HELO a", "MAIL FROM:<a@a.example>", "NOOP", "RSET", "VRFY a", "DATA"]


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
def test_require_trusted_after_starttls(host, clique, setting):
    """RFC 3207, 4.1: 554 to every command but QUIT, unless the client is trusted."""
    context = host.context(clique.root.pem, trust_server_ccerts=setting)
    with (
        serving(Handler(require_trusted=True), context) as port,
        connected(port, host.client(clique.leaf()), implicit=False) as smtp,
    ):
        codes = {smtp.docmd(command)[0] for command in COMMANDS}
        assert smtp.docmd("QUIT")[0] == 221
    assert (codes == {554}) is not setting
    assert (554 in codes) is not setting


@pytest.mark.parametrize("greeting", ["EHLO a", "HELO a"])
@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
def test_require_trusted_with_implicit_tls(host, clique, setting, greeting):
    """There, too, mail is taken from trusted clients only."""
    context = host.context(clique.root.pem, trust_server_ccerts=setting)
    with (
        serving(Handler(require_trusted=True), context, implicit=True) as port,
        connected(port, host.client(clique.leaf()), implicit=True) as smtp,
    ):
        assert smtp.docmd(greeting)[0] == (250 if setting else 554)
        assert smtp.docmd("MAIL FROM:<a@a.example>")[0] == (250 if setting else 503)
        assert smtp.docmd("QUIT")[0] == 221


@pytest.mark.parametrize("greeting", ["EHLO a", "HELO a"])
def test_require_trusted_without_tls(host, clique, greeting):
    """RFC 3207, 4: 530, unless nothing is required."""
    context = host.context(clique.root.pem)
    for required in (False, True):
        handler = Handler(require_trusted=required)
        with (
            serving(handler, context) as port,
            smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as smtp,
        ):
            assert smtp.docmd(greeting)[0] == 250
            assert smtp.docmd("MAIL FROM:<a@a.example>")[0] == (530 if required else 250)
            smtp.quit()
        assert handler.session.ccert is None


def test_stranger_is_refused(host, clique, implicit):
    """Nobody gets in by any certificate, or by none, when trust is required."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    chain = clique.leaf()
    stranger = dataclasses.replace(chain, sent=chain.sent[:1])
    for client in (host.client(stranger), host.client()):
        with (
            serving(Handler(require_trusted=True), context, implicit=implicit) as port,
            connected(port, client, implicit=implicit) as smtp,
            pytest.raises(smtplib.SMTPResponseException),
        ):
            smtp.sendmail("a@a.example", ["b@mx.example"], "x")


class _Cooperating:
    """A base with hooks of its own, which refuse."""

    def handle_STARTTLS(self, server, session, envelope) -> bool:  # noqa: ARG002
        return False

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: ARG002
        session.host_name = hostname
        return [*responses[:-1], "250 by the base"]

    async def handle_HELO(self, server, session, envelope, hostname):  # noqa: ARG002
        session.host_name = hostname
        return "250 by the base"

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: ARG002
        return "550 by the base"


class _Both(CcertMixin, _Cooperating):
    pass


def test_bases_have_their_say(host, clique):
    """Hooks of the other bases are called where the mixin has nothing against it."""
    context = host.context(clique.root.pem)
    with serving(_Both(), context) as port:
        with smtplib.SMTP("127.0.0.1", port, timeout=TIMEOUT) as smtp:
            assert smtp.docmd("EHLO a")[1].endswith(b"by the base")
            assert smtp.docmd("HELO a") == (250, b"by the base")
            assert smtp.docmd("MAIL FROM:<a@a.example>") == (550, b"by the base")
        with connected(port, host.client(), implicit=False) as smtp:
            assert smtp.docmd("EHLO a")[0] == 554


def test_context_of_somebody_else(host, clique, implicit, caplog):
    """Where nothing can be told of a client with TLS it does not get in; the log says why."""
    with caplog.at_level(logging.ERROR, "ccert"):
        context = host.stock(clique.root.pem)
        with (
            serving(Handler(), context, implicit=implicit) as port,
            connected(port, host.client(), implicit=implicit) as smtp,
        ):
            assert smtp.docmd("EHLO a")[0] == 421
            assert smtp.docmd("HELO a")[0] == 421
            assert smtp.docmd("MAIL FROM:<a@a.example>")[0] == 503
            smtp.quit()
    assert all("ccert was not attached" in record.getMessage() for record in caplog.records)


def test_extra_is_named():
    """Without aiosmtpd the import error says which extra to install."""
    code = "import sys; sys.modules['aiosmtpd'] = None; import ccert.aiosmtpd"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    assert done.stderr.splitlines()[-1].endswith("pip install 'ccert[aiosmtpd]'")


def test_package_does_not_need_aiosmtpd():
    """Importing ccert does not import aiosmtpd."""
    code = (
        "import ccert, sys; sys.exit('aiosmtpd' in sys.modules or 'ccert.aiosmtpd' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=TIMEOUT)
    assert ccert.__version__
