"""The README is short, and what it shows is so."""

import subprocess

import pairs
import pki
from pages import block, text
from programs import COMMAND

import ccert

PAGE = "README.md"


def test_short():
    """Whoever wants more follows a link."""
    assert len(text(PAGE).splitlines()) <= 150


def test_warning_stands_on_top():
    """The warning comes before the first command."""
    assert 0 < text(PAGE).index("[!WARNING]") < text(PAGE).index("```")


def test_aiosmtpd_example(example, host, clique):
    """The example delivers mail of a serverAuth-only member, and refuses a stranger's."""
    with example(block(PAGE, "aiosmtpd")) as server:
        assert server.reply_to(host.client(clique.leaf())) == 250
        assert (
            server.reply_to(host.client(clique.leaf(start=-9 * pki.DAY, end=-2 * pki.DAY))) == 554
        )
        assert server.reply_to(None) == 530
    assert server.delivered() == 1


def test_peer_example(host, clique):
    """The condition holds for the partner that it names, and not with the setting off."""
    code = block(PAGE, "peer").replace("...", "found.append(peer)")
    chain = clique.leaf(names=["mx.partner.example"])
    for setting in (False, True):
        pair = pairs.handshake(host.context(chain, trust_server_ccerts=setting), host.client(chain))
        names = {"ccert": ccert, "connection": pair.server.tls, "found": []}
        exec(code, names)
        assert bool(names["found"]) is setting


def test_demo_table_is_current():
    """The table shown is the one that make demo prints."""
    done = subprocess.run([COMMAND, "demo"], capture_output=True, text=True, check=True, timeout=60)
    rows = [line.rstrip() for line in done.stdout.splitlines() if "yes" in line]
    assert rows
    for row in rows:
        assert row in text(PAGE), row
