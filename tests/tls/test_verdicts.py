"""Every verdict of the catalogue, in real handshakes, judged by ``openssl verify``.

Strategy: the oracle judges each chain once for each setting; the handshakes then run with every
client_certs mode and TLS version.  Certificates, contexts and judgements are made once a session.
"""

import functools
import ssl

import pairs
import pytest
from cases import CASES
from oracle import judge
from pairs import VERSIONS

import ccert

MODES = ("ask", "optional", "require")


@pytest.fixture(scope="session")
def chain_of(clique):
    return functools.cache(lambda case: case.build(clique))


@pytest.fixture(scope="session")
def client_of(chain_of, host):
    return functools.cache(lambda case: host.foreign(chain_of(case)))


@pytest.fixture(scope="session")
def judgement_of(chain_of, tmp_path_factory):
    return functools.cache(
        lambda case, setting: judge(
            chain_of(case), tmp_path_factory.mktemp("oracle"), setting=setting
        )
    )


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_catalogue_says_what_openssl_says(case, setting, judgement_of):
    """The verdict written in the catalogue is the one openssl verify gives."""
    judgement = judgement_of(case, setting)
    stated = case.on if setting else case.off
    found = "T" if judgement.trusted else f"U{judgement.error_code}"
    assert found == stated, judgement.transcript


def test_catalogue_is_large_enough():
    """Sixty cases at least, each under a name of its own, and both kinds of contrast."""
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert {("U", "T"), ("T", "U"), ("U", "U"), ("T", "T")} == {
        (case.off[0], case.on[0]) for case in CASES
    }


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_offline(case, setting, chain_of, judgement_of, host):
    """Without a connection the verdict is the oracle's, too, from DER and from a file."""
    chain = chain_of(case)
    judgement = judgement_of(case, setting)
    verifier = host.verifier(chain, setting=setting)
    verdict = verifier.verify([certificate.der for certificate in chain.sent])
    story = f"ccert: {verdict}\n{judgement.transcript}"
    assert (verdict.trust is ccert.Trust.TRUSTED) == judgement.trusted, story
    assert verdict.error_code == judgement.error_code, story
    assert verdict.error_depth == (None if judgement.trusted else judgement.error_depth), story
    assert verdict.trusted_as_server == (judgement.trusted and judgement.as_server), story
    pem = b"".join(certificate.pem for certificate in chain.sent)
    assert verifier.verify(pem) == verifier.verify(host.write("chain.pem", pem)) == verdict


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_handshake(case, setting, mode, version, chain_of, client_of, judgement_of, host):
    """The handshake's verdict is the oracle's, error, depth and purpose included."""
    context = host.context(chain_of(case), client_certs=mode, trust_server_ccerts=setting)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    judgement = judgement_of(case, setting)
    pair = pairs.handshake(context, client_of(case))

    counted = ccert.stats(context)
    assert counted.verified == 1
    assert (counted.trusted, counted.untrusted) == (judgement.trusted, not judgement.trusted)
    assert counted.trusted_as_server == (judgement.trusted and judgement.as_server)
    if mode != "ask" and not judgement.trusted:
        assert not pair.completed, judgement.transcript
        assert pair.server.error.reason == "CERTIFICATE_VERIFY_FAILED"
        return
    assert pair.completed, (pair.server.error, judgement.transcript)
    peer = ccert.peer(pair.server.tls)
    story = f"ccert: {peer}\n{judgement.transcript}"
    assert (peer.trust is ccert.Trust.TRUSTED) == judgement.trusted, story
    assert peer.error_code == judgement.error_code, story
    assert peer.error_depth == (None if judgement.trusted else judgement.error_depth), story
    assert peer.trusted_as_server == (judgement.trusted and judgement.as_server), story
    assert peer.chain == tuple(c.der for c in chain_of(case).sent)


@pytest.mark.parametrize("setting", [False, True], ids=["off", "on"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_flight_in_pieces(case, setting, chain_of, client_of, judgement_of, host, version):
    """A client whose flight arrives byte by byte gets the same verdict, never a failed handshake.

    A malformed certificate leaves entries on OpenSSL's error queue; without the callback's guard
    the next read on this thread fails of them.
    """
    context = host.context(chain_of(case), trust_server_ccerts=setting)
    context.minimum_version = context.maximum_version = version
    pair = pairs.handshake(context, client_of(case), chunk=1)
    assert pair.completed, pair.server.error
    trusted = ccert.peer(pair.server.tls).trust is ccert.Trust.TRUSTED
    assert trusted == judgement_of(case, setting).trusted


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", MODES)
def test_no_certificate_is_anonymous(mode, version, host, clique):
    """Without a certificate OpenSSL's verify result says "OK"; that is not trust."""
    context = host.context(clique.root.pem, client_certs=mode, trust_server_ccerts=True)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    pair = pairs.handshake(context, host.client())
    assert pair.completed == (mode != "require")
    if pair.completed:
        peer = ccert.peer(pair.server.tls)
        assert peer.trust is ccert.Trust.ANONYMOUS
        assert (peer.error, peer.error_code, peer.error_depth) == ("", 0, None)
        assert (peer.fingerprint, peer.pubkey_fingerprint, peer.chain) == ("", "", ())
        assert peer.client_signature is None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_off_is_stock_openssl(case, chain_of, client_of, host, version):
    """With the setting off, a context lets in exactly whom it let in without ccert."""
    contexts = [host.stock(chain_of(case)) for _ in range(2)]
    for context in contexts:
        context.set_ciphers(f"DEFAULT:@SECLEVEL={chain_of(case).level}")
        context.verify_mode = ssl.CERT_OPTIONAL
        context.minimum_version = context.maximum_version = version
    ccert.attach(contexts[1], verify_depth=99)  # OpenSSL's own is 100
    stock, attached = (pairs.handshake(context, client_of(case)) for context in contexts)
    assert stock.completed == attached.completed
    if stock.server.error:
        assert stock.server.error.verify_code == attached.server.error.verify_code
