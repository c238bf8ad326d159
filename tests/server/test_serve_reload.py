"""``ccert serve`` reads its files again at SIGHUP; what is bad stays as it was."""

import contextlib
import os
import signal
import smtplib
import socket
import ssl

import pki
import pytest
from serving import BOTH, PATIENCE, begin, send

# -- reloading --


def served_by(server) -> bytes:
    """Return the certificate that the server presents, whatever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with server.client(context) as smtp:
        return smtp.sock.getpeercert(binary_form=True)


@pytest.fixture
def reloading(start, host, clique, tmp_path):
    """A server whose files may be changed, and these."""
    paths = {name: tmp_path / f"{name}.pem" for name in ("cert", "key", "cafile")}
    paths["cert"].write_bytes(host.certfile.read_bytes())
    paths["key"].write_bytes(host.keyfile.read_bytes())
    paths["cafile"].write_bytes(clique.root.pem)
    options = [word for name, path in paths.items() for word in (f"--{name}", path)]
    return start(*options, "--trust-server-ccerts", "yes", *BOTH), paths


def test_reload_certificate(reloading):
    """After SIGHUP new connections get the new certificate; old ones go on."""
    server, paths = reloading
    old = served_by(server)
    with begin(server.client(), data=True) as smtp:
        new = pki.issue("mx.example", eku=[pki.SERVER])
        paths["cert"].write_bytes(new.pem)
        paths["key"].write_bytes(new.key_pem)
        assert served_by(server) == old
        server.tell(signal.SIGHUP)
        server.wait_for("reloaded")
        assert served_by(server) == new.der
        smtp.send(b".\r\n")
        assert smtp.getreply()[0] == 250


@contextlib.contextmanager
def shaken_hands(server, context, *, implicit: bool, session: ssl.SSLSession | None = None):
    """Connect with a session; yields the socket after an EHLO within TLS."""
    plain = socket.create_connection(("localhost", server.ports[implicit]), PATIENCE)
    if not implicit:
        smtp = smtplib.SMTP()
        smtp.sock = plain
        assert smtp.getreply()[0] == 220
        smtp.ehlo("x")
        assert smtp.docmd("STARTTLS")[0] == 220
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
        if implicit:
            tls.recv(4096)
        tls.sendall(b"EHLO x\r\n")
        assert tls.recv(4096)[:3] == b"250"
        yield tls
        tls.sendall(b"QUIT\r\n")  # OpenSSL forgets sessions that did not end properly
        while tls.recv(4096):
            pass


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_reload_removed_ca(reloading, host, clique, implicit):
    """A CA that was removed from the file is trusted no more, not even by resumption."""
    server, paths = reloading
    context = host.client(clique.leaf())
    paths["cafile"].write_bytes(pki.issue("Other Root", ca=True).pem)
    with shaken_hands(server, context, implicit=implicit) as tls:
        session = tls.session
    server.wait_for("Trusted TLS connection established")
    with shaken_hands(server, context, implicit=implicit, session=session) as tls:
        assert tls.session_reused
        session = tls.session
    server.wait_for("Trusted TLS connection established")  # not before SIGHUP
    server.tell(signal.SIGHUP)
    server.wait_for("reloaded")
    for old in (None, session):
        with shaken_hands(server, context, implicit=implicit, session=old) as tls:
            assert not tls.session_reused
        server.wait_for("Untrusted TLS connection established")


def test_reload_starttls_in_an_old_session(reloading, host, clique):
    """A session from before that says STARTTLS afterwards is judged by the new CAs, too."""
    server, paths = reloading
    with server.client() as smtp:
        smtp.ehlo("x")
        paths["cafile"].write_bytes(pki.issue("Other Root", ca=True).pem)
        server.tell(signal.SIGHUP)
        server.wait_for("reloaded")
        smtp.starttls(context=host.client(clique.leaf()))
        send(smtp)
    server.wait_for("trust=Untrusted")


@pytest.mark.parametrize("broken", ["cert", "key", "cafile"])
def test_reload_broken_file(reloading, host, clique, broken):
    """A file that cannot be used leaves all as it was; the log says which."""
    server, paths = reloading
    for content in (b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"):
        paths[broken].write_bytes(content)
        server.tell(signal.SIGHUP)
        server.wait_for(f"not reloaded, the old state is kept: .*{paths[broken]}")
        with server.client(host.client(clique.leaf())) as smtp:
            send(smtp)
        server.wait_for("trust=Trusted")


@pytest.mark.parametrize("broken", ["cert", "cafile"])
def test_workers_are_replaced_meanwhile(reloading, host, clique, broken):
    """While a file is unusable, a worker that dies is replaced, and what was loaded goes on."""
    server, paths = reloading
    old = served_by(server)
    paths[broken].write_bytes(b"")
    server.tell(signal.SIGHUP)
    server.wait_for("not reloaded, the old state is kept: ")
    for worker in server.workers():
        os.kill(worker, signal.SIGKILL)
        server.wait_for("ready again")
    assert served_by(server) == old
    with server.client(host.client(clique.leaf())) as smtp:
        send(smtp)
    server.wait_for("trust=Trusted")


def test_successors_have_what_was_reloaded(reloading):
    """Not what the server began with."""
    server, paths = reloading
    new = pki.issue("mx.example", eku=[pki.SERVER])
    paths["cert"].write_bytes(new.pem)
    paths["key"].write_bytes(new.key_pem)
    server.tell(signal.SIGHUP)
    server.wait_for("reloaded")
    for worker in server.workers():
        os.kill(worker, signal.SIGKILL)
        server.wait_for("ready again")
    assert served_by(server) == new.der


def test_reload_tells_what_stays(reloading_tables):
    """What can be used is taken over, what cannot stays; the log tells of each which it was."""
    server, paths = reloading_tables
    for broken in paths:
        for name, path in paths.items():
            path.write_text("nonsense\n" if name == broken else "# empty\n")
        server.tell(signal.SIGHUP)
        server.wait_for(f"{broken}: not reloaded, the old state is kept: .*{paths[broken]}, line 1")
        (other,) = paths.keys() - {broken}
        server.wait_for(f"INFO: reloaded: certificates and CAs, {other}\n")


@pytest.fixture
def reloading_tables(start, tmp_path):
    """A server with two tables, and their files."""
    paths = {name: tmp_path / name for name in ("check_ccert_access", "relay_clientcerts")}
    for path in paths.values():
        path.write_text("# empty\n")
    return start(**paths), paths
