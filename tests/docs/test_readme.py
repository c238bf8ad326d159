"""The README is short, and what it shows is so."""

import re
import subprocess

import pairs
import pki
from pages import block, text
from programs import COMMAND

import ccert

PAGE = "README.md"


def test_short():
    """Whoever wants more follows a link."""
    assert len(text(PAGE).splitlines()) <= 160


def test_warning_stands_on_top():
    """The warning comes before the first command."""
    assert 0 < text(PAGE).index("[!WARNING]") < text(PAGE).index("```")


def test_aiosmtpd_example(example, files, host, clique):
    """The example delivers mail of a listed serverAuth-only host, and refuses others'."""
    row = re.search(r"`(mx\.partner\.example OK)`", text(PAGE).replace("\n", " "))[1]
    (files / "relay_clientnames").write_text(f"{row}\n")
    with example(block(PAGE, "aiosmtpd")) as server:
        partner = {"names": ["mx.partner.example"]}
        assert server.reply_to(host.client(clique.leaf(**partner))) == 250
        expired = clique.leaf(start=-9 * pki.DAY, end=-2 * pki.DAY, **partner)
        other = clique.leaf(names=["mx.other.example"])
        assert [server.reply_to(host.client(chain)) for chain in (expired, other)] == [554, 554]
        assert server.reply_to(None) == 554
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
    rows = [
        line.rstrip() for line in done.stdout.splitlines() if "yes" in line and "=yes" not in line
    ]
    assert rows
    for row in rows:
        assert row in text(PAGE), row
