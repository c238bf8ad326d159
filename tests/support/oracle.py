"""The judge: ``openssl verify``, which has never heard of ccert.

Which purpose applies follows from what ``openssl x509`` prints of the leaf's EKU; which verdict,
from what ``openssl verify`` says for that purpose.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime
    from pathlib import Path

    from cases import Chain


@dataclasses.dataclass(frozen=True)
class Judgement:
    as_server: bool  # the purpose was the server's
    error_code: int  # the first error, 0: trusted
    error_depth: int  # -1: trusted
    transcript: str = dataclasses.field(compare=False)

    @property
    def trusted(self) -> bool:
        return self.error_code == 0


def _run(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}"


def is_server_only(leaf: Path) -> bool:
    """Tell by OpenSSL's printout whether the leaf's EKU lists serverAuth and not clientAuth."""
    _, text = _run("openssl", "x509", "-in", leaf, "-noout", "-text")
    printed = re.findall(r"X509v3 Extended Key Usage:[^\n]*\n *([^\n]*)", text)
    if len(printed) != 1:  # absent, or repeated
        return False
    usages = printed[0].split(", ")
    server, client = (f"TLS Web {side} Authentication" for side in ("Server", "Client"))
    return server in usages and client not in usages


def judge(
    chain: Chain, directory: Path, *, setting: bool, at: datetime.datetime | None = None
) -> Judgement:
    """Judge a chain, then or now, as a TLS server with the setting off or on would have to."""
    leaf, others, anchors = (directory / name for name in ("leaf.pem", "sent.pem", "anchors.pem"))
    leaf.write_bytes(chain.sent[0].pem)
    others.write_bytes(b"".join(certificate.pem for certificate in chain.sent[1:]))
    anchors.write_bytes(chain.anchors)
    as_server = setting and is_server_only(leaf)
    untrusted = ["-untrusted", others] if chain.sent[1:] else []
    moment = ["-attime", str(int(at.timestamp()))] if at else []
    status, transcript = _run(
        "openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", anchors, *untrusted, *moment,
        "-auth_level", str(chain.level), "-verify_depth", str(chain.depth + 1),
        "-purpose", "sslserver" if as_server else "sslclient", leaf,
    )  # fmt: skip
    first = re.search(r"error (\d+) at (\d+) depth lookup", transcript)
    assert (status == 0) == (first is None), transcript
    if first is None:
        return Judgement(as_server, 0, -1, transcript)
    return Judgement(as_server, int(first[1]), int(first[2]), transcript)
