"""ChainVerifier: every form of a chain, any moment, any thread, any rubbish."""

import array
import concurrent.futures
import dataclasses
import datetime
import io
import random
import ssl
import subprocess
import traceback
from pathlib import Path

import pairs
import pki
import pytest
from cryptography import x509
from hypothesis import example, given
from hypothesis import strategies as st

import ccert
from ccert import ConfigError, Trust

UTC = datetime.timezone.utc


@pytest.fixture
def verifier(host, clique):
    return ccert.ChainVerifier(cafile=host.anchors(clique.root.pem), trust_server_ccerts=True)


def _pem(chain) -> bytes:
    return b"".join(certificate.pem for certificate in chain.sent)


def test_every_form_of_a_chain(verifier, host, clique):
    """PEM octets, a path, DER and cryptography's certificates are one chain; keys are passed by."""
    chain = clique.leaf()
    pem = b"some text\n" + chain.sent[0].key_pem + _pem(chain)
    path = host.write("mixed.pem", pem)
    ders = [certificate.der for certificate in chain.sent]
    parsed = [x509.load_der_x509_certificate(der) for der in ders]
    verdicts = {
        verifier.verify(form) for form in (pem, path, str(path), tuple(ders), tuple(parsed))
    }
    assert len(verdicts) == 1
    verdict = verdicts.pop()
    assert (verdict.trust, verdict.subject, verdict.issuer) == (
        Trust.TRUSTED,
        "mx.example",
        "Clique CA",
    )


def test_same_fields_as_a_handshake(verifier, host, clique):
    """A file and a handshake tell the same of one chain."""
    chain = clique.leaf()
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    peer = ccert.peer(pairs.handshake(context, host.client(chain)).server.tls)
    verdict = verifier.verify(_pem(chain))
    for field in dataclasses.fields(ccert.Verdict):
        assert getattr(peer, field.name) == getattr(verdict, field.name)


def test_moment(verifier, clique):
    """A chain is judged for the moment asked for; a naive one is UTC."""
    chain = _pem(clique.leaf())
    later = datetime.datetime.now(UTC) + 60 * pki.DAY
    assert verifier.verify(chain).trust is Trust.TRUSTED
    for at in (later, later.replace(tzinfo=None), later.astimezone()):
        assert verifier.verify(chain, at=at).error_code == 10
    assert verifier.verify(chain, at=later - 90 * pki.DAY).error_code == 9


def test_cadata_and_capath(clique, host):
    """CAs come as text, octets or a hashed directory, too."""
    texts = (
        clique.root.pem,
        b"\xef\xbb\xbf" + clique.root.pem,
        b"# caf\xe9\n" + clique.root.pem,
        clique.root.der,
    )
    for cadata in (clique.root.pem.decode(), *texts, *map(bytearray, texts)):
        verifier = ccert.ChainVerifier(cadata=cadata, trust_server_ccerts=True)
        assert verifier.verify(_pem(clique.leaf())).trusted_as_server
    for indented in (b"\n " + clique.root.pem, b"\n\t" + clique.root.pem):
        for source in ({"cadata": indented}, {"cafile": host.anchors(indented)}):
            with pytest.raises(ConfigError, match="line 2: OpenSSL ignores"):
                ccert.ChainVerifier(**source)
    with pytest.raises(ConfigError, match="cadata: certificate 1 is broken"):
        ccert.ChainVerifier(cadata=b"no DER")
    with pytest.raises(ConfigError, match="cadata: no PEM certificate found; for a file"):
        ccert.ChainVerifier(cadata="no PEM")
    with pytest.raises(ConfigError, match="no hashed certificate found"):
        ccert.ChainVerifier(capath=host.directory)


def test_bad_settings(host, clique):
    """What could not work is said at once."""
    cafile = host.anchors(clique.root.pem)
    with pytest.raises(ConfigError, match="no trusted CA"):
        ccert.ChainVerifier()
    for level in (-1, 6):
        with pytest.raises(ConfigError, match="auth_level must be 0 to 5"):
            ccert.ChainVerifier(cafile=cafile, auth_level=level)
    for level in (True, "2", 2.0):
        with pytest.raises(TypeError, match="auth_level must be an int"):
            ccert.ChainVerifier(cafile=cafile, auth_level=level)
    with pytest.raises(TypeError, match="trust_server_ccerts"):
        ccert.ChainVerifier(cafile=cafile, trust_server_ccerts="yes")
    roots = b"".join(pki.issue(f"Root {n}", ca=True).pem for n in range(21))
    with pytest.warns(UserWarning, match="21 trusted CAs") as caught:
        ccert.ChainVerifier(cafile=host.anchors(roots), trust_server_ccerts=True)
    assert caught[0].filename == __file__


