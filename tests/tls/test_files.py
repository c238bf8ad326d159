"""Certificate, key and CA files: what is wrong with one, and what a directory of CAs means."""

import concurrent.futures
import functools
import os
import ssl
import stat
import subprocess

import pairs
import pki
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

import ccert
from ccert import ConfigError, Trust

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
    with pytest.raises(TypeError, match="certificate file: must be a path, not NoneType"):
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
    _expect("cadata: ", host.certfile, host.keyfile, cadata=broken)
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


def test_certificates_as_data(host, clique):
    """cadata takes PEM text and DER octets."""
    for cadata in (clique.root.pem.decode(), clique.root.der):
        context = ccert.ServerContext(
            host.certfile, host.keyfile, cadata=cadata, trust_server_ccerts=True
        )
        pair = pairs.handshake(context, host.client(clique.leaf()))
        assert ccert.peer(pair.server.tls).trusted_as_server


@pytest.mark.parametrize("odd", ["crl with a root", "only a root", "empty first", "two names"])
def test_directory_admits_no_more_than_openssl(clique, tmp_path, odd):
    """What openssl verify -CApath does not trust is not trusted, or is an error."""
    other = pki.issue("Innocent CA", ca=True)
    chain = clique.leaf(eku=[pki.CLIENT])

    def hash_of(ca: pki.Certificate) -> str:
        words = ["openssl", "x509", "-noout", "-hash"]
        done = subprocess.run(words, input=ca.pem, capture_output=True, check=True)
        return done.stdout.decode().strip()

    theirs, ours = hash_of(other), hash_of(clique.root)
    files = {
        "crl with a root": {
            f"{theirs}.0": other.pem,
            f"{theirs}.r0": pki.crl(other) + clique.root.pem,
        },
        "only a root": {f"{theirs}.0": other.pem, f"{theirs}.r0": clique.root.pem},
        "empty first": {f"{theirs}.0": other.pem, f"{ours}.0": b"", f"{ours}.1": clique.root.pem},
        "two names": {f"{theirs}.0": clique.root.pem + other.pem},
    }[odd]
    directory = tmp_path / "cas"
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    leaf, rest = (tmp_path / name for name in ("leaf.pem", "rest.pem"))
    leaf.write_bytes(chain.sent[0].pem)
    rest.write_bytes(chain.sent[1].pem)
    judge = subprocess.run(
        [
            "openssl", "verify", "-purpose", "sslclient", "-no-CAfile", "-no-CAstore",
            "-CApath", directory, "-untrusted", rest, leaf,
        ],
        capture_output=True, check=False,
    )  # fmt: skip
    if odd != "empty first" or ssl.OPENSSL_VERSION_INFO < (3, 2):  # later ones read on; we do not
        assert judge.returncode == 2
    if odd != "empty first":
        with pytest.raises(ccert.ConfigError, match=str(directory)):
            ccert.ChainVerifier(capath=directory)
        return
    verifier = ccert.ChainVerifier(capath=directory)
    verdict = verifier.verify([certificate.der for certificate in chain.sent])
    assert verdict.trust is ccert.Trust.UNTRUSTED


def test_ca_with_a_name_that_is_no_text(host):
    """A CA whose subjectAltName ssl cannot decode does not keep the server from starting."""
    name = pki.der(0x30, pki.der(0x82, b"\xff\xfe.example"))
    root = pki.issue("Odd", ca=True, extensions=[(pki.extension("2.5.29.17", name), False)])
    context = ccert.ServerContext(
        host.certfile, host.keyfile, cadata=root.pem.decode(), trust_server_ccerts=True
    )
    assert context.cert_store_stats()["x509"] == 1


def test_a_certificate_that_cannot_be_loaded_later(host, clique, tmp_path):
    """Nothing changes: the old certificate and its key go on, and the message names the file."""
    context = host.context(clique.root.pem, trust_server_ccerts=True)
    other = pki.issue("mx.example", names=["mx.example"])
    (tmp_path / "other.pem").write_bytes(other.pem)
    password = ["asked once"]
    for certfile, keyfile, problem in (
        (tmp_path / "other.pem", host.keyfile, "not the key of the first certificate"),
        (tmp_path / "other.pem", None, "no private key found"),
        (tmp_path / "other.pem", tmp_path / "none.pem", "No such file"),
        (tmp_path / "none.pem", None, "No such file"),
    ):
        with pytest.raises(ConfigError, match=problem):
            context.load_cert_chain(certfile, keyfile)
        assert ccert.peer(pairs.handshake(context, host.client(clique.leaf())).server.tls)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        other.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"asked once")
        )
    )
    context.load_cert_chain(tmp_path / "other.pem", encrypted, password.pop)
    client = host.client(clique.leaf())
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    pair = pairs.handshake(context, client)
    assert pair.client.tls.getpeercert(binary_form=True) == other.der
