"""A TLS client on another OpenSSL than the server's: pyOpenSSL with cryptography's own copy.

Besides being a stranger, it presents any certificate.  ``ssl`` and ``openssl s_client`` refuse to
load one with a malformed extension; an attacker's client would not.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from OpenSSL import SSL

if TYPE_CHECKING:
    from pathlib import Path

    from cases import Chain

VERSIONS = {ssl.TLSVersion.TLSv1_2: SSL.TLS1_2_VERSION, ssl.TLSVersion.TLSv1_3: SSL.TLS1_3_VERSION}


class ForeignClient:
    """Has as much of ``ssl.SSLContext`` as ``pairs`` needs."""

    def __init__(self, cafile: Path, chain: Chain) -> None:
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
        self._context.load_verify_locations(str(cafile))
        self._context.set_verify(SSL.VERIFY_PEER, lambda *args: args[-1])
        leaf, *others = (
            x509.load_der_x509_certificate(certificate.der) for certificate in chain.sent
        )
        self._context.use_certificate(leaf)
        for other in others:
            self._context.add_extra_chain_cert(other)
        self._context.use_privatekey(chain.sent[0].key)

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_hostname: str, session
    ) -> ForeignTLS:
        assert session is None
        connection = SSL.Connection(self._context, None)
        connection.set_tlsext_host_name(server_hostname.encode())
        connection.set_connect_state()
        return ForeignTLS(connection, incoming, outgoing)


class ForeignTLS:
    """Has as much of ``ssl.SSLObject`` as ``pairs`` needs."""

    def __init__(self, connection, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self.connection = connection
        self._incoming = incoming
        self._outgoing = outgoing

    def _run(self, action, *args):
        if octets := self._incoming.read():
            self.connection.bio_write(octets)
        try:
            return action(*args)
        except SSL.WantReadError:
            raise ssl.SSLWantReadError from None
        except SSL.Error as error:
            raise ssl.SSLError(str(error)) from error
        finally:
            try:
                while True:
                    self._outgoing.write(self.connection.bio_read(65536))
            except SSL.WantReadError:
                pass

    def do_handshake(self) -> None:
        self._run(self.connection.do_handshake)

    def read(self, size: int) -> bytes:
        return self._run(self.connection.recv, size)

    def write(self, octets: bytes) -> int:
        return self._run(self.connection.send, octets)
