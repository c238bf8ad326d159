"""Handler classes with CcertMixin: what cannot work is said when they are made."""

import functools

import pytest
from aiosmtpd.handlers import Mailbox, Sink
from smtp_sessions import connected, serving

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


@pytest.mark.parametrize(
    "hook",
    ["__init__", "handle_STARTTLS", "handle_EHLO", "handle_HELO", "handle_MAIL", "handle_RCPT"],
)
def test_a_hook_that_does_not_call_super(hook):
    """Nobody would be checked: that is an error when the class is defined, not an open relay."""

    def replaced(self, *args) -> str:
        del self, args
        return "250 OK"

    for method in (replaced, staticmethod(replaced), functools.partialmethod(replaced), None):
        with pytest.raises(TypeError, match=rf"class H: {hook}\(\) must call super\(\)"):
            type("H", (CcertMixin,), {hook: method})

    class Right(CcertMixin):
        async def handle_RCPT(self, *args):
            return await super().handle_RCPT(*args)

        async def handle_MAIL(self, *args):
            return await CcertMixin.handle_MAIL(self, *args)

    class Nested(CcertMixin):
        async def handle_RCPT(self, *args):
            async def check():
                return await super(Nested, self).handle_RCPT(*args)

            return await check()

    class Below(Right):
        async def handle_RCPT(self, *args):
            return await Right.handle_RCPT(self, *args)

        @functools.lru_cache  # noqa: B019 - any decorator that tells what it wraps
        def handle_STARTTLS(self, *args):
            return super().handle_STARTTLS(*args)

    assert Right()
    assert Nested()
    assert Below()


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
