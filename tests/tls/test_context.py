"""Contexts: what attaching changes, what it keeps, and what it refuses, in words that help."""

import gc
import ssl
import weakref

import pairs
import pki
import pytest

import ccert
from ccert import CcertError, ConfigError, Trust

# -- what attaching keeps --


def test_server_context_is_an_ssl_context(host, clique):
    """Everything that takes an ssl.SSLContext takes ours; CAs are those given and no others."""
    context = host.context(clique.root.pem)
    assert isinstance(context, ssl.SSLContext)
    assert context.protocol is ssl.PROTOCOL_TLS_SERVER
    assert context.cert_store_stats()["x509"] == 1
    assert host.context().cert_store_stats()["x509"] == 0
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    ("mode", "verify_mode"),
    [("ask", ssl.CERT_OPTIONAL), ("optional", ssl.CERT_OPTIONAL), ("require", ssl.CERT_REQUIRED)],
)
def test_mode(host, clique, mode, verify_mode):
    """client_certs shows in ssl's own verify_mode."""
    assert host.context(clique.root.pem, client_certs=mode).verify_mode is verify_mode


def test_callback_survives_a_new_verify_mode(host, clique, version):
    """Setting verify_mode, as ssl does it, leaves the callback in place."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    context.minimum_version = context.maximum_version = version
    client = host.client(clique.leaf())
    for mode in (ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED):
        context.verify_mode = mode
        peer = ccert.peer(pairs.handshake(context, client).server.tls)
        assert peer.trusted_as_server == (mode is not ssl.CERT_NONE)


@pytest.mark.parametrize("usages", [[pki.EMAIL], [pki.SERVER]], ids=["email", "server"])
def test_required_after_ask_fails_handshakes(host, clique, usages, version):
    """Asking goes on only while the mode is plain: CERT_REQUIRED afterwards is obeyed."""
    context = host.context(clique.root.pem)
    context.minimum_version = context.maximum_version = version
    client = host.client(clique.leaf(eku=usages))
    assert pairs.handshake(context, client).completed
    context.verify_mode = ssl.CERT_REQUIRED
    assert not pairs.handshake(context, client).completed
    assert not pairs.handshake(context, host.client()).completed


@pytest.mark.parametrize("mode", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED], ids=["optional", "req"])
def test_attach_keeps_the_mode(host, clique, mode, version):
    """attach() without client_certs never asks; what was refused stays refused but for the swap."""
    stranger = host.client(clique.leaf(eku=[pki.EMAIL]))
    member = host.client(clique.leaf())
    let_in = {}
    for name, settings in {
        "stock": None,
        "off": {"trust_server_ccerts": False},
        "on": {"trust_server_ccerts": True},
    }.items():
        context = host.stock(clique.root.pem)
        context.verify_mode = mode
        context.minimum_version = context.maximum_version = version
        if settings:
            ccert.attach(context, **settings)
        assert context.verify_mode is mode
        clients = (stranger, member, host.client())
        let_in[name] = [pairs.handshake(context, client).completed for client in clients]
    anonymous = mode is ssl.CERT_OPTIONAL
    assert let_in["stock"] == let_in["off"] == [False, False, anonymous]
    assert let_in["on"] == [False, True, anonymous]


def test_attach_again_keeps_ask_until_the_mode_changes(host, clique):
    """Attaching anew without client_certs keeps "ask", unless verify_mode says otherwise since."""
    context = host.context(clique.root.pem)
    client = host.client(clique.leaf())
    ccert.attach(context)
    assert pairs.handshake(context, client).completed
    context.verify_mode = ssl.CERT_REQUIRED
    ccert.attach(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    assert not pairs.handshake(context, client).completed


def test_detach_gives_back_stock_openssl(host, clique, version):
    """After detach() the context does what it did before, and says that it is not attached."""
    context = host.stock(clique.root.pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    before = {
        "options": context.options,
        "num_tickets": context.num_tickets,
        "classes": (context.sslobject_class, context.sslsocket_class),
    }
    context.minimum_version = context.maximum_version = version
    client = host.client(clique.leaf())
    ccert.attach(context, trust_server_ccerts=True)
    assert pairs.handshake(context, client).completed
    ccert.detach(context)
    refused = pairs.handshake(context, client)
    assert refused.server.error.verify_code == 26
    assert before == {
        "options": context.options,
        "num_tickets": context.num_tickets,
        "classes": (context.sslobject_class, context.sslsocket_class),
    }
    for call in (ccert.stats, ccert.detach):
        with pytest.raises(ConfigError, match="not attached"):
            call(context)


def test_an_applications_own_classes_are_kept(host, clique):
    """An sslobject_class of the application's is subclassed, and given back by detach()."""

    class Own(ssl.SSLObject):
        greeting = "hello"

    context = host.stock(clique.root.pem)
    context.sslobject_class = Own
    ccert.attach(context, client_certs="ask")
    tls = pairs.handshake(context, host.client(clique.leaf())).server.tls
    assert isinstance(tls, Own)
    assert tls.greeting == "hello"
    assert ccert.peer(tls).trust is Trust.UNTRUSTED
    ccert.detach(context)
    assert context.sslobject_class is Own


