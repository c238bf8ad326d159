"""Cases of the chain: trust settings, intermediates, what is never forgiven, level and depth."""

from __future__ import annotations

import dataclasses
import functools

import pki
from catalogue import CASES, Case, Chain, Clique, case
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from pki import CLIENT, EMAIL, PRIVATE, SERVER

# -- trust settings of the anchor (TRUSTED CERTIFICATE) --


def _aux(clique: Clique, *settings: str, **deviation) -> Chain:
    anchors = pki.with_trust(clique.root, *settings, directory=clique.directory)
    return dataclasses.replace(clique.leaf(**deviation), anchors=anchors)


@case("U28", "T")
def root_rejects_client(clique):
    """Once switched, the root's rejection of clientAuth no longer counts."""
    return _aux(clique, "-addreject", "clientAuth")


@case("U28", "U28")
def root_rejects_client_ee_client(clique):
    """It does count for a client's leaf."""
    return _aux(clique, "-addreject", "clientAuth", eku=[CLIENT])


@case("U26", "U28")
def root_rejects_server(clique):
    """Once switched, the root's rejection of serverAuth counts."""
    return _aux(clique, "-addreject", "serverAuth")


@case("T", "T")
def root_rejects_server_ee_client(clique):
    """It does not count for a client's leaf."""
    return _aux(clique, "-addreject", "serverAuth", eku=[CLIENT])


@case("U26", "U28")
def root_trusts_client(clique):
    """A root trusted for clientAuth only does not vouch for a serverAuth leaf."""
    return _aux(clique, "-addtrust", "clientAuth")


@case("U28", "T")
def root_trusts_server(clique):
    """A root trusted for serverAuth only does."""
    return _aux(clique, "-addtrust", "serverAuth")


@case("U28", "U28")
def root_trusts_server_ee_client(clique):
    """A root trusted for serverAuth only does not vouch for a client's leaf."""
    return _aux(clique, "-addtrust", "serverAuth", eku=[CLIENT])


def _self_signed(clique: Clique, *settings: str) -> Chain:
    leaf = pki.issue("mx.example", eku=[SERVER])
    if settings:
        return Chain([leaf], pki.with_trust(leaf, *settings, directory=clique.directory))
    return Chain([leaf], leaf.pem)


@case("U26", "T")
def ee_self_signed_trusted(clique):
    """A self-signed serverAuth leaf that is itself in the trust file."""
    return _self_signed(clique)


@case("T", "U28")
def ee_self_signed_trusted_for_client(clique):
    """The one case where the setting takes trust away: direct trust, for clientAuth only."""
    return _self_signed(clique, "-addtrust", "clientAuth")


@case("U18", "U18")
def ee_self_signed(clique):
    """A self-signed leaf that nobody vouches for."""
    return Chain([pki.issue("mx.example", eku=[SERVER])], clique.root.pem)


# -- which intermediate --


def _twins(clique: Clique) -> tuple[pki.Certificate, pki.Certificate]:
    good = pki.issue("Twin CA", clique.root, ca=True)
    bad = pki.issue("Twin CA", clique.root, ca=True, eku=[EMAIL], key=good.key)
    return good, bad


@case("U26", "T")
def ca_twins_good_first(clique):
    """Of two intermediates of one name and key, the first sent is used."""
    good, bad = _twins(clique)
    chain = clique.below(good)
    return dataclasses.replace(chain, sent=[chain.sent[0], good, bad])


@case("U26", "U26")
def ca_twins_bad_first(clique):
    """... without backtracking."""
    good, bad = _twins(clique)
    chain = clique.below(good)
    return dataclasses.replace(chain, sent=[chain.sent[0], bad, good])


@case("U26", "T")
def ca_twins_good_trusted(clique):
    """One in the trust file is used before one that is sent."""
    good, bad = _twins(clique)
    chain = clique.below(good)
    return dataclasses.replace(chain, sent=[chain.sent[0], bad], anchors=chain.anchors + good.pem)


# -- what the setting never forgives --


@case("U26", "U10")
def ee_expired(clique):
    """Expired; with the setting off the purpose hides it."""
    return clique.leaf(start=-3 * pki.DAY, end=-pki.DAY)


@case("U10", "U10")
def ee_client_expired(clique):
    """Expired, a client's."""
    return clique.leaf(eku=[CLIENT], start=-3 * pki.DAY, end=-pki.DAY)


@case("U26", "U9")
def ee_not_yet_valid(clique):
    """Not yet valid."""
    return clique.leaf(start=pki.DAY)


@case("U26", "U10")
def ca_expired(clique):
    """Below an expired intermediate."""
    ca = pki.issue("Old CA", clique.root, ca=True, start=-3 * pki.DAY, end=-pki.DAY)
    return clique.below(ca)


@case("U26", "U10")
def root_expired(clique):
    """Below an expired root."""
    return clique.anchored(pki.issue("Old Root", ca=True, start=-3 * pki.DAY, end=-pki.DAY))


@case("U20", "U20")
def root_unknown(clique):
    """Below a root that is not in the trust file."""
    other = pki.issue("Other Root", ca=True)
    return dataclasses.replace(clique.anchored(other), anchors=clique.root.pem)


