"""Installing from the tree: what is installed is what the tree has, compiled now."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from programs import ROOT, require_program


def _copy(tree: Path) -> Path:
    """Copy what a wheel is built from."""
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
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree in which a wheel has been built before, by another commit."""
    require_program("gcc")
    tree = _copy(tmp_path_factory.mktemp("install") / "ccert")
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


def test_sdist_is_reproducible(tmp_path):
    """The same files make the same octets, whatever their times, umask and directory."""
    pytest.importorskip("setuptools", minversion="77")
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    packed = []
    for name, umask, mtime in (("one", 0o022, 10**9), ("another", 0o077, 10**9 + 9)):
        tree, out = _copy(tmp_path / name), tmp_path / f"{name}.out"
        for path in tree.rglob("*"):
            path.chmod(path.stat().st_mode & ~umask)
            os.utime(path, (mtime, mtime))
        subprocess.run(
            [sys.executable, "-c", code, out], cwd=tree, umask=umask, check=True,
            env={**os.environ, "SOURCE_DATE_EPOCH": "1000000000"}, capture_output=True,
        )  # fmt: skip
        packed.append(next(out.iterdir()).read_bytes())
    assert packed[0] == packed[1]
