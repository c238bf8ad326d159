"""Where things are, and programs in processes of their own."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("ccert")


MISSING: set[str] = set()  # why tests were skipped; conftest.py prints it at the end


def unavailable(reason: str) -> NoReturn:
    """Skip the test; in CI, where nothing may be missing, fail it."""
    __tracebackhide__ = True
    MISSING.add(reason)
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def require_program(name: str) -> str:
    """Return the path of a program that the test needs; without it the test is skipped."""
    __tracebackhide__ = True
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    return path or unavailable(f"{name} is not installed")


def has_gil() -> bool:
    """Tell whether this Python has one; see ``make free-threaded``."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def require_ipv6() -> None:
    """Skip the test where the loopback interface has no IPv6 address."""
    __tracebackhide__ = True
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        unavailable(f"there is no IPv6: {error}")


def children_of(pid: int) -> set[int]:
    """Return the processes that a process's main thread has started."""
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, **environment},
    )  # fmt: skip
