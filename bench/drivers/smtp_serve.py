"""``ccert serve`` under load: trusted clients only."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from serving import serving

TICKS = os.sysconf("SC_CLK_TCK")  # a second


class Serve:
    """Answers as smtp_server.py does."""

    def __init__(self, server, maildir: Path) -> None:
        self._server, self._maildir = server, maildir
        self.port = server.ports[0]

    def ask(self) -> dict[str, float]:
        """Count what is in the Maildir, and the workers' CPU seconds."""
        new = self._maildir / "new"
        delivered = sum(1 for _ in os.scandir(new))
        ticks = 0
        for pid in self._server.workers():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return {"delivered": delivered, "trusted": delivered, "cpu": ticks / TICKS}


@contextlib.contextmanager
def serve(directory: Path, scratch: str, workers: int = 1):
    """Run it until the block ends.

    Args:
        directory: as in contexts.py.
        scratch: where the Maildir is to be.
        workers: processes.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as path:
        maildir = Path(path, "Maildir")
        options = [
            "--cert", directory / "server.pem", "--cafile", directory / "root.pem",
            "--trust-server-ccerts", "yes", "--require-trusted", "--workers", workers,
        ]  # fmt: skip
        with serving(maildir, *options) as server:
            yield Serve(server, maildir)
