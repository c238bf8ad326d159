"""Contexts: what attaching changes, what it keeps, and what it refuses, in words that help."""

import concurrent.futures
import functools
import gc
import os
import ssl
import stat
import subprocess
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
        with pytest.raises(TypeError, match=r"an ssl.SSLContext is wanted, not str"):
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


# -- what it refuses: files --


@pytest.fixture
def broken(clique):
    """A trust file whose second certificate is broken, as after a bad edit."""
    good = clique.root.pem
    lines = clique.ca.pem.splitlines(keepends=True)
    return good + b"".join([lines[0], b"!" + lines[1], *lines[2:]])


def _expect(pattern: str, certfile, keyfile=None, password=None, **settings) -> None:
    with pytest.raises(ConfigError, match=pattern):
        ccert.ServerContext(certfile, keyfile, password, **settings)


def test_missing_files(host, tmp_path):
    """A missing file is named."""
    gone = tmp_path / "gone.pem"
    _expect(f"certificate file {gone}: No such file", gone)
    _expect(f"key file {gone}: No such file", host.certfile, gone)
    _expect(f"CA file {gone}: No such file", host.certfile, host.keyfile, cafile=gone)
    _expect(f"CA directory {gone}: No such file", host.certfile, host.keyfile, capath=gone)


def test_unreadable_files(host, tmp_path):
    """A file that may not be read, or is a directory, is named."""
    _expect(f"certificate file {tmp_path}: Is a directory", tmp_path)
    _expect(f"CA file {tmp_path}: Is a directory", host.certfile, host.keyfile, cafile=tmp_path)
    if os.geteuid() == 0:
        return  # root reads everything
    secret = tmp_path / "secret.pem"
    secret.touch(mode=stat.S_IWUSR)
    _expect(f"key file {secret}: Permission denied", host.certfile, secret)


def test_empty_files(host, tmp_path):
    """An empty file, or one with something else in it, is named."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    _expect("the file is empty", empty)
    _expect("the file is empty", host.certfile, empty)
    _expect("the file is empty", host.certfile, host.keyfile, cafile=empty)
    _expect(f"certificate file {host.keyfile}: no PEM certificate found; if", host.keyfile)
    _expect("are certfile and keyfile swapped", host.keyfile, host.certfile)
    _expect(f"key file {host.certfile}: no PEM private key found", host.certfile, host.certfile)
    _expect("no private key found, and no key file is given", host.certfile)
    _expect("no PEM certificate found", host.certfile, host.keyfile, cafile=host.keyfile)
    _expect("CA file: the name is empty", host.certfile, host.keyfile, cafile="")
    with pytest.raises(TypeError, match="certificate file: a path is wanted, not NoneType"):
        ccert.ServerContext(None)
    _expect("run openssl rehash", host.certfile, host.keyfile, capath=tmp_path)


def test_half_broken_anchors(host, broken, clique, tmp_path):
    """One broken block makes the whole trust file unusable; it is named with its line."""
    path = tmp_path / "cas.pem"
    path.write_bytes(broken)
    line = clique.root.pem.count(b"\n") + 1
    _expect(
        rf"CA file {path}: certificate 2 \(line {line}\) is broken",
        host.certfile, host.keyfile, cafile=path,
    )  # fmt: skip
    path.write_bytes(clique.root.pem + clique.ca.pem[:-40])  # cut off
    _expect(f"CA file {path}: certificate 2", host.certfile, host.keyfile, cafile=path)
    trusted = pki.with_trust(clique.root, "-addtrust", "serverAuth", directory=tmp_path)
    path.write_bytes(trusted[:60] + b"!" + trusted[60:])
    _expect(f"CA file {path}: ", host.certfile, host.keyfile, cafile=path)
    _expect("cadata: ", host.certfile, host.keyfile, cadata=broken.decode())
    _expect("cadata: ", host.certfile, host.keyfile, cadata=b"\x30\x00")
    _expect("bytes are DER", host.certfile, host.keyfile, cadata=clique.root.pem)
    _expect("for a file give cafile=", host.certfile, host.keyfile, cadata="cas.pem")


def test_half_broken_identity(host, broken, tmp_path):
    """The certificate file or the key file is named, whichever is broken."""
    chain = tmp_path / "chain.pem"
    chain.write_bytes(host.certfile.read_bytes() + broken)
    _expect(rf"certificate file {chain}: certificate 3 \(line", chain, host.keyfile)
    key = tmp_path / "broken.key"
    lines = host.keyfile.read_bytes().splitlines(keepends=True)
    key.write_bytes(b"".join([lines[0], b"AAAA" + lines[1], *lines[2:]]))
    _expect(f"key file {key}: cannot be read: the key is broken", host.certfile, key)


def test_key_of_another_certificate(host, tmp_path):
    """A key that does not match, by value or by type, names both files."""
    key = tmp_path / "other.key"
    for other in (pki.issue("other"), pki.issue("other", key=pki.rsa_key(2048))):
        key.write_bytes(other.key_pem)
        pattern = f"key file {key}: not the key of the first certificate in {host.certfile}"
        _expect(pattern, host.certfile, key)


def test_weak_certificate(tmp_path):
    """A certificate below OpenSSL's security level says so."""
    weak = pki.issue("weak", key=pki.rsa_key(1024))
    path = tmp_path / "weak.pem"
    path.write_bytes(weak.pem + weak.key_pem)
    _expect(f"certificate file {path}: ee key too small for OpenSSL's security level", path)


