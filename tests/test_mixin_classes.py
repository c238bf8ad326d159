"""Handler classes with CcertMixin: what cannot work is said when they are made."""

import asyncio
import contextlib
import copy
import functools
import pickle
import smtplib

import pki
import pytest
from aiosmtpd.handlers import Mailbox, Sink
from aiosmtpd.smtp import SMTP
from smtp_sessions import connected, serving

import ccert
from ccert import postfix
from ccert.aiosmtpd import CcertMixin


class _Base:
    """Hooks as in aiosmtpd before 1.3: EHLO has four arguments."""

    def __init__(self) -> None:
        self.greeted = ""

    async def handle_EHLO(self, _server, session, _envelope, hostname) -> str:
        self.greeted = session.host_name = hostname
        return "250 HELP and more"


class OldHandler(CcertMixin, _Base):
    """A handler whose base has the old hook."""


def test_old_ehlo_hook(host, clique):
    """It works as in aiosmtpd: its answer is the last line."""
    handler = OldHandler()
    context = host.context(clique.root.pem)
    client = host.client(clique.leaf())
    with serving(handler, context) as port, connected(port, client, implicit=False) as smtp:
        code, text = smtp.ehlo("client.example")
    assert code == 250
    assert text.splitlines()[-1] == b"HELP and more"
    assert text.splitlines()[1].startswith(b"SIZE")
    assert handler.greeted == "client.example"


@pytest.mark.parametrize("base", [Mailbox, _Base, Sink])
def test_order_of_bases(base):
    """The mixin stands before other bases with hooks, or it would never be asked."""
    if base is Sink:  # it defines neither hooks nor __init__ that could hide the mixin's
        type("H", (base, CcertMixin), {})
        return
    with pytest.raises(TypeError, match=rf"class H: .* class H\(CcertMixin, {base.__name__}\)"):
        type("H", (base, CcertMixin), {})
    right = type("Right", (CcertMixin, base), {})
    other = Mailbox if base is _Base else _Base
    with pytest.raises(TypeError, match="CcertMixin must stand before"):
        type("Deeper", (other, right), {})


class _Own(CcertMixin):
    """Accepts every recipient, whatever the mixin says."""

    async def handle_RCPT(self, _server, _session, envelope, address, _options) -> str:
        assert len(envelope.ccert_instance) == 32  # without a policy service, too
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 mine"


class _DeafToSuper(CcertMixin):
    async def handle_RCPT(self, *args) -> str:
        await super().handle_RCPT(*args)
        return "250 2.1.5 mine"


class _AssignedLater(CcertMixin):
    pass


_AssignedLater.handle_RCPT = _Own.handle_RCPT


class _ByAnInstance(CcertMixin):
    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.handle_RCPT = functools.partial(_Own.handle_RCPT, self)


class _Partial(CcertMixin):
    handle_RCPT = functools.partialmethod(_Own.handle_RCPT)


class _Under(_Own):
    pass


@pytest.mark.parametrize(
    "kind", [_Own, _DeafToSuper, _AssignedLater, _ByAnInstance, _Partial, _Under]
)
def test_checks_come_before_every_hook(host, clique, tmp_path, kind):
    """A hook of one's own cannot let in whom a table does not, however it got there."""
    (tmp_path / "names").write_text("mx.partner.example OK\n")
    handler = kind(relay_clientnames=ccert.NameTable(tmp_path / "names"))
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    answers = {}
    with serving(handler, context) as port:
        for name in ("mx.partner.example", "mx.stranger.example"):
            client = host.client(clique.leaf(names=[name]))
            with connected(port, client, implicit=False) as smtp:
                smtp.ehlo("client.example")
                smtp.mail("a@b.example")
                answers[name] = smtp.rcpt("b@mx.example")
    assert answers["mx.partner.example"] == (250, b"2.1.5 mine")
    assert answers["mx.stranger.example"][0] == 554


class _Lenient(CcertMixin):
    """Accepts whatever comes."""

    def handle_STARTTLS(self, *_args) -> bool:
        return True

    async def handle_EHLO(self, _server, session, _envelope, hostname, responses):
        session.host_name = hostname
        return responses

    async def handle_HELO(self, _server, session, _envelope, hostname) -> str:
        session.host_name = hostname
        return "250 mx.example"

    async def handle_MAIL(self, _server, _session, envelope, address, _options) -> str:
        envelope.mail_from = address
        return "250 2.1.0 mine"


