"""The tutorial, step by step, with the programs that it uses."""

import re
import subprocess
from pathlib import Path

from pages import block
from programs import COMMAND, require_program
from serving import serving as mail_server

PAGE = "docs/tutorial.md"


def test_tutorial(tmp_path, monkeypatch):
    """The partner is Untrusted at first, then Trusted; the stranger is refused."""
    require_program("swaks")
    monkeypatch.chdir(tmp_path)
    demo, change = block(PAGE, "demo").strip().splitlines()
    subprocess.run([COMMAND, *demo.split()[1:]], check=True, capture_output=True, timeout=60)
    monkeypatch.chdir(tmp_path / change.split()[1])
    configuration = block(PAGE, "ccert.cf")
    file = tmp_path / "clique" / "ccert.cf"
    assert file.read_text() == configuration
    options = block(PAGE, "serve").split()[2:]
    with mail_server(Path("maildir"), *options, "--listen", "127.0.0.1:0") as server:
        assert _swaks("partner", server).returncode == 0
        for shown in block(PAGE, "untrusted").strip().splitlines():
            server.wait_for(_pattern(shown))
        assert len(server.messages()) == 1
    name = "tls_trust_server_ccerts"
    file.write_text(re.sub(rf"{name} = .*\n", block(PAGE, "closed"), configuration))
    with mail_server(Path("maildir"), *options, "--listen", "127.0.0.1:0") as server:
        assert _swaks("partner", server).returncode == 0
        for shown in block(PAGE, "trusted").strip().splitlines():
            server.wait_for(_pattern(shown))
        assert "554" in _swaks("stranger", server).stdout
        server.wait_for(_pattern(block(PAGE, "refused").strip()))
        assert len(server.messages()) == 2


def _swaks(who: str, server) -> subprocess.CompletedProcess:
    command = block(PAGE, who).replace("127.0.0.1:8025", f"127.0.0.1:{server.ports[0]}")
    return subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False, timeout=60
    )


def _pattern(shown: str) -> str:
    return re.escape(shown).replace("…", ".*")