def test_encrypted_key(host, tmp_path):
    """A wrong password is an error, and so is none: no prompt keeps a server from starting."""
    key = tmp_path / "encrypted.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", host.keyfile, "-out", key]
    subprocess.run([*command, "-passout", "pass:right"], check=True, capture_output=True)
    ccert.ServerContext(host.certfile, key, "right")
    ccert.ServerContext(host.certfile, key, lambda: b"right")
    _expect(f"key file {key}: cannot be read: wrong password", host.certfile, key, "wrong")
    _expect(f"key file {key}: it is encrypted, and no password is given", host.certfile, key)


def test_hashed_directory(host, clique, tmp_path):
    """A CA directory made by openssl rehash works like a file."""
    (tmp_path / "root.pem").write_bytes(clique.root.pem)
    subprocess.run(["openssl", "rehash", tmp_path], check=True, capture_output=True)
    context = ccert.ServerContext(
        host.certfile, host.keyfile, capath=tmp_path, trust_server_ccerts=True
    )
    pair = pairs.handshake(context, host.client(clique.leaf()))
    assert ccert.peer(pair.server.tls).trusted_as_server


def test_directory_with_one_name_twice(host, clique, tmp_path):
    """While a CA changes its key, threads that come first all get the verdict that one gets."""
    roots = [pki.issue("One Root", ca=True) for _ in range(4)]
    for number, root in enumerate(roots):
        (tmp_path / f"{number}.pem").write_bytes(root.pem)
    subprocess.run(["openssl", "rehash", tmp_path], check=True)
    clients = [host.client(clique.anchored(root)) for root in roots]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            context = ccert.ServerContext(
                host.certfile, host.keyfile, capath=tmp_path, trust_server_ccerts=True
            )
            pairs_ = threads.map(functools.partial(pairs.handshake, context), clients * 2)
            assert {ccert.peer(pair.server.tls).trust for pair in pairs_} == {Trust.TRUSTED}


@pytest.mark.parametrize("named", ["0", "1", "wrong"])
def test_directory_as_openssl_finds_it(host, clique, tmp_path, named):
    """A file that OpenSSL would not find, by its number or its hash, trusts nobody."""
    (tmp_path / "other.pem").write_bytes(pki.issue("Other Root", ca=True).pem)
    subprocess.run(["openssl", "rehash", tmp_path], check=True)
    root, leaf = host.write("root.pem", clique.root.pem), clique.leaf()
    command = ["openssl", "x509", "-in", root, "-noout", "-hash"]
    hashed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    name = "01234567.0" if named == "wrong" else f"{hashed}.{named}"
    (tmp_path / name).write_bytes(clique.root.pem)
    context = ccert.ServerContext(
        host.certfile, host.keyfile, capath=tmp_path, trust_server_ccerts=True
    )
    peer = ccert.peer(pairs.handshake(context, host.client(leaf)).server.tls)
    judge = subprocess.run(
        [
            "openssl", "verify", "-no-CAfile", "-no-CAstore", "-purpose", "sslserver",
            "-CApath", tmp_path, "-untrusted", host.write("ca.pem", clique.ca.pem),
            host.write("leaf.pem", leaf.sent[0].pem),
        ],
        capture_output=True, check=False,
    )  # fmt: skip
    assert (peer.trust is Trust.TRUSTED) is (judge.returncode == 0) is (named == "0")


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


