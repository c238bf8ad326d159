"""What sslyze finds on ``ccert serve``, beside a server of stock ssl."""

from __future__ import annotations

import itertools
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

ATTEMPTS = 5  # to sslyze, a slow connection is refused
_WANTED = (  # not "robot": where certificates are asked for, with stock, too, it ends by chance
    "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "compression", "openssl_ccs",
    "fallback", "heartbleed", "reneg", "resum", "early_data", "elliptic_curves", "ems",
)  # fmt: skip
# From one run to the next; openssl_name, because sslyze has two for one cipher suite.
_DIFFERS = {"ephemeral_key", "error_message", "openssl_name"}


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
        found: dict[str, dict[str, Any]] = {"stock": {}, "STARTTLS": {}, "TLS": {}}
        for _ in range(ATTEMPTS):
            again = {
                "stock": _scan(python, stock),
                "STARTTLS": _scan(python, starttls, "--starttls", "smtp"),
                "TLS": _scan(python, implicit),
            }
            unsettled = [check for check in again["stock"] if not _settled(found, check)]
            for place, check in itertools.product(again, unsettled):
                found[place][check] = again[place][check]
            if all(_settled(found, check) for check in unsettled):
                break
    return found


def _settled(found: dict[str, dict[str, Any]], check: str) -> bool:
    """Return whether a check ended alike on each server."""
    results = [result.get(check) for result in found.values()]
    return results[0] is not None and all(result == results[0] for result in results)


def _scan(python: Path, port: int, *options: str) -> dict[str, Any]:
    wanted = [f"--{name}" for name in (*_WANTED, "slow_connection")]
    words = [*options, *wanted, "--mozilla_config", "disable", f"localhost:{port}"]
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(
            [python, "-W", "ignore", "-m", "sslyze", "--quiet", "--json_out", out.name, *words],
            stdout=subprocess.DEVNULL, check=True, timeout=300,
        )  # fmt: skip
        (result,) = json.load(out)["server_scan_results"]
    return {
        name: _comparable(check["result"]) or check["error_reason"]
        for name, check in result["scan_result"].items()
        if check["status"] != "NOT_SCHEDULED"
    }


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items() if key not in _DIFFERS}
    if isinstance(value, list):
        return sorted((_comparable(item) for item in value), key=str)
    return value
