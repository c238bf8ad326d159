"""ChainVerifier for many chains: in batches, and in other processes."""

import concurrent.futures
import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import warnings

import pki
import pytest

import ccert
from ccert import ConfigError
from ccert.tls import chain as chain_module


@pytest.fixture(scope="module")
def chains(clique) -> list[list[bytes]]:
    usages = ([pki.SERVER], [pki.CLIENT], [pki.EMAIL])
    made = [[c.der for c in clique.leaf(eku=usage).sent] for usage in usages]
    return [*made, [made[0][0][:-1], made[0][1]], made[0][:1]]  # broken; incomplete


@pytest.mark.parametrize("setting", [False, "observe", True])
@pytest.mark.parametrize("number", [0, 1, 255, 256, 257, 1000])
def test_many_are_each(clique, chains, setting, number):
    """verify_many() gives what verify() gives, in order, whatever is broken among them."""
    verifier = ccert.ChainVerifier(cadata=clique.root.pem, trust_server_ccerts=setting)
    right = [verifier.verify(chain) for chain in chains]
    found = list(verifier.verify_many(chains[n % len(chains)] for n in range(number)))
    assert found == [right[n % len(chains)] for n in range(number)]
    assert [v.would_be for v in found[:5]] == [v.would_be for v in right[: len(found)]]


def test_many_read_little_ahead(clique, chains):
    """An endless iterable is no problem; an error comes when its chain's turn has come."""
    verifier = ccert.ChainVerifier(cadata=clique.root.pem, trust_server_ccerts=True)

    def endless():
        while True:
            yield chains[0]

    verdicts = verifier.verify_many(endless())
    assert all(next(verdicts) for _ in range(1000))
    for place in (0, 1, 255, 256, 300):
        verdicts = verifier.verify_many([*[chains[0]] * place, 1, chains[0]])
        assert all(next(verdicts) for _ in range(place))
        with pytest.raises(TypeError, match="a chain is a path"):
            next(verdicts)
    with pytest.raises(TypeError, match=r"at must be a datetime\.datetime"):
        verifier.verify_many([], at=5)


def test_many_take_one_call_a_batch(clique, chains):
    """Python gives the GIL away once for 256 chains."""
    verifier = ccert.ChainVerifier(cadata=clique.root.pem, trust_server_ccerts=True)
    calls = []

    def profile(_frame, event, argument) -> None:
        if event == "c_call" and "ccert_verifier_verify" in argument.__name__:
            calls.append(argument.__name__)

    sys.setprofile(profile)
    try:
        assert sum(map(bool, verifier.verify_many([chains[0]] * 1000))) == 1000
    finally:
        sys.setprofile(None)
    assert calls == ["ccert_verifier_verify_many"] * 4


def _verify(verifier: ccert.ChainVerifier, chain: list[bytes]) -> tuple[int, ccert.Verdict]:
    return os.getpid(), verifier.verify(chain)


def test_in_processes(host, clique, chains):
    """A verifier goes to other processes as it is; their verdicts are its own."""
    verifier = ccert.ChainVerifier(cafile=host.anchors(clique.root.pem), trust_server_ccerts=True)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        found = list(pool.map(_verify, [verifier] * len(chains), chains))
    assert [verdict for _, verdict in found] == [verifier.verify(chain) for chain in chains]
    assert os.getpid() not in {pid for pid, _ in found}
    assert repr(copy.copy(verifier)) == repr(verifier)


@pytest.mark.parametrize("form", ["cafile", "capath", "cadata"])
def test_pickle_reads_again(clique, tmp_path, monkeypatch, form):
    """The files are read again, from wherever; if they have changed, that is an error."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "cas" / "root.pem"
    path.parent.mkdir()
    path.write_bytes(clique.root.pem)
    subprocess.run(["openssl", "rehash", path.parent], check=True)
    given = {"cafile": "cas/root.pem", "capath": "cas", "cadata": memoryview(clique.root.pem)}
    pickled = pickle.dumps(ccert.ChainVerifier(**{form: given[form]}, verify_depth=3))
    monkeypatch.chdir("/")
    assert "verify_depth=3" in repr(pickle.loads(pickled))
    path.write_bytes(clique.root.pem + b"# another comment\n")
    if form == "cadata":
        assert pickle.loads(pickled)
        return
    with pytest.raises(ConfigError, match="have changed since"):
        pickle.loads(pickled)
    path.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        pickle.loads(pickled)


def test_warned_once(host):
    """A process that gets a verifier does not warn again of what the first one has warned of."""
    roots = b"".join(pki.issue(f"Root {n}", ca=True).pem for n in range(21))
    with pytest.warns(UserWarning, match="21 trusted CAs"):
        verifier = ccert.ChainVerifier(cafile=host.anchors(roots), trust_server_ccerts=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pickle.loads(pickle.dumps(verifier))


def test_no_chain_is_lost(clique, chains):
    """A path whose __fspath__ raises StopIteration does not end the iteration silently."""

    class Odd(os.PathLike):
        def __fspath__(self) -> str:
            return next(iter(()))

    verifier = ccert.ChainVerifier(cadata=clique.root.pem, trust_server_ccerts=True)
    found = verifier.verify_many([chains[0], Odd(), chains[0]])
    assert next(found)
    with pytest.raises(RuntimeError):
        next(found)


class Kind(ccert.ChainVerifier):
    """A class of an application's own."""


def test_pickles_as_what_it_is(clique):
    """A subclass stays one."""
    assert type(pickle.loads(pickle.dumps(Kind(cadata=clique.root.pem)))) is Kind


def test_files_that_change_meanwhile(host, clique, monkeypatch):
    """What was digested is what was loaded."""
    path = host.anchors(clique.root.pem)
    load = chain_module.load_anchors

    def changing(*args) -> None:
        load(*args)
        path.write_bytes(clique.root.pem + b"# another\n")

    monkeypatch.setattr(chain_module, "load_anchors", changing)
    with pytest.raises(ConfigError, match="changed while they were being read"):
        ccert.ChainVerifier(cafile=path)
