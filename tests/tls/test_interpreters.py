"""Interpreters in one process: those that share a GIL share ccert, the others are told no."""

import sys

import pytest
from programs import has_gil, run_python

RUN = """
import sys; sys.path[:0] = {path!r}
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def run(kind, code):
    if sys.version_info >= (3, 13):
        made = interpreters.create(kind)
    else:
        made = interpreters.create(isolated=kind == "isolated")
    try:
        failed = interpreters.run_string(made, code)
        if failed:
            print(failed.formatted)
    except interpreters.RunFailedError as error:  # until 3.12
        print(error)
    interpreters.destroy(made)
"""
SHAKE = """
import sys; sys.path[:0] = {path!r}
import ccert, pairs, ssl
files = dict(certfile={certfile!r}, keyfile={keyfile!r}, cafile={anchors!r})
server = ccert.ServerContext(**files, trust_server_ccerts=True)
client = ssl.create_default_context(cafile={cafile!r})
client.load_cert_chain({member!r})
pair = pairs.handshake(server, client)
print(ccert.peer(pair.server.tls).trusted_as_server, flush=True)
"""


@pytest.fixture
def texts(host, clique) -> tuple[str, str]:
    """RUN and SHAKE, with the names of files in them."""
    leaf, *others = clique.leaf().sent
    sent = b"".join([leaf.key_pem, leaf.pem, *(other.pem for other in others)])
    values = {
        "path": sys.path,
        "anchors": str(host.anchors(clique.root.pem)),
        "member": str(host.write("member.pem", sent)),
        **{name: str(getattr(host, name)) for name in ("certfile", "keyfile", "cafile")},
    }
    return RUN.format(**values), SHAKE.format(**values)


@pytest.mark.skipif(not has_gil(), reason="there is no GIL to share")
@pytest.mark.parametrize("order", ["first", "later"])
def test_a_shared_gil(texts, order):
    """Each shakes hands; one that ends with its connections takes nothing along."""
    run, shake = texts
    twice = f"run('legacy', {shake!r})\nrun('legacy', {shake!r})\n"
    main = f"{shake}\nfirst = pair\n"
    again = f"{shake}\nassert ccert.peer(first.server.tls).trusted_as_server\n"
    done = run_python(run + (main + twice + again if order == "first" else twice + main + again))
    assert (done.returncode, done.stdout) == (0, "True\n" * 4), done.stderr


@pytest.mark.skipif(sys.version_info < (3, 12), reason="all interpreters share a GIL")
def test_a_gil_of_its_own(texts):
    """It is refused, with the reason, and the main interpreter does not notice."""
    run, shake = texts
    done = run_python(
        f"{run}\n{shake}\nrun('isolated', 'import ccert')\nassert ccert.peer(pair.server.tls)"
    )
    assert "UnsupportedRuntime" in done.stdout, done.stderr
    assert "not in one that has a GIL of its own" in done.stdout
    assert done.returncode == 0, done.stderr
