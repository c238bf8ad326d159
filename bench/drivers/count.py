"""Shake hands under callgrind, which counts the server's instructions; run by callgrind.py.

Usage: python count.py LIBRARY DIRECTORY HANDSHAKES, the library being handshake.c compiled and the
directory one with certificates.
"""

import sys
from pathlib import Path

import contexts
from loop import Library, Loop

WARM_UP = 5  # handshakes that look up algorithms and fill caches


def main(library_path: str, directory_path: str, handshakes: str) -> None:
    """Run each pair of contexts, in full and resumed."""
    library, directory = Library(Path(library_path)), Path(directory_path)
    library.make_deterministic()
    told = contexts.frugal(directory)
    library.expect_servers(told)
    cases = (
        ("stock told sslserver", told, "peer"),
        ("ccert attached", contexts.attached(directory), "peer"),
        ("ssl's defaults", contexts.default(directory), "client"),
        ("ServerContext", contexts.server(directory), "client"),
    )
    for name, server, certificate in cases:
        for resume in (False, True):
            client = contexts.client(directory, certificate)
            loop = Loop(library, server, client, resume=resume)
            loop.run(WARM_UP)
            loop.counted(int(handshakes), f"{name}, {'resumed' if resume else 'full'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
