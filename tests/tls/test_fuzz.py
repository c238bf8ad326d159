"""Mutated chains: no crash, no leak, and never TRUSTED where ``openssl verify`` refuses.

``make fuzz`` runs 100 000 under AddressSanitizer; ``CCERT_FUZZ`` says how many.
"""

import dataclasses
import functools
import os
import random

import pki
from cases import Chain
from oracle import judge

import ccert
from ccert import Trust

COUNT = int(os.environ.get("CCERT_FUZZ") or 2000)


@dataclasses.dataclass(frozen=True)
class _File:
    pem: bytes


def _mutate_octets(rng: random.Random, octets: bytes) -> bytes:
    changed = bytearray(octets)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(changed))
        match rng.randrange(5):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.randrange(256)
            case 2:
                del changed[at : at + rng.randrange(1, 9)]
            case 3:
                changed[at:at] = rng.randbytes(rng.randrange(1, 9))
            case _:
                changed[at:at] = changed[rng.randrange(len(changed)) :][:50]
    return bytes(changed) or b"\0"


FRAGMENTS = (
    b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----", b"TRUSTED ", b"X509 ", b"\r",
    b"\n\n",    b" ", b"\t", b"\0", b"\x0b", b"\x1c", b"\x85", b"x", b"note: ", b"=",
)  # fmt: skip


def _mutate_text(rng: random.Random, text: bytes) -> bytes:
    if rng.randrange(2):
        return _mutate_octets(rng, text)
    places = [at for at in range(len(text)) if text[at : at + 1] in {b"-", b"\n"}]
    at = rng.choice(places) + rng.randrange(2)
    return text[:at] + rng.choice(FRAGMENTS) + text[at:]


def _mutate(rng: random.Random, ders: list[bytes], strangers: list[bytes]) -> bytes:
    """Return a PEM file: its certificates, their order or its text is changed."""
    ders = list(ders)
    match rng.randrange(4):
        case 0:
            at = rng.randrange(len(ders))
            ders[at] = _mutate_octets(rng, ders[at])
        case 1:
            rng.shuffle(ders)
        case 2:
            ders.insert(rng.randrange(len(ders) + 1), rng.choice(strangers))
        case _:
            return _mutate_text(rng, b"".join(map(pki.to_pem, ders)))
    return b"".join(map(pki.to_pem, ders))


def test_mutated_chains(clique, host, tmp_path):
    """What ccert trusts, openssl verify trusts; everything else is a verdict or a ConfigError."""
    rng = random.Random(20260323)
    chains = [clique.leaf(eku=usages) for usages in ([pki.SERVER], [pki.CLIENT], None, [pki.EMAIL])]
    seeds = [[certificate.der for certificate in chain.sent] for chain in chains]
    strangers = [clique.root.der, *(der for seed in seeds for der in seed)]
    verifier = ccert.ChainVerifier(cafile=host.anchors(clique.root.pem), trust_server_ccerts=True)

    @functools.cache
    def trusted_by_openssl(pem: bytes) -> bool:
        """Let openssl find the leaf, and the others, in the file."""
        chain = Chain([_File(pem), _File(pem)], clique.root.pem)
        return judge(chain, tmp_path, setting=True).trusted

    seen = {"trusted": 0, "untrusted": 0, "unusable": 0}
    for _ in range(COUNT):
        pem = _mutate(rng, rng.choice(seeds), strangers)
        try:
            verdict = verifier.verify(pem)
        except ccert.ConfigError:
            seen["unusable"] += 1
            continue
        if verdict.trust is Trust.UNTRUSTED:
            seen["untrusted"] += 1
            continue
        seen["trusted"] += 1
        assert trusted_by_openssl(pem), pem.decode("latin-1")
    print(seen)
    assert min(seen["trusted"], seen["untrusted"]) >= COUNT // 100
