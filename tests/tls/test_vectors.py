"""The test vectors of docs/vectors: complete, reproducible, and ccert agrees with them.

Strategy: the generator runs as users run it, but with ccert out of its reach, for an instant years
from now, so that nothing passes only because of the clock.  What is tested then reads its files.
"""

import datetime
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from cases import CASES
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import ccert

VECTORS = Path(__file__).parents[2] / "docs" / "vectors"
FILES = {"roots.pem", "chain.pem", "key.pem", "case.json"}
NOW = "2031-05-06T07:08:09Z"
NAMES = [case.name for case in CASES]
WITHOUT_CCERT = """\
import runpy, sys
sys.modules["ccert"] = None
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def _generator(*arguments: str | Path) -> subprocess.Popen:
    command = [sys.executable, "-c", WITHOUT_CCERT, VECTORS / "generate.py", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> dict[str, Path]:
    """Two sets alike, and one of another seed that is made for today."""
    top = tmp_path_factory.mktemp("vectors")
    options = {
        "one": ["--seed", "7", "--now", NOW],
        "same": ["--seed", "7", "--now", NOW],
        "other": ["--seed", "8"],
    }
    running = {name: _generator(top / name, *options[name]) for name in options}
    for name, process in running.items():
        stdout, stderr = process.communicate(timeout=100)
        assert process.returncode == 0, stderr
        assert stderr == ""  # no progress bar off a terminal
        assert stdout.splitlines()[-1] == f"{len(CASES)} cases in {top / name}"
    return {name: top / name for name in options}


@pytest.fixture(scope="module")
def vectors(generated) -> Path:
    return generated["one"]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((VECTORS / "schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _instant(vectors: Path) -> datetime.datetime:
    text = _json(vectors / "manifest.json")["now"].replace("Z", "+00:00")
    return datetime.datetime.fromisoformat(text)


def _contents(vectors: Path, pattern: str = "**/*") -> dict[Path, bytes]:
    paths = (path for path in vectors.glob(pattern) if path.is_file())
    return {path.relative_to(vectors): path.read_bytes() for path in paths}


def test_every_case_is_written(vectors):
    """Each case of the catalogue has a directory with its files, and nothing else is written."""
    expected = {Path(name, file) for name in NAMES for file in FILES} | {Path("manifest.json")}
    assert set(_contents(vectors)) == expected


def test_manifest_says_how_to_get_the_same(vectors, validator):
    """The manifest follows the schema and holds seed, instant, judge and cases in order."""
    manifest = _json(vectors / "manifest.json")
    validator.validate(manifest)
    assert (manifest["seed"], manifest["now"], manifest["cases"]) == (7, NOW, NAMES)
    assert manifest["openssl"].startswith("OpenSSL ")


@pytest.mark.parametrize("name", NAMES)
def test_case_follows_the_schema(name, vectors, validator):
    """Each case.json is valid and named as its directory."""
    case = _json(vectors / name / "case.json")
    validator.validate(case)
    assert case["name"] == name


@pytest.mark.parametrize(
    "wrong",
    [
        {"trusted": True},
        {"error_code": 0},
        {"error": ""},
        {"error_depth": None},
        {"as_server": True},
        {"remark": ""},
    ],
    ids=str,
)
def test_schema_refuses_contradictions(wrong, vectors, validator):
    """The schema is no rubber stamp: a verdict that contradicts itself, or has more, is invalid."""
    case = _json(vectors / "ee-server" / "case.json")
    case["expected"]["off"] |= wrong
    assert not validator.is_valid(case)


def test_same_seed_and_instant_give_the_same_octets(generated):
    """The seed and the instant decide every octet of every file, whenever the generator runs."""
    assert _contents(generated["one"]) == _contents(generated["same"])


def test_another_seed_gives_others(generated):
    """Another seed gives each case another root, chain and key; keys depend on nothing else."""
    one, other = (_contents(generated[name], "*/*.pem") for name in ("one", "other"))
    assert one.keys() == other.keys()
    assert not set(one.values()) & set(other.values())


@pytest.mark.parametrize("name", NAMES)
def test_expectation_depends_on_neither_seed_nor_clock(name, generated):
    """Made for today or for years from now, from any seed: the verdicts are the same."""
    one, other = (_json(generated[which] / name / "case.json") for which in ("one", "other"))
    assert one == other


@pytest.mark.parametrize("name", NAMES)
def test_key_is_the_leafs(name, vectors):
    """key.pem belongs to the first certificate, so that a client can present the chain."""
    key = serialization.load_pem_private_key(
        (vectors / name / "key.pem").read_bytes(), None, unsafe_skip_rsa_key_validation=True
    )
    leaf = x509.load_pem_x509_certificate((vectors / name / "chain.pem").read_bytes())
    assert key.public_key() == leaf.public_key()


@pytest.mark.parametrize("setting", ["off", "on"])
@pytest.mark.parametrize("name", NAMES)
def test_ccert_agrees(name, setting, vectors):
    """From these files alone, ccert comes to the verdict that openssl verify gave."""
    directory = vectors / name
    case = _json(directory / "case.json")
    expected = case["expected"][setting]
    verdict = ccert.ChainVerifier(
        cafile=directory / "roots.pem",
        trust_server_ccerts=setting == "on",
        verify_depth=case["verify_depth"],
        auth_level=case["auth_level"],
    ).verify(directory / "chain.pem", _instant(vectors))
    assert (verdict.trust is ccert.Trust.TRUSTED) == expected["trusted"], verdict
    assert verdict.trusted_as_server == (expected["trusted"] and expected["as_server"]), verdict
    assert verdict.error_code == expected["error_code"], verdict
    assert verdict.error_depth == expected["error_depth"], verdict


@pytest.mark.parametrize("setting", ["off", "on"])
@pytest.mark.parametrize("name", NAMES)
def test_command_of_the_readme_reproduces_the_expectation(name, setting, vectors):
    """The README's openssl verify gives each expectation, error and depth included."""
    readme = (VECTORS / "README.md").read_text(encoding="utf-8")
    script = re.search(r"<!-- tested: verify -->\n```sh\n(.*?)```", readme, re.DOTALL)[1]
    case = _json(vectors / name / "case.json")
    expected = case["expected"][setting]
    values = {
        "auth_level": case["auth_level"],
        "verify_depth": case["verify_depth"],
        "purpose": "sslserver" if expected["as_server"] else "sslclient",
        "now": int(_instant(vectors).timestamp()),
    }
    assignments = "".join(f"{variable}={value}\n" for variable, value in values.items())
    done = subprocess.run(
        ["sh", "-c", assignments + script],
        cwd=vectors / name,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode == 0) == expected["trusted"], done
    first = re.search(r"error (\d+) at (\d+) depth lookup: *(.*)", done.stderr)
    found = (int(first[1]), first[3], int(first[2])) if first else (0, "", None)
    assert found == (expected["error_code"], expected["error"], expected["error_depth"])


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ([], "required: DIRECTORY"),
        (["{full}"], "no empty directory"),
        (["{full}/file"], "no empty directory"),
        (["{full}/file/below"], "cannot write"),
        (["{empty}", "--seed", "-1"], "--seed"),
        (["{empty}", "--seed", "1.5"], "not a number"),
        (["{empty}", "--now", "yesterday"], "not like"),
        (["{empty}", "--now", "1066-10-14T09:00:00Z"], "year"),
    ],
    ids=str,
)
def test_wrong_usage_ends_with_status_2(arguments, phrase, tmp_path):
    """What cannot be meant is refused in a line that says why, and nothing is written."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    places = {"full": tmp_path / "full", "empty": tmp_path / "empty"}
    process = _generator(*(argument.format(**places) for argument in arguments))
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (2, "")
    assert phrase in stderr.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full"]


def test_help_teaches():
    """--help names every file that is written, and shows how to get the same again."""
    stdout, _ = (process := _generator("--help")).communicate(timeout=30)
    assert process.returncode == 0
    for word in (*FILES, "manifest.json", "--seed 7 --now 2026"):
        assert word in stdout
