"""Keys, serial numbers and time from a seed and an instant.

Strategy: every number is SHAKE-256 of the seed, a label and a count, so labels keep cases apart: a
case that is added or changed leaves the others' octets alone.  OpenSSL takes no seed for RSA keys,
so their primes are searched for here.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import pki
from cryptography.hazmat.primitives.asymmetric import ec, rsa

if TYPE_CHECKING:
    import datetime

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_EXPONENT = 65537  # of RSA
_PRIMES = [n for n in range(2, 2000) if all(n % d for d in range(2, math.isqrt(n) + 1))]


class Seeded(pki.Source):
    """A source that begins a stream of its own for each label, the same each time."""

    deterministic = True

    def __init__(self, seed: int, now: datetime.datetime) -> None:
        self._seed = seed
        self._now = now
        self.begin("")

    def begin(self, label: str) -> None:
        """Begin the stream of this label."""
        self._label = label
        self._count = 0

    def now(self) -> datetime.datetime:
        """Return the instant."""
        return self._now

    def serial(self) -> int:
        """Return a serial number of 159 bits, which is positive and takes 20 octets."""
        return 1 << 158 | self._number(158)

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Make a P-256 key from the stream."""
        return ec.derive_private_key(1 + self._number(320) % (_P256_ORDER - 1), ec.SECP256R1())

    def rsa_key(self, bits: int, serial: int) -> rsa.RSAPrivateKey:
        """Make the key of this size and serial, whatever the stream."""
        own = Seeded(self._seed, self._now)
        own.begin(f"rsa/{bits}/{serial}")
        return _rsa_key(own._prime(bits // 2), own._prime(bits // 2))

    def _number(self, bits: int) -> int:
        self._count += 1
        text = f"ccert vectors/{self._seed}/{self._label}/{self._count}"
        octets = hashlib.shake_256(text.encode()).digest((bits + 7) // 8)
        return int.from_bytes(octets, "big") >> (-bits % 8)

    def _prime(self, bits: int) -> int:
        top = 3 << (bits - 2)  # so that a product has twice the bits
        while not _is_prime(candidate := self._number(bits) | top | 1):
            pass
        return candidate


def _is_prime(number: int) -> bool:
    """Miller and Rabin's test of a large random number that fits RSA's public exponent, too."""
    if any(number % prime == 0 for prime in _PRIMES) or number % _EXPONENT == 1:
        return False
    twos = ((number - 1) & -(number - 1)).bit_length() - 1
    for base in _PRIMES[:40]:
        power = pow(base, number >> twos, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def _rsa_key(p: int, q: int) -> rsa.RSAPrivateKey:
    d = pow(_EXPONENT, -1, math.lcm(p - 1, q - 1))
    crt = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    public = rsa.RSAPublicNumbers(_EXPONENT, p * q)
    # Unchecked, because 768 bits are too few for cryptography: that is what the case is about.
    return rsa.RSAPrivateNumbers(p, q, d, *crt, public).private_key(
        unsafe_skip_rsa_key_validation=True
    )