def test_half_broken_anchors(host, clique):
    """One broken block makes the whole trust file unusable, as for a context."""
    broken = clique.root.pem + clique.ca.pem.replace(b"M", b"!", 1)
    with pytest.raises(ConfigError, match=r"certificate 2 .* is broken"):
        ccert.ChainVerifier(cafile=host.anchors(broken))


def test_no_chain(verifier, host, tmp_path):
    """No certificate at all is not a verdict."""
    for chain in (b"nothing", host.keyfile, (), b""):
        with pytest.raises(ConfigError, match=r"no (PEM )?certificate found|the file is empty"):
            verifier.verify(chain)
    with pytest.raises(ConfigError, match="No such file"):
        verifier.verify(tmp_path / "gone.pem")


def test_undecodable_certificates(verifier, clique):
    """What ends a handshake is an untrusted chain, with the certificate's place and a reason."""
    good = clique.leaf()
    for depth in (0, 1):
        ders = [certificate.der for certificate in good.sent]
        for rubbish in (b"", b"\0", ders[depth][:-1], ders[depth] + b"\0"):
            verdict = verifier.verify([*ders[:depth], rubbish, *ders[depth + 1 :]])
            assert (verdict.trust, verdict.error_code, verdict.error_depth) == (
                Trust.UNTRUSTED,
                1,
                depth,
            )
            assert "cannot be decoded" in verdict.error
            assert "reason(" not in verdict.error
    not_base64 = _pem(good).replace(b"\nM", b"\n!", 1)
    assert verifier.verify(not_base64).error_depth == 0
    assert verifier.verify(_pem(good)[:-30]).error_depth == 1


def test_threads_share_a_verifier(verifier, clique):
    """Many threads, one verifier, one cache: each chain gets its own verdict."""
    chains = [clique.leaf(eku=usages) for usages in ([pki.SERVER], [pki.CLIENT], [pki.EMAIL])]
    right = [verifier.verify(_pem(chain)) for chain in chains]
    assert len(set(right)) == 3

    def verify(number: int) -> bool:
        which = random.Random(number).randrange(3)
        return verifier.verify(_pem(chains[which])) == right[which]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(verify, range(2000)))


def test_cache_is_bounded(verifier, clique):
    """The cache forgets; that changes no verdict."""
    chain = clique.leaf()
    for _ in range(1100):
        verifier.verify([_unique()])
    assert verifier._cached.cache_info().currsize == 1024
    assert verifier.verify(_pem(chain)).trusted_as_server


_template = pki.issue("unique")


def _unique() -> bytes:
    """Make a certificate that nobody has seen: only its signature's last octets differ."""
    tail = random.randbytes(4)
    return _template.der[:-4] + tail


@given(st.binary(max_size=200))
@example(b"-----BEGIN ")
@example(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
def test_any_octets(octets):
    """Whatever stands in the place of a certificate, the verdict is UNTRUSTED, never a crash."""
    verifier = ccert.ChainVerifier(cadata=_template.der, trust_server_ccerts=True)
    assert verifier.verify([octets]).trust is Trust.UNTRUSTED


def test_large_certificates_are_not_kept(verifier, clique):
    """A stranger cannot fill the memory with certificates of any size."""
    names = [f"{number}.example" for number in range(1000)]
    for chain in (clique.leaf(), clique.leaf(names=names)):
        verifier.verify(_pem(chain))
    assert verifier._cached.cache_info().currsize == 2  # one leaf, and the intermediate


def test_directory_with_one_name_twice(clique, tmp_path):
    """Threads that need a CA directory's files at once all get the verdict that one alone gets."""
    roots = [pki.issue("One Root", ca=True) for _ in range(4)]
    for number, root in enumerate(roots):
        (tmp_path / f"{number}.pem").write_bytes(root.pem)
    subprocess.run(["openssl", "rehash", tmp_path], check=True)
    chains = [_pem(clique.anchored(root)) for root in roots]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        for _ in range(60):
            verifier = ccert.ChainVerifier(capath=tmp_path, trust_server_ccerts=True)
            verdicts = threads.map(verifier.verify, chains * 2)
            assert {verdict.trust for verdict in verdicts} == {Trust.TRUSTED}


@pytest.mark.parametrize("name", ["a:b", "a\0b", "\ud800"])
def test_names_that_no_loader_takes(tmp_path, name):
    """What OpenSSL would read as another name, or the system as none, is an error of ours."""
    for setting in ("cafile", "capath"):
        with pytest.raises(ConfigError):
            ccert.ChainVerifier(**{setting: f"{tmp_path}/{name}"})


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, bytes.decode, list])
def test_forms_of_a_chain(verifier, clique, form):
    """PEM of whatever type, whole or in a list, is understood; so is DER."""
    chain = clique.leaf()
    right = verifier.verify([certificate.der for certificate in chain.sent])
    assert right
    pems = [certificate.pem for certificate in chain.sent]
    assert verifier.verify(form(_pem(chain)) if form is not list else pems) == right
    if form is not list:
        assert verifier.verify([form(pem) for pem in pems]) == right
    if form not in {list, bytes.decode}:
        assert verifier.verify([form(certificate.der) for certificate in chain.sent]) == right
        direct = clique.anchored(clique.root).sent[0].der
        assert verifier.verify(form(direct)) == verifier.verify([direct])
        assert verifier.verify(form(direct))


