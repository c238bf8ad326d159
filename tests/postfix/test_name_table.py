"""NameTable: whose certificate is valid for a listed name.  X509_check_host(3) is the judge."""

import pki
import pytest
from check_host import is_valid_for
from hypothesis import example, given
from hypothesis import strategies as st

import ccert
from ccert.names import dns_name


def _verdict(*names: str, trust: ccert.Trust = ccert.Trust.TRUSTED) -> ccert.Verdict:
    return ccert.Verdict(
        trust=trust, trusted_as_server=True, error="", error_code=0, error_depth=None,
        subject="mx.example", issuer="", names=names, fingerprint="", pubkey_fingerprint="",
    )  # fmt: skip


@pytest.fixture
def table(tmp_path):
    """Return a function that makes a table of some lines."""

    def table(*keys: str) -> ccert.NameTable:
        (tmp_path / "names").write_text("".join(f"{key} OK\n" for key in keys))
        return ccert.NameTable(tmp_path / "names")

    return table


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["mx.partner.example"], "mx.partner.example"),
        (["other.example", "MX2.partner.example".lower()], "mx2.partner.example"),
        (["*.partner.example"], "mx.partner.example"),
        (["mx.sub.domain.example"], ".domain.example"),
        (["*.domain.example"], ".domain.example"),
        (["*.sub.domain.example"], ".domain.example"),
        (["domain.example"], None),
        (["partner.example"], None),
        (["*.example"], None),
        (["*.mx.partner.example"], None),
        (["xmx.partner.example"], None),
        (["notdomain.example"], None),
        ([], None),
    ],
)
def test_lookup(table, names, found):
    """Exact, or by a wildcard for one label; a domain lists what is below it, and not itself."""
    clients = table("mx.partner.example", "MX2.Partner.Example.", ".domain.example")
    assert clients.lookup(_verdict(*names)) == found
    for trust in (ccert.Trust.UNTRUSTED, ccert.Trust.ANONYMOUS):
        assert clients.lookup(_verdict(*names, trust=trust)) is None


LABEL = st.sampled_from(["a", "b", "mx", "xn--a", "a-b", "a_b"])
HOST = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
KEY = st.builds(lambda dot, host: "." * dot + host, st.booleans(), HOST)
PATTERN = st.builds(lambda star, host: "*." * star + host, st.booleans(), HOST)


@given(keys=st.sets(KEY, min_size=1, max_size=6), names=st.lists(PATTERN, min_size=1, max_size=3))
@example(keys={".a.b"}, names=["*.a.b"])
@example(keys={".a"}, names=["*.a"])
@example(keys={"a_b.a.b"}, names=["*.a.b"])
def test_as_openssl(tmp_path_factory, keys, names):
    """A client is listed if, and only if, its certificate is valid for one of the names."""
    path = tmp_path_factory.mktemp("names") / "table"
    path.write_text("".join(f"{key} x\n" for key in keys))
    leaf = pki.issue("x", names=names)
    known = tuple(filter(None, (dns_name(name.encode()) for name in names)))
    found = ccert.NameTable(path).lookup(_verdict(*known))
    assert (found is not None) is any(is_valid_for(leaf.der, key) for key in keys)
    assert found is None or is_valid_for(leaf.der, found)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("mx.example\n", 1, "no right-hand side"),
        ("# x\n\n*.example OK\n", 3, "write .DOMAIN for all hosts below it"),
        ("mx.example OK\nMX.example OK\n", 2, "the same key as in line 1"),
        ("mx..example OK\n", 1, "is no host name"),
        (".  OK\n", 1, "is no host name"),
        ("192.0.2.1 OK\n", 1, "is no host name"),
        ("m\u00fcx.example OK\n", 1, "write the name as A-labels"),
        ("m\u212a.example OK\n", 1, "write the name as A-labels"),  # lower() makes it a "k"
        ("mx.example:25 OK\n", 1, "is no host name"),
        ("4F:0C OK\n", 1, "is no host name"),
    ],
)
def test_bad_line(tmp_path, text, line, problem):
    """What is no name is an error where it stands, not at the first mail."""
    (tmp_path / "names").write_text(text)
    with pytest.raises(ccert.ConfigError) as error:
        ccert.NameTable(tmp_path / "names")
    assert f"{tmp_path}/names, line {line}: " in str(error.value)
    assert problem in str(error.value)


def test_windows_editor(tmp_path):
    """A byte order mark and CRLF do not matter."""
    (tmp_path / "names").write_bytes(b"\xef\xbb\xbfmx.example OK\r\n# x\r\n.a.example OK\r\n")
    clients = ccert.NameTable(tmp_path / "names")
    assert clients.lookup(_verdict("mx.example")) == "mx.example"
    assert clients.lookup(_verdict("b.a.example")) == ".a.example"


def test_changed_file(table, caplog):
    """It is read again when it has changed; a broken one leaves the old content, and a line."""
    clients = table("mx.example")
    assert clients.lookup(_verdict("mx2.example")) is None
    table("mx2.example")
    assert clients.lookup(_verdict("mx2.example")) == "mx2.example"
    with pytest.raises(ccert.ConfigError):
        table("*.example")
    assert clients.lookup(_verdict("mx2.example")) == "mx2.example"
    assert [record.getMessage().endswith("the old table stays") for record in caplog.records] == [
        True
    ]


def test_cost_does_not_grow(table):
    """A look-up looks at as many entries in a large table as in a small one."""
    costs = {}
    for size in (10, 10_000):
        clients = table(*(f"mx{n}.p{n % 100}.example" for n in range(size)), ".a.example")
        looks = _CountingSet(clients._content.hosts)
        clients._content = clients._content._replace(hosts=looks)
        for name in ("mx7.p7.example", "no.where.example", "*.p7.example", "b.a.example"):
            clients.lookup(_verdict(name))
        costs[size] = looks.count
    assert costs[10] == costs[10_000] == 4


class _CountingSet(frozenset):
    count = 0

    def __contains__(self, name: object) -> bool:
        self.count += 1
        return super().__contains__(name)
