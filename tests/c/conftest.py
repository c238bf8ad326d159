"""What the tests of the C files share: the programs, compiled."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest
from compiled import compile_c
from programs import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """Return a function that compiles a program of tests/c, each kind once a session.

    A program is a file, or a folder of files.
    """
    directory = tmp_path_factory.mktemp("c")

    @functools.cache
    def compiled(name: str, *flags: str) -> Path:
        folder = ROOT / "tests/c" / name
        sources = sorted(folder.glob("*.c")) or [folder.with_suffix(".c")]
        path = directory / "-".join((name, *(flag.strip("-") for flag in flags))).replace("/", "_")
        return compile_c(path, sources, *flags)

    return compiled
