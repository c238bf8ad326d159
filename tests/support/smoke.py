"""What an installed ccert must be able to do: import, and trust a serverAuth-only client.

``make sdist`` runs it with an empty venv's Python, outside of the tree.
"""

import ssl
import sys
import tempfile
from pathlib import Path

import pairs
import pki

import ccert

assert Path(ccert.__file__).is_relative_to(sys.prefix), ccert.__file__
with tempfile.TemporaryDirectory() as name:
    directory = Path(name)
    root = pki.issue("Root", ca=True)
    leaf = pki.issue("mx.example", root, eku=[pki.SERVER], names=["mx.example"])
    (directory / "root.pem").write_bytes(root.pem)
    (directory / "leaf.pem").write_bytes(leaf.pem + leaf.key_pem)
    client = ssl.create_default_context(cafile=directory / "root.pem")
    client.load_cert_chain(directory / "leaf.pem")
    words = []
    for setting in (False, True):
        server = ccert.ServerContext(
            directory / "leaf.pem",
            cafile=directory / "root.pem",
            trust_server_ccerts=setting,
        )
        words.append(ccert.peer(pairs.handshake(server, client).server.tls).trust.value)
assert words == ["Untrusted", "Trusted"], words
print(f"ccert {ccert.__version__} from {ccert.__file__}: off {words[0]}, on {words[1]}")
