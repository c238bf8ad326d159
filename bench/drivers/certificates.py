"""A clique's certificates, in files as contexts.py wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pki

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

__all__ = ["write_certificates"]

USAGES = {"peer": pki.SERVER, "client": pki.CLIENT, "signer": pki.CODE, "server": pki.SERVER}


def write_certificates(
    directory: Path, keys: Sequence[PrivateKeyTypes | None] = (None,) * 4
) -> tuple[pki.Certificate, pki.Certificate, dict[str, pki.Certificate]]:
    """Write chains with their keys, and the root's certificate; PEM.

    Args:
        directory: gets ``server.pem``; ``peer.pem``, whose certificate lists serverAuth only;
            ``client.pem``, clientAuth only, as stock OpenSSL wants it; ``signer.pem``, for code
            signing; and ``root.pem``.
        keys: of the root, the intermediate, the clients and the server; None: P-256.

    Returns:
        the root, the intermediate, and the hosts by the names of their files.
    """
    root = pki.issue("Root", ca=True, key=keys[0])
    intermediate = pki.issue("Intermediate", root, ca=True, path_length=0, key=keys[1])
    hosts = {}
    for name, usage in USAGES.items():
        key = keys[3 if name == "server" else 2]
        host = pki.issue("mx.example", intermediate, eku=[usage], names=["mx.example"], key=key)
        (directory / f"{name}.pem").write_bytes(host.pem + intermediate.pem + host.key_pem)
        hosts[name] = host
    (directory / "root.pem").write_bytes(root.pem)
    return root, intermediate, hosts
