"""What a handshake costs the server, in instructions: ccert's callbacks, and its ServerContext.

Strategy: TLS 1.3 handshakes of the bare loop between Python's own contexts (handshake.c), random
numbers the same in each run, the server's calls alone counted (SSL_new, SSL_do_handshake, SSL_free)
after a few handshakes that are not.  So a difference of 0.01 % is one.
"""

from __future__ import annotations

import ssl
import subprocess
import sys

from c_programs import DRIVERS
from callgrind import profile
from report import Row

HANDSHAKES = 20
STOCK_DOES = ("X509_verify_cert", "X509_get_extended_key_usage")  # the first calls the second

SERVER = "the server's SSL_new, SSL_do_handshake and SSL_free, in a loop of C"
EMULATED = "as valgrind counts: on an emulated CPU without SHA instructions"
IS_3_0 = ssl.OPENSSL_VERSION_INFO[:2] == (3, 0)  # where two tickets cost more than later
ROWS = (
    Row(
        "instructions: ccert attached / stock told sslserver",
        "ccert attached, full", "stock told sslserver, full",
        f"{SERVER}; full handshake; the same context, certificates and session settings, once with "
        "ccert's callbacks (client_hello, verify, ticket), once with purpose and trust set",
        "<= 1.001" if IS_3_0 else "<= 1.002", digits=4,
        caveat=f"{EMULATED}; the verify callback is the row below, the rest is what guards "
        "sessions: a SHA-256 for the session id context, and the server's name",
    ),
    Row(
        "  ... the verify callback alone",
        "stock and the verify callback", "stock told sslserver, full",
        "its instructions without X509_verify_cert() and X509_get_extended_key_usage(), whose work "
        "stock OpenSSL does as well, added to stock's",
        "<= 1.001", digits=4,
    ),
    Row(
        "  ... resumed", "ccert attached, resumed", "stock told sslserver, resumed",
        "as the first, resumed: no certificate is verified", digits=4,
    ),
    Row(
        "instructions: ServerContext / ssl's default, full",
        "ServerContext, full", "ssl's defaults, full",
        f"{SERVER}; clientAuth certificates, which both accept",
        "<= 0.72" if IS_3_0 else "<= 0.89", kinds=("P-256",), digits=3,
        caveat=f"{EMULATED}; most of the difference is one session in memory instead of two "
        "tickets, which cost more in OpenSSL 3.0 than later; OP_NO_TICKET and num_tickets=1 do the "
        "same for ssl's contexts",
    ),
    Row(
        "  ... resumed", "ServerContext, resumed", "ssl's defaults, resumed",
        "the same, resumed", "<= 0.41" if IS_3_0 else "<= 0.81", kinds=("P-256",), digits=3,
        caveat=EMULATED,
    ),
)  # fmt: skip


def test_instructions(clique, library, tmp_path, record, smoke):
    """Count; the loop asserts that both ends trust each other, and resume when they should."""
    command = [sys.executable, DRIVERS / "count.py", library.path, clique.directory]
    if smoke:
        subprocess.run([*command, "1"], check=True)
        return
    parts = profile(tmp_path, *command, str(HANDSHAKES))
    assert len(parts) == 8
    for name, part in parts.items():
        functions = {function: count / HANDSHAKES for function, count in part.functions.items()}
        record(name, part.instructions / HANDSHAKES, "instructions", functions=functions)
    attached = parts["ccert attached, full"]
    stock_does = [n for (_, callee), n in attached.calls.items() if callee in STOCK_DOES]
    assert len(stock_does) == len(STOCK_DOES)
    own = attached.functions["ccert_verify_callback"] - sum(stock_does)
    stock = parts["stock told sslserver, full"].instructions
    record("stock and the verify callback", (stock + own) / HANDSHAKES, "instructions")


def test_loop_looks(clique, library, tmp_path):
    """The loop does assert: a certificate for code signing fails it."""
    (tmp_path / "root.pem").symlink_to(clique.cafile)
    (tmp_path / "server.pem").symlink_to(clique.directory / "server.pem")
    (tmp_path / "peer.pem").symlink_to(clique.directory / "signer.pem")
    (tmp_path / "client.pem").symlink_to(clique.directory / "client.pem")
    command = [sys.executable, DRIVERS / "count.py", library.path, tmp_path, "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "UnexpectedError" in done.stderr
