"""What sslyze finds on ``ccert serve``, beside a server of stock ssl."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server import serving
from serving import BOTH
from serving import serving as mail_serving

if TYPE_CHECKING:
    from server import Identity

ATTEMPTS = 3  # a connection that takes too long counts as refused
_WANTED = (
    "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "compression", "openssl_ccs",
    "fallback", "heartbleed", "robot", "reneg", "resum", "early_data", "elliptic_curves", "ems",
)  # fmt: skip
_DIFFERS = {"ephemeral_key", "error_message"}  # from one connection to the next


def run_scans(python: Path, identity: Identity) -> dict[str, dict[str, Any]]:
    """Scan; return the result of each check, by server.

    Args:
        python: an interpreter that has sslyze.
        identity: of the servers.
    """
    files = ["--cert", identity.certificate, "--key", identity.certificate]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving("stock", "scanned", identity) as stock,
        mail_serving(Path(folder) / "Mail", *files, *BOTH) as mail,
    ):
        starttls, implicit = mail.ports
        found = {"stock": _scan(python, stock)}
        for _ in range(ATTEMPTS):
            found["STARTTLS"] = _scan(python, starttls, "--starttls", "smtp")
            found["TLS"] = _scan(python, implicit)
            if found["STARTTLS"] == found["TLS"] == found["stock"]:
                break
    return found


def _scan(python: Path, port: int, *options: str) -> dict[str, Any]:
    wanted = [f"--{name}" for name in _WANTED]
    words = [*options, *wanted, "--mozilla_config", "disable", f"localhost:{port}"]
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(
            [python, "-W", "ignore", "-m", "sslyze", "--quiet", "--json_out", out.name, *words],
            stdout=subprocess.DEVNULL, check=True, timeout=300,
        )  # fmt: skip
        (result,) = json.load(out)["server_scan_results"]
    return {
        name: _comparable(check["result"])
        for name, check in result["scan_result"].items()
        if check["status"] != "NOT_SCHEDULED"
    }


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items() if key not in _DIFFERS}
    if isinstance(value, list):
        return sorted((_comparable(item) for item in value), key=str)
    return value
