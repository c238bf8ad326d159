"""What a server knows about its TLS client after the handshake.

Terms, the log line and the attributes are Postfix's, so that existing log watchers and policy
services understand them.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from ccert import _openssl
from ccert.names import is_host_name
from ccert.text import printable, xtext
from ccert.tls.connection import inner_object
from ccert.tls.observation import observe
from ccert.verdict import Verdict

if TYPE_CHECKING:
    import ssl

__all__ = ["Peer", "Signature", "peer"]

_MOST_OCTETS = 1500  # of the names in a policy request; Postfix breaks lines at 2048


@dataclasses.dataclass(frozen=True)
class Signature:
    """The signature by which one side of a TLS 1.3 handshake proved possession of its key.

    Attributes:
        name: "ECDSA", "RSA-PSS", "ED25519", …
        curve: of an ECDSA key, such as "prime256v1"; "" otherwise.
        bits: size of an RSA key; 0 otherwise.
        digest: such as "SHA256"; "" if the algorithm has no separate digest.
    """

    name: str
    curve: str
    bits: int
    digest: str

    def summary(self, side: str) -> str:
        """Return this signature's part of :meth:`Peer.summary`; ``side``: "server" or "client"."""
        text = f" {side}-signature {self.name}"
        if self.curve:
            text += f" ({self.curve})"
        elif self.bits:
            text += f" ({self.bits} bits)"
        return text + (f" {side}-digest {self.digest}" if self.digest else "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer(Verdict):
    """The verdict on a TLS client and the facts of its handshake; it outlives the connection.

    .. warning::
        Decide by ``trust`` and ``names``, or by a fingerprint that you know.  With
        ``client_certs="ask"``, the presence of a certificate proves nothing.

    It has the attributes of :class:`Verdict`, and these (``chain`` is not for JSON):

    Attributes:
        chain: DER certificates as the client sent them, leaf first.  After resumption by a
            stateless ticket, only the leaf.
        resumed: True if the session was resumed, and the verdict is that of its first handshake;
            False again after the client has authenticated again (post-handshake authentication).
        protocol: such as "TLSv1.3".
        cipher: OpenSSL's name of the cipher suite.
        cipher_bits: secret bits in use.
        cipher_algorithm_bits: secret bits of the algorithm.
        key_exchange: name of the TLS 1.3 group; "" with TLS 1.2.
        server_signature: :class:`Signature` of the server; None with TLS 1.2, and if the session
            was resumed.
        client_signature: that of the client; None with TLS 1.2, without a certificate, and if
            ``resumed``.
        error_issuer: the issuer of the certificate at ``error_depth``, in OpenSSL's one-line form
            ("/CN=Some CA"); "" unless UNTRUSTED, and if ``resumed``.
        server_name: the server name that the client sent (SNI), if the context's ``sni_callback``
            accepted it and it is a valid host name; "" otherwise.
    """

    chain: tuple[bytes, ...] = dataclasses.field(repr=False)
    resumed: bool
    protocol: str
    cipher: str
    cipher_bits: int
    cipher_algorithm_bits: int
    key_exchange: str
    server_signature: Signature | None
    client_signature: Signature | None
    server_name: str
    error_issuer: str

    def summary(self, client: str) -> str:
        """Return the line that Postfix logs for such a connection (``smtpd_tls_loglevel = 1``).

        Args:
            client: name and address as Postfix writes them, "mx.example[192.0.2.1]"; converted
                to lower case, as in Postfix, with "?" for characters that are not printable.
        """
        name = f" to {self.server_name}" if self.server_name else ""
        text = (
            f"{self.trust} TLS connection established from "
            f"{printable(client.lower())}{name}: {self.protocol} with cipher {self.cipher} "
            f"({self.cipher_bits}/{self.cipher_algorithm_bits} bits)"
        )
        if self.key_exchange:
            text += f" key-exchange {self.key_exchange}"
        if self.server_signature:
            text += self.server_signature.summary("server")
        if self.client_signature:
            text += self.client_signature.summary("client")
        return text

    def policy_attributes(self) -> dict[str, str]:
        """Return the TLS attributes that Postfix sends to a policy service, in its order.

        Subject and issuer are xtext-encoded (RFC 3461, section 4) and empty unless TRUSTED;
        fingerprints are set for every certificate.  ``ccert_names`` follows Postfix's own
        attributes: ``names``, separated by commas.  Source: postfix SMTPD_POLICY_README.
        """
        return {
            "ccert_subject": xtext(self.subject),
            "ccert_issuer": xtext(self.issuer),
            "ccert_fingerprint": self.fingerprint,
            "ccert_pubkey_fingerprint": self.pubkey_fingerprint,
            "encryption_protocol": self.protocol,
            "encryption_cipher": self.cipher,
            "encryption_keysize": str(self.cipher_bits),
            "ccert_names": self._names_attribute(),
        }

    def _names_attribute(self) -> str:
        """Return as many of the names as a line of the protocol may have, whole ones."""
        text = ",".join(self.names)
        return text if len(text) <= _MOST_OCTETS else text[: _MOST_OCTETS + 1].rpartition(",")[0]


def peer(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> Peer:
    """Return the verdict on the client of a TLS connection, and the facts of the handshake.

    Args:
        ssl_object: a TLS object of a context with ccert attached, after the handshake: what
            ``wrap_socket`` or ``wrap_bio`` returned, or an asyncio transport's
            ``get_extra_info("ssl_object")``.  No other thread may use it at the same time.

    Raises:
        CcertError: the handshake is not over or has failed, the connection is closed, or ccert was
            not attached to the object's context.
        TypeError: ``ssl_object`` is not a TLS object of ``ssl``.
    """
    verdict, handshake, verifier = _openssl.peer_facts(inner_object(ssl_object))
    for name in ("server_signature", "client_signature"):
        handshake[name] = Signature(**handshake[name]) if handshake[name] else None
    if not is_host_name(handshake["server_name"]):
        handshake["server_name"] = ""
    would_be = None
    if verifier:
        decoded = [_openssl.certificate(der) for der in handshake["chain"]]
        would_be = observe(verdict, verifier, decoded, int(time.time()))
    return Peer(**verdict, **handshake, would_be=would_be)