def test_failed_attach_changes_nothing(host, clique):
    """Where an application's class refuses to be subclassed, the context stays as it was."""

    class Final(ssl.SSLSocket):
        def __init_subclass__(cls) -> None:
            raise TypeError("final")

    context = host.stock(clique.root.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    context.sslsocket_class = Final
    with pytest.raises(TypeError, match="final"):
        ccert.attach(context, client_certs="ask", trust_server_ccerts=True)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not pairs.handshake(context, host.client(clique.leaf())).completed


def test_contexts_that_compare_equal_are_two(host, clique):
    """The setting of one context never becomes another's."""

    class Equal(ssl.SSLContext):
        def __eq__(self, other) -> bool:
            return isinstance(other, Equal)

        def __hash__(self) -> int:
            return 1

    contexts = [Equal(ssl.PROTOCOL_TLS_SERVER) for _ in range(2)]
    for context, setting in zip(contexts, (False, True), strict=True):
        context.load_cert_chain(host.certfile, host.keyfile)
        context.load_verify_locations(host.anchors(clique.root.pem))
        ccert.attach(context, client_certs="ask", trust_server_ccerts=setting)
    client = host.client(clique.leaf())
    told = [ccert.peer(pairs.handshake(context, client).server.tls) for context in contexts]
    assert [peer.trusted_as_server for peer in told] == [False, True]


def test_required_after_a_switch(host, clique, version):
    """An sni_callback that leads from "ask" to a context made stricter since lets nobody in."""
    strict = host.context(clique.root.pem)
    strict.verify_mode = ssl.CERT_REQUIRED
    lax = host.context(clique.root.pem)
    lax.minimum_version = lax.maximum_version = version

    def switch(tls, _name, _context) -> None:
        tls.context = strict

    client = host.client(clique.leaf(eku=[pki.EMAIL]))
    assert pairs.handshake(lax, client).completed
    lax.sni_callback = switch
    assert not pairs.handshake(lax, client).completed


def test_too_many_names(host):
    """CAs whose names do not fit into a CertificateRequest are refused at start, not by clients."""
    names = [f"{n:03} {'x' * 50}" for n in range(900)]
    key = pki.new_key()
    roots = b"".join(pki.issue(name, ca=True, key=key).pem for name in names)
    with pytest.raises(ConfigError, match="naming the trusted CAs to clients: length too long"):
        host.context(roots)


def test_peer_within_its_own_sni_callback(host, clique):
    """Too early is said, whatever the object."""
    told = []

    def look(tls, _name, _context) -> None:
        try:
            ccert.peer(tls)
        except CcertError as error:
            told.append(str(error))

    context = host.context(clique.root.pem)
    context.sni_callback = look
    pairs.handshake(context, host.client())
    assert told == ["the TLS handshake has not finished, or has failed"]


def test_ca_names_are_sent(host, clique, tmp_path):
    """The CertificateRequest names the trusted CAs, TRUSTED CERTIFICATE blocks included."""
    trusted = pki.with_trust(clique.root, "-addtrust", "serverAuth", directory=tmp_path)
    other = pki.issue("Other Root", ca=True)
    context = host.context(trusted + other.pem + other.pem)
    client = host.foreign(clique.leaf())
    pair = pairs.handshake(context, client)
    names = [name.CN for name in pair.client.tls.connection.get_client_ca_list()]
    assert sorted(names) == ["Clique Root", "Other Root"]


def test_stats_count(host, clique):
    """Each verified certificate counts once; clients without one do not."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    assert ccert.stats(context) == ccert.Stats(0, 0, 0, 0)
    for chain in (
        clique.leaf(),
        clique.leaf(),
        clique.leaf(eku=[pki.CLIENT]),
        clique.leaf(eku=[pki.EMAIL]),
        None,
    ):
        pairs.handshake(context, host.client(chain))
    told = ccert.Stats(verified=4, trusted=3, trusted_as_server=2, untrusted=1)
    assert ccert.stats(context) == told
    ccert.detach(context)
    pairs.handshake(context, host.client(clique.leaf(eku=[pki.CLIENT])))
    ccert.attach(context)
    assert ccert.stats(context) == told  # what OpenSSL decided meanwhile is not ours


# -- what it refuses: arguments --


@pytest.mark.parametrize("value", ["no", "yes", 1, 0, None])
def test_setting_is_one_of_three(host, clique, value):
    """A string from a configuration file ("no"!) never passes for a bool."""
    context = host.stock()
    with pytest.raises(TypeError, match=r"must be True, False or \"observe\", not .*"):
        host.context(clique.root.pem, trust_server_ccerts=value)
    with pytest.raises(TypeError, match="trust_server_ccerts"):
        ccert.attach(context, client_certs="ask", trust_server_ccerts=value)
    assert context.verify_mode is ssl.CERT_NONE


def test_server_context_needs_a_mode(host):
    """None means "as it is", which a new context has not got."""
    with pytest.raises(ConfigError, match='"ask", "optional" or "require", not None'):
        host.context(client_certs=None)


@pytest.mark.parametrize("value", ["no", "may", "", "ASK", ["ask"]])
def test_unknown_mode(host, value):
    """An unknown client_certs lists the known ones."""
    context = host.stock()
    for call in (
        lambda: host.context(client_certs=value),
        lambda: ccert.attach(context, client_certs=value),
    ):
        with pytest.raises(ConfigError, match='"ask", "optional" or "require", not'):
            call()
    assert context.verify_mode is ssl.CERT_NONE


def test_verify_depth(host, clique):
    """A depth is a number from 0."""
    for value in (-1, 2**31):
        with pytest.raises(ConfigError, match=f"verify_depth must be 0 to 2147483646, not {value}"):
            host.context(clique.root.pem, verify_depth=value)
    for value in ("9", True, 1.5):
        with pytest.raises(TypeError, match="verify_depth must be an int"):
            host.context(clique.root.pem, verify_depth=value)


def test_client_context():
    """A client's context is refused before anything is changed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ConfigError, match="takes a server's context, this one is PROTOCOL_TLS_CL"):
        ccert.attach(context, client_certs="ask")


def test_not_a_context():
    """Something else is a TypeError that says what it is."""
    for call in (ccert.stats, ccert.detach):
        with pytest.raises(TypeError, match=r"must be an ssl.SSLContext, not str"):
            call("context")
    with pytest.raises(TypeError, match="not object"):
        ccert.attach(object(), client_certs="ask")


def test_setting_without_effect(host):
    """Where nobody is asked for a certificate, or could be trusted, that is said at start."""
    context = host.stock()
    with pytest.raises(ConfigError, match="would have no effect: give client_certs="):
        ccert.attach(context, trust_server_ccerts=True)
    with pytest.raises(ConfigError, match="no effect without a trusted CA"):
        host.context(trust_server_ccerts=True)
    with pytest.raises(ConfigError, match="refuses every certificate without a trusted CA"):
        host.context(client_certs="require")


def test_many_anchors_are_a_warning(host):
    """A clique trusts a few CAs; 20 are no warning, 21 are, and only together with the setting."""
    roots = b"".join(pki.issue(f"Root {n}", ca=True).pem for n in range(21))
    first_20 = b"".join(
        roots.split(b"-----BEGIN")[i].join([b"-----BEGIN", b""]) for i in range(1, 21)
    )
    host.context(roots)
    host.context(first_20, trust_server_ccerts=True)
    with pytest.warns(UserWarning, match="with 21 trusted CAs: a clique trusts a few") as caught:
        host.context(roots, trust_server_ccerts=True)
    assert caught[0].filename.endswith("conftest.py")
    context = host.stock(roots)
    with pytest.warns(UserWarning, match="with 21 trusted CAs") as caught:
        ccert.attach(context, client_certs="ask", trust_server_ccerts=True)
    assert caught[0].filename == __file__


def test_an_applications_class_is_not_kept_alive(host):
    """Contexts whose classes come and go leave none behind."""
    class_of = weakref.WeakSet()
    for _ in range(3):
        own = type("Own", (ssl.SSLObject,), {})
        context = host.stock()
        context.sslobject_class = own
        ccert.attach(context, client_certs="ask")
        assert context.sslobject_class is not own
        class_of.add(own)
        del own, context
        gc.collect()
    assert not class_of
