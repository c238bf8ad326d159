"""Check many chains without a connection; print a summary as JSON."""

from __future__ import annotations

import collections
import dataclasses
import json
import sys
from pathlib import Path

import ccert


def summary(paths: list[Path], verifier: ccert.ChainVerifier) -> dict[str, object]:
    trust: collections.Counter[ccert.Trust] = collections.Counter()
    refused: list[dict[str, object]] = []
    unreadable: list[str] = []
    for path in paths:
        try:
            verdict: ccert.Verdict = verifier.verify(path)
        except ccert.ConfigError as error:
            unreadable.append(str(error))
            continue
        trust[verdict.trust] += 1
        if not verdict:
            refused.append({"file": path.name, **dataclasses.asdict(verdict)})
    return {"trust": trust, "refused": refused[:10], "unreadable": unreadable}


if __name__ == "__main__":
    print(
        json.dumps(
            summary(
                [Path(name) for name in sys.stdin.read().split()],
                ccert.ChainVerifier(cafile="clique-cas.pem", trust_server_ccerts=True),
            )
        )
    )
