"""The catalogue: which client certificates are trusted, with the setting off and on.

A case is a function whose docstring is its specification.  It gets a :class:`Clique`, returns a
:class:`Chain`, and states only how it deviates from a valid clique member.  The decorator states
the verdict with the setting off and on: "T" trusted, "U26" untrusted with that X509_V_ERR number.
The oracle (``oracle.py``) judges every case independently.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pki
from pki import SERVER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Clique:
    """A valid clique: one root, one intermediate below it, and a directory for files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = pki.issue("Clique Root", ca=True)
        self.ca = pki.issue("Clique CA", self.root, ca=True)

    def leaf(self, **deviation) -> Chain:
        """Return the chain of a member that lists serverAuth, but for the deviation."""
        issuer = deviation.pop("issuer", self.ca)
        deviation.setdefault("eku", [SERVER])
        return Chain([pki.issue("mx.example", issuer, **deviation), self.ca], self.root.pem)

    def below(self, ca: pki.Certificate, **deviation) -> Chain:
        """Return the chain of a member below another intermediate."""
        chain = self.leaf(issuer=ca, **deviation)
        return dataclasses.replace(chain, sent=[chain.sent[0], ca])

    def anchored(self, root: pki.Certificate, **deviation) -> Chain:
        """Return the chain of a member directly below another root."""
        chain = self.leaf(issuer=root, **deviation)
        return dataclasses.replace(chain, sent=chain.sent[:1], anchors=root.pem)


@dataclasses.dataclass(frozen=True)
class Chain:
    sent: list[pki.Certificate]  # leaf first
    anchors: bytes  # the trust file
    level: int = 2  # OpenSSL security level
    depth: int = 9  # Postfix's verify depth


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    description: str
    off: str
    on: str
    build: Callable[[Clique], Chain]

    def __str__(self) -> str:
        return self.name


CASES: list[Case] = []


def case(off: str, on: str):
    def register(build):
        name = build.__name__.replace("_", "-")
        CASES.append(Case(name, build.__doc__.strip(), off, on, build))
        return build

    return register