@case("U19", "U19")
def root_unknown_sent(clique):
    """Below a root that is sent, but not in the trust file."""
    other = pki.issue("Other Root", ca=True)
    chain = clique.anchored(other)
    return dataclasses.replace(chain, sent=[*chain.sent, other], anchors=clique.root.pem)


@case("U20", "U20")
def root_same_name(clique):
    """Below a root with the trusted one's name and another key."""
    return dataclasses.replace(
        clique.anchored(pki.issue("Clique Root", ca=True)), anchors=clique.root.pem
    )


@case("U20", "U20")
def ca_missing(clique):
    """The client does not send its intermediate."""
    chain = clique.leaf()
    return dataclasses.replace(chain, sent=chain.sent[:1])


@case("U2", "U2")
def ca_as_anchor(clique):
    """Only the intermediate is in the trust file: no partial chains."""
    return dataclasses.replace(clique.leaf(), anchors=clique.ca.pem)


@case("U26", "U7")
def ee_bad_signature(clique):
    """The leaf's signature is by another key of the same name."""
    impostor = dataclasses.replace(clique.ca, key=pki.new_key())
    return clique.leaf(issuer=impostor)


@case("U26", "T")
def root_bad_signature(clique):
    """A root's own signature is not looked at."""
    root = pki.issue("Scratched Root", ca=True)
    scratched = root.der[:-1] + bytes([root.der[-1] ^ 1])
    return dataclasses.replace(clique.anchored(root), anchors=pki.to_pem(scratched))


@case("U26", "U47")
def ca_name_constraints(clique):
    """The intermediate may issue for another domain only."""
    other = x509.NameConstraints([x509.DNSName("elsewhere.example")], None)
    ca = pki.issue("Elsewhere CA", clique.root, ca=True, extensions=[(other, True)])
    return clique.below(ca, names=["mx.example"])


@case("U26", "U25")
def ca_path_length(clique):
    """An intermediate below one that allows none."""
    short = pki.issue("Short CA", clique.root, ca=True, path_length=0)
    low = pki.issue("Low CA", short, ca=True)
    chain = clique.below(low)
    return dataclasses.replace(chain, sent=[*chain.sent, short])


@case("U34", "U34")
def ee_unknown_critical(clique):
    """A critical extension that OpenSSL does not know."""
    unknown = pki.extension(PRIVATE, b"\x05\x00")
    return clique.leaf(extensions=[(unknown, True)])


@case("U26", "U79")
def ca_is_no_ca(clique):
    """The intermediate is a leaf itself."""
    return clique.below(pki.issue("mx2.example", clique.root, eku=None))


@case("U26", "T")
def ee_is_ca(clique):
    """A leaf that is a CA, too."""
    return clique.leaf(ca=True, usage=pki.key_usage("key_cert_sign", "digital_signature"))


# -- security level and depth --


def _rsa(clique: Clique, level: int, *, bits: int = 2048, digest: hashes.HashAlgorithm) -> Chain:
    del clique
    root = pki.issue("RSA Root", ca=True, key=pki.rsa_key(2048, 1))
    leaf = pki.issue("mx.example", root, eku=[SERVER], key=pki.rsa_key(bits), digest=digest)
    return Chain([leaf], root.pem, level=level)


def _level(name: str, on: str, level: int, **weakness) -> None:
    CASES.append(
        Case(
            f"ee-{name}-level-{level}",
            f"A weak certificate at OpenSSL's security level {level}.",
            on if on == "U66" else "U26",
            on,
            functools.partial(_rsa, level=level, **weakness),
        )
    )


_level("md5", "T", 0, digest=hashes.MD5())
_level("md5", "U68", 1, digest=hashes.MD5())
_level("sha1", "T", 0, digest=hashes.SHA1())
_level("sha1", "U68", 1, digest=hashes.SHA1())
_level("rsa768", "T", 0, bits=768, digest=hashes.SHA256())
_level("rsa768", "U66", 1, bits=768, digest=hashes.SHA256())
_level("rsa1024", "T", 1, bits=1024, digest=hashes.SHA256())
_level("rsa1024", "U66", 2, bits=1024, digest=hashes.SHA256())
_level("rsa2048", "T", 2, bits=2048, digest=hashes.SHA256())


def _deep(clique: Clique, intermediates: int, depth: int) -> Chain:
    chain = [clique.root]
    for number in range(intermediates):
        chain.append(pki.issue(f"CA {number}", chain[-1], ca=True))
    leaf = pki.issue("mx.example", chain[-1], eku=[SERVER])
    return Chain([leaf, *reversed(chain[1:])], clique.root.pem, depth=depth)


def _depth(on: str, intermediates: int, depth: int) -> None:
    CASES.append(
        Case(
            f"ca-{intermediates}-deep-depth-{depth}",
            f"{intermediates} intermediates at Postfix's verify depth {depth}.",
            "U26" if on == "T" else on,
            on,
            functools.partial(_deep, intermediates=intermediates, depth=depth),
        )
    )


_depth("T", 10, 9)
_depth("U22", 11, 9)
_depth("T", 1, 0)
_depth("U22", 2, 0)