class _Named(CcertMixin):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    async def handle_MAIL(self, _server, _session, envelope, address, _options) -> str:
        envelope.mail_from = address
        return f"250 2.1.0 {self.name}"


def _pickled(handler: _Named) -> _Named:
    return pickle.loads(pickle.dumps(handler))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, _pickled])
def test_a_copy_runs_its_own_hooks(host, clique, copied):
    """A handler that has served can be copied; each runs its own hooks, behind its own checks."""
    context = host.context(clique.root.pem)
    replies = []
    handler = _Named("original")
    for name in ("original", "copy", "copy of the copy"):
        handler.name = name
        with serving(handler, context) as port:
            smtp = smtplib.SMTP("127.0.0.1", port, timeout=20)
            smtp.ehlo("client.example")
            replies.append(smtp.docmd("MAIL FROM:<a@b.example>")[1].decode())
            smtp.close()
        handler = copied(handler)
    assert replies == ["2.1.0 original", "2.1.0 copy", "2.1.0 copy of the copy"]


@pytest.mark.parametrize(
    ("hook", "refusal"), [("EHLO", 554), ("HELO", 554), ("STARTTLS", 554), ("MAIL", 530)]
)
def test_checks_come_before_other_hooks(host, clique, hook, refusal):
    """require_trusted holds whatever the class's own hook says; without it, the hook decides."""
    implicit = hook in {"EHLO", "HELO"}
    replies = []
    for required in (True, False):
        client = host.client(clique.leaf(eku=[pki.EMAIL]))
        handler, context = _Lenient(require_trusted=required), host.context(clique.root.pem)
        with serving(handler, context, implicit=implicit) as port:
            if hook == "MAIL":  # without TLS
                smtp = smtplib.SMTP("127.0.0.1", port, timeout=20)
                smtp.ehlo("client.example")
                replies.append(smtp.docmd("MAIL FROM:<a@b.example>")[0])
                smtp.close()
                continue
            with connected(port, client, implicit=implicit) as smtp:
                command = f"{hook} client.example" if implicit else "NOOP"
                replies.append(smtp.docmd(command)[0])
    assert replies == [refusal, 250]


def test_an_init_that_does_not_call_super():
    """Nothing would be checked: aiosmtpd cannot even begin."""

    class Forgets(CcertMixin):
        def __init__(self) -> None:
            pass

    with (
        contextlib.closing(asyncio.new_event_loop()) as loop,
        pytest.raises(TypeError, match=r"Forgets.__init__\(\) must call super"),
    ):
        SMTP(Forgets(), loop=loop)


def test_unknown_arguments(tmp_path):
    """They are named, whether the next base takes any or not."""

    class Alone(CcertMixin):
        pass

    class InFront(CcertMixin, Mailbox):
        pass

    with pytest.raises(TypeError, match=r"Alone\(\) got unexpected arguments: require_trust"):
        Alone(require_trust=True)
    with pytest.raises(TypeError, match=r"Alone\(\) got unexpected arguments: 'maildir'"):
        Alone("maildir")
    with pytest.raises(TypeError, match="require_trust"):
        InFront(tmp_path / "maildir", require_trust=True)
    assert InFront(tmp_path / "maildir", require_trusted=True)
    for value in ("no", 1, None):
        with pytest.raises(TypeError, match="require_trusted must be True or False"):
            Alone(require_trusted=value)


def test_a_path_for_a_table():
    """The message shows how to make the table."""
    with pytest.raises(TypeError, match="relay_clientnames: make a NameTable of 'names' first"):
        CcertMixin(relay_clientnames="names")
    with pytest.raises(TypeError, match="policy_service: make a PolicyService of 'inet:"):
        CcertMixin(policy_service="inet:127.0.0.1:10023")


def test_repr_of_a_policy_service():
    """It tells where the service is and what happens without it."""
    service = postfix.PolicyService("inet:127.0.0.1:10023", timeout=5)
    assert repr(service) == (
        "PolicyService('inet:127.0.0.1:10023', timeout=5, max_idle=300.0, "
        "default_action='451 4.3.5 Server configuration problem')"
    )
