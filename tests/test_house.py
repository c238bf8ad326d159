"""The house keeps its arrows: who imports whom, in one direction only."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ccert

HOUSE = Path(ccert.__file__).parent
# from the roof down: each may import what stands after it
ROOMS = ("cli", "server", "aiosmtpd", "postfix", "tls", "_openssl", "everybody's")
EVERYBODYS = {"errors", "names", "text", "verdict", "x509_errors"}
DOORS = {"__init__", "__main__", "_ffi"}  # the public names, python -m, the extension


def _room(parts: tuple[str, ...]) -> str:
    return "everybody's" if parts[0] in EVERYBODYS else parts[0]


def _imports(path: Path) -> set[str]:
    """Name the rooms that a module imports from, for types only as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "ccert":
            found |= {_room((alias.name,)) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ccert."):
            if node.module != "ccert._ffi":  # the extension itself
                found.add(_room(tuple(node.module.split(".")[1:])))
        elif isinstance(node, ast.Import):
            dotted = [alias.name.split(".") for alias in node.names]
            found |= {
                _room(tuple(parts[1:])) for parts in dotted if parts[0] == "ccert" and parts[1:]
            }
    return found


def _modules() -> list[tuple[str, ...]]:
    paths = (path.relative_to(HOUSE).with_suffix("") for path in HOUSE.rglob("*.py"))
    return sorted(path.parts for path in paths if path.parts[0] not in DOORS)


@pytest.mark.parametrize("parts", _modules(), ids=".".join)
def test_arrows_go_one_way(parts):
    """A module imports from its own room and from those below; a command may use public names."""
    room = _room(parts)
    below = set(ROOMS[ROOMS.index(room) :])
    imported = _imports((HOUSE / Path(*parts)).with_suffix(".py"))
    public = {"AccessTable", "ChainVerifier", "ServerContext", "Trust", "__version__"}
    public |= set(ccert.__all__)
    if room in {"cli", "server"}:
        imported -= public
    assert imported <= below, f"{'.'.join(parts)} imports {imported - below}"


def test_arrows_are_looked_at(tmp_path):
    """The contrast: an import that goes up is seen, also one for types or within a function."""
    for text, room in (
        ("from ccert.server.config import Config", "server"),
        ("def f():\n    import ccert.cli.check", "cli"),
        ("from ccert import postfix", "postfix"),
        ("from ccert.errors import CcertError", "everybody's"),
    ):
        (tmp_path / "module.py").write_text(text)
        assert _imports(tmp_path / "module.py") == {room}


@pytest.mark.parametrize("room", [room for room in ROOMS if (HOUSE / room).is_dir()])
def test_rooms_say_what_they_are_for(room):
    """A room's docstring tells in a few lines what lives there, and who may import it."""
    text = ast.get_docstring(ast.parse((HOUSE / room / "__init__.py").read_text()))
    assert 2 <= len(text.splitlines()) <= 6
    assert "may import" in text.lower()
    assert re.search(r"may import it|may be imported by|\buse it", text)


def test_files_are_short():
    """A file is one noun, and fits on a few screens."""
    root = Path(__file__).parents[1]
    for folder, pattern, limit in (
        ("tests", "*.py", 350),
        ("bench", "*.py", 250),
        ("src/ccert", "*.py", 280),
        ("csrc", "*.[ch]", 380),
    ):
        for path in (root / folder).rglob(pattern):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= limit, path


def test_the_lock_is_of_what_is_wanted():
    """Whatever pyproject.toml wants for tests and builds is pinned, in a version that it allows."""
    root = Path(__file__).parents[1]
    if not (root / ".ci").is_dir():
        pytest.skip("an sdist has no .ci")
    command = [sys.executable, ".ci/requirements"]
    wanted = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    pinned = {}
    for line in (root / ".ci/requirements.txt").read_text("utf-8").splitlines():
        if line.startswith("    --hash=sha256:"):
            continue
        requirement = Requirement(line.removesuffix(" \\"))
        if requirement.marker is None or requirement.marker.evaluate():
            (version,) = requirement.specifier
            assert version.operator == "=="
            pinned[canonicalize_name(requirement.name)] = version.version
    for requirement in map(Requirement, wanted.splitlines()):
        if requirement.marker is None or requirement.marker.evaluate():
            name = canonicalize_name(requirement.name)
            assert requirement.specifier.contains(pinned[name]), name


def draw() -> None:
    """Print which room imports from which; ``python tests/test_house.py``."""
    arrows: dict[str, set[str]] = {room: set() for room in ROOMS}
    for parts in _modules():
        arrows[_room(parts)] |= _imports((HOUSE / Path(*parts)).with_suffix(".py"))
    for room in ROOMS:
        below = [name for name in ROOMS if name in arrows[room] - {room}]
        print(f"{room:12} -> {', '.join(below) or '-'}")


if __name__ == "__main__":
    draw()