def test_wrong_types(verifier, clique):
    """A usage error is never a verdict: it is a TypeError that says what is wanted."""
    certificate = x509.load_der_x509_certificate(clique.leaf().sent[0].der)
    der = clique.leaf().sent[0].der
    unordered = ({der}, {der: 1}, io.BytesIO(der), io.StringIO("x"), [[der]], array.array("B", der))
    for chain in (["x.pem"], [Path("x.pem")], [None], None, 1, certificate, *unordered):
        with pytest.raises(TypeError, match="a chain is a path"):
            verifier.verify(chain)
    with pytest.raises(TypeError, match="verify each file by itself"):
        verifier.verify(["x.pem"])
    for cadata in (1, [clique.root.pem]):
        with pytest.raises(TypeError, match="cadata must be PEM or DER"):
            ccert.ChainVerifier(cadata=cadata)
    for at in (0, "2026-11-23", datetime.date(2026, 11, 23)):
        with pytest.raises(TypeError, match=r"at must be a datetime\.datetime"):
            verifier.verify(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", at)
    with pytest.raises(TypeError, match="must be a path"):
        ccert.ChainVerifier(capath=0)


def test_text_that_begins_like_der(verifier, clique):
    """openssl s_client's output begins with "0": PEM is PEM whatever stands before it."""
    pem = b"0 s:CN = x\n   i:CN = y\n" + b"".join(c.pem for c in clique.leaf().sent)
    for chain in (pem, pem.decode(), [pem], [pem.decode()], memoryview(pem)):
        assert verifier.verify(chain)


def test_pem_within_der(verifier, clique):
    """A certificate that contains another one's PEM gets its own verdict, in each form."""
    pem = b"\n" + b"".join(c.pem for c in clique.leaf().sent)
    comment = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.16.840.1.113730.1.13"), pem)
    extensions = [(comment, False)]
    member = pki.issue("mx", clique.ca, eku=[pki.SERVER], extensions=extensions)
    stranger = pki.issue("Stranger", eku=[pki.SERVER], extensions=extensions)
    assert verifier.verify([member.der, clique.ca.der])
    for der in (stranger.der, stranger.der + b"x", member.der + b"x"):
        assert not verifier.verify([der, clique.ca.der])
        assert not verifier.verify(der)


@pytest.mark.parametrize("around", ["\ud800", "é", "\x00"])
def test_a_key_stays_out_of_messages(verifier, clique, around):
    """Neither message, repr nor cause of an error has the text of a key that was given."""
    key = clique.leaf().sent[0].key_pem.decode()
    body = key.splitlines()[1]
    for text in (key + around, around + key, key.replace("-----B", "----B"), body + "\n" + body):
        for give in (
            verifier.verify,
            lambda text: verifier.verify([text]),
            lambda text: ccert.ChainVerifier(cafile=text),
            lambda text: ccert.ChainVerifier(capath=text),
            ccert.ServerContext,
            ccert.NameTable,
        ):
            with pytest.raises((ConfigError, TypeError)) as raised:
                give(text)
            told = "".join(traceback.format_exception(raised.value))
            assert body not in told + repr(raised.value.args)


def test_others_errors_are_not_the_reason(verifier):
    """What a failure elsewhere left in the thread's error queue is not said of this certificate."""
    right = verifier.verify([b"junk"]).error
    name = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03\x01\x02")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pki.issue("x", extensions=[(name, False)]).pem.decode())
    context.get_ca_certs()
    assert verifier.verify([b"junk"]).error == right
