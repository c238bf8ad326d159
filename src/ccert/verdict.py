"""The verdict on a client's certificate, from a handshake or from a file."""

from __future__ import annotations

import dataclasses
import enum

from ccert.names import covers, host_name

__all__ = ["Trust", "Verdict"]


class Trust(str, enum.Enum):
    """The trust in a client's certificate, in Postfix's words; only TRUSTED is true (``bool``).

    Each is a string as well, so ``print`` and ``json`` need no help.
    """

    ANONYMOUS = "Anonymous"
    """The client sent no certificate."""
    UNTRUSTED = "Untrusted"
    """It sent a certificate that failed verification; ``error`` says why."""
    TRUSTED = "Trusted"
    """It sent a certificate that a trusted CA vouches for."""

    def __bool__(self) -> bool:
        return self is Trust.TRUSTED

    def __str__(self) -> str:
        return self._value_

    def __format__(self, spec: str) -> str:
        return format(self._value_, spec)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of verifying a certificate, and whose certificate it is.

    It is true (``bool``) only if TRUSTED: ``if verdict`` asks for trust.
    ``json.dumps(dataclasses.asdict(verdict))`` works.

    Attributes:
        trust: :class:`Trust`.
        trusted_as_server: True when ``trust_server_ccerts`` decided: the certificate lists
            serverAuth, not clientAuth, and was verified as a server's.
        error: OpenSSL's text for the first verification error; "" unless UNTRUSTED.
        error_code: its ``X509_V_ERR_*`` number; 0 unless UNTRUSTED.
        error_depth: the depth of the certificate that failed, 0 for the leaf; None unless
            UNTRUSTED, and in a resumed session, which stores the error but not its depth.
        subject: the leaf's first subject CN, UTF-8; "" unless TRUSTED, and if the name is absent,
            contains control characters, or is 256 octets or longer.
        issuer: the leaf's first issuer CN, else organization; "" as above.
        names: the DNS names of the leaf's subjectAltName, A-labels in lower case, wildcards as they
            stand, in the certificate's order; () unless TRUSTED.
        fingerprint: SHA-256 of the leaf's DER, "AB:CD:…", trusted or not; "" if ANONYMOUS.
        pubkey_fingerprint: SHA-256 of the leaf's DER SubjectPublicKeyInfo, likewise.
        would_be: what the verdict would be with ``trust_server_ccerts=True``; None unless the
            setting is "observe" and the client sent a certificate.
    """

    trust: Trust
    trusted_as_server: bool
    error: str
    error_code: int
    error_depth: int | None
    subject: str
    issuer: str
    names: tuple[str, ...] = ()
    fingerprint: str
    pubkey_fingerprint: str

    would_be: Verdict | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.trust, Trust):  # as from JSON: "Untrusted" would be true
            object.__setattr__(self, "trust", Trust(self.trust))
        if self.would_be is not None and not isinstance(self.would_be, Verdict):
            raise TypeError(f"would_be must be a Verdict, not {type(self.would_be).__name__}")

    def __bool__(self) -> bool:
        return bool(self.trust)

    def matches(self, name: str) -> bool:
        """Return whether the certificate matches a host name, as ``X509_check_host(3)`` does.

        Only DNS names of the subjectAltName count, with wildcards for a whole label, not the CN
        (RFC 9525).  False unless TRUSTED: anybody can sign a certificate with any name.

        Args:
            name: such as "mx.partner.example"; A-labels if it is not ASCII.

        Raises:
            ValueError: this is no host name.
        """
        host = host_name(name)
        return bool(self) and any(covers(own, host) for own in self.names)

    @property
    def would_trust_as_server(self) -> bool:
        """True if ``trust_server_ccerts=True`` would have made it trusted; only with "observe"."""
        return self.would_be is not None and self.would_be.trusted_as_server