def test_certificates_as_data(host, clique):
    """cadata takes PEM text and DER octets."""
    for cadata in (clique.root.pem.decode(), clique.root.der):
        context = ccert.ServerContext(
            host.certfile, host.keyfile, cadata=cadata, trust_server_ccerts=True
        )
        pair = pairs.handshake(context, host.client(clique.leaf()))
        assert ccert.peer(pair.server.tls).trusted_as_server


# -- what peer() refuses --


def test_peer_before_the_handshake(host, clique):
    """Before and amid the handshake there is nothing to tell."""
    pair = pairs.begin(host.context(clique.root.pem), host.client(clique.leaf()))
    with pytest.raises(CcertError, match="has not finished"):
        ccert.peer(pair.server.tls)
    pair.client.step()
    pair.server.incoming.write(pair.client.outgoing.read())
    pair.server.step()
    with pytest.raises(CcertError, match="has not finished"):
        ccert.peer(pair.server.tls)


def test_peer_after_a_failed_handshake(host, clique, version):
    """After a failed one, too."""
    context = host.context(clique.root.pem, client_certs="require")
    context.minimum_version = context.maximum_version = version
    pair = pairs.handshake(context, host.client(clique.leaf()))
    assert pair.server.error
    with pytest.raises(CcertError, match="has failed"):
        ccert.peer(pair.server.tls)


def test_peer_after_unwrap(host, clique):
    """Once we have closed the connection it is over."""
    pair = pairs.handshake(host.context(clique.root.pem), host.client(clique.leaf()))
    with pytest.raises(ssl.SSLWantReadError):
        pair.server.tls.unwrap()
    with pytest.raises(CcertError, match="closed"):
        ccert.peer(pair.server.tls)


def test_peer_of_an_unattached_context(host, clique):
    """An object of a stock context names the remedy; the client's end says that it is that."""
    context = host.stock(clique.root.pem)
    pair = pairs.handshake(context, host.client())
    with pytest.raises(CcertError, match=r"not attached .*: use ccert.ServerContext, or"):
        ccert.peer(pair.server.tls)
    with pytest.raises(CcertError, match="the client's end"):
        ccert.peer(pair.client.tls)


def test_peer_of_a_context_detached_before_the_handshake(host, clique):
    """An object made while attached, but shaking hands afterwards, has no verdict of ours."""
    context = host.context(clique.root.pem)
    pair = pairs.begin(context, host.client())
    ccert.detach(context)
    pairs.finish(pair)
    with pytest.raises(CcertError, match="not attached to the context when"):
        ccert.peer(pair.server.tls)


def test_peer_of_something_else():
    """What is no TLS object is a TypeError that tells where to find one."""
    with pytest.raises(TypeError, match=r'get_extra_info\("ssl_object"\)'):
        ccert.peer(object())


def test_peer_outlives_everything(host, clique):
    """The connection outlives its context, and the verdict outlives the connection."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    pair = pairs.handshake(context, host.client(clique.leaf()))
    del context
    gc.collect()
    peer = ccert.peer(pair.server.tls)
    del pair
    gc.collect()
    assert peer.trusted_as_server
    assert peer.subject == "mx.example"
    with pytest.raises(AttributeError):
        peer.trust = Trust.ANONYMOUS


def test_peer_after_a_switch_from_a_collected_context(host, clique):
    """An sni_callback may leave the attached context behind for good; its verdict holds."""
    other = host.context(clique.root.pem, trust_server_ccerts=True)
    context = host.context(clique.root.pem, trust_server_ccerts=True)

    def switch(tls, _name, _context) -> None:
        tls.context = other

    context.sni_callback = switch
    pair = pairs.handshake(context, host.client(clique.leaf()))
    context.sni_callback = None
    del context, switch
    gc.collect()
    assert ccert.peer(pair.server.tls).trusted_as_server
