"""Installing from the tree: what is installed is what the tree has, compiled now."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from programs import ROOT, require_program


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree in which a wheel has been built before, by another commit."""
    require_program("gcc")
    tree = tmp_path_factory.mktemp("install") / "ccert"
    tree.mkdir()
    for name in ("csrc", "src", "docs/man"):
        ignored = shutil.ignore_patterns("*.egg-info", "__pycache__", "*.so")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in (
        "setup.py",
        "build_ffi.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "MANIFEST.in",
    ):
        shutil.copy(ROOT / name, tree)
    assert _wheel(tree).returncode == 0
    (extension,) = (tree / "build").rglob("_ffi.*.so")
    extension.with_name("removed_upstream.py").write_text("")
    return tree


def _wheel(tree, **environment: str) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--quiet"]
    return subprocess.run(
        [*words, "--wheel-dir", tree / "wheels", tree],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_without_a_compiler(tree):
    """An old shared object is not packed again: the installation fails."""
    done = _wheel(tree, CC="/bin/false")
    assert done.returncode != 0
    assert "/bin/false" in done.stdout + done.stderr


def test_a_removed_module_is_gone(tree):
    """A module that the new commit has no more is not installed."""
    assert _wheel(tree).returncode == 0
    (wheel,) = (tree / "wheels").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "ccert/errors.py" in names
    assert not [name for name in names if "removed_upstream" in name]
