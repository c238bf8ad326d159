"""What most tests share: a host with its identity, a clique, and contexts for both."""

from __future__ import annotations

import _ssl
import dataclasses
import os
import re
import shutil
import socket
import ssl
import sys
from importlib import metadata
from pathlib import Path

import hypothesis
import pki
import pytest
from cases import Chain, Clique
from foreign import ForeignClient
from pairs import VERSIONS
from programs import MISSING
from sessions import NO_TICKET

import ccert
from ccert import _openssl

_PROPERTIES = {
    "deadline": None,  # seconds are no property
    "suppress_health_check": [hypothesis.HealthCheck.function_scoped_fixture],
}
if not os.access(".", os.W_OK):  # Hypothesis would keep its examples here, and warns
    _PROPERTIES["database"] = None
for _name, _examples in (("usual", 300), ("long", 20_000)):  # --hypothesis-profile=long
    hypothesis.settings.register_profile(_name, max_examples=_examples, **_PROPERTIES)
hypothesis.settings.load_profile("usual")


def pytest_configure(config) -> None:
    if sys.version_info < (3, 11):  # its asyncio does not notice that the peer has closed
        ignored = "ignore:unclosed transport <asyncio.sslproto:ResourceWarning"
        config.addinivalue_line("filterwarnings", ignored)
    if (3, 12) <= sys.version_info < (3, 12, 2):  # nor closes a stream whose task was cancelled
        for message in ("loop is closed", "unclosed (transport|<socket)"):
            config.addinivalue_line("filterwarnings", f"ignore:{message}:ResourceWarning")


def pytest_report_header() -> list[str]:
    packages = ("aiosmtpd", "cryptography", "cffi", "trio", "uvloop")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    return [
        f"ccert {ccert.__version__} from {ccert.__file__}",
        f"{ssl.OPENSSL_VERSION}, Python {sys.version.split()[0]}, {versions}",
    ]


@pytest.fixture(scope="session", autouse=True)
def _versions(record_testsuite_property):
    """Write into the file of --junitxml what docs/platforms.py reads there."""
    record_testsuite_property("OpenSSL", _openssl.library()[0].split()[1])
    record_testsuite_property("Python", sys.version.split()[0])


def pytest_terminal_summary(terminalreporter) -> None:
    """Say it last where judges were missing: a green run without them proves less."""
    for reason in sorted(MISSING):
        terminalreporter.write_line(f"NOT TESTED: {reason}", yellow=True)


@dataclasses.dataclass(frozen=True)
class Host:
    """The server under test: its certificate files and the CA that clients know it by."""

    certfile: Path
    keyfile: Path
    cafile: Path
    directory: Path

    def write(self, name: str, content: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content)
        return path

    def anchors(self, chain: Chain | bytes) -> Path:
        """Write a trust file."""
        content = chain if isinstance(chain, bytes) else chain.anchors
        return self.write(f"anchors-{hash(content):x}.pem", content)

    def context(self, chain: Chain | bytes | None = None, **settings) -> ccert.ServerContext:
        """Make a server context that trusts the chain's anchors."""
        if chain is not None:
            settings["cafile"] = self.anchors(chain)
        if isinstance(chain, Chain):
            settings.setdefault("verify_depth", chain.depth)
        context = ccert.ServerContext(self.certfile, self.keyfile, **settings)
        if isinstance(chain, Chain):
            context.set_ciphers(f"DEFAULT:@SECLEVEL={chain.level}")
        return context

    def verifier(self, chain: Chain, *, setting: bool) -> ccert.ChainVerifier:
        """Make a verifier that trusts the chain's anchors, with its depth and level."""
        return ccert.ChainVerifier(
            cafile=self.anchors(chain),
            trust_server_ccerts=setting,
            verify_depth=chain.depth,
            auth_level=chain.level,
        )

    def stock(self, chain: Chain | bytes | None = None) -> ssl.SSLContext:
        """Make a server context without ccert."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certfile, self.keyfile)
        if chain is not None:
            context.load_verify_locations(self.anchors(chain))
        return context

    def foreign(self, chain: Chain) -> ForeignClient:
        """Make a client on another OpenSSL, which presents any chain."""
        return ForeignClient(self.cafile, chain)

    def client(self, chain: Chain | None = None) -> ssl.SSLContext:
        """Make a client context that presents the chain, whatever its strength."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.cafile)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        if chain is not None:
            pems = [certificate.pem for certificate in chain.sent]
            path = self.write("client.pem", b"".join([*pems, chain.sent[0].key_pem]))
            context.load_cert_chain(path)
        return context


@pytest.fixture(scope="session")
def host(tmp_path_factory) -> Host:
    directory = tmp_path_factory.mktemp("host")
    root = pki.issue("Host Root", ca=True)
    leaf = pki.issue(
        "mx.example", root, eku=[pki.SERVER], names=["mx.example", "mx2.example", "localhost"]
    )
    files = {"host.pem": leaf.pem, "host.key": leaf.key_pem, "host-ca.pem": root.pem}
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return Host(*(directory / name for name in files), directory)


@pytest.fixture(scope="session")
def clique(tmp_path_factory) -> Clique:
    return Clique(tmp_path_factory.mktemp("clique"))


@pytest.fixture(params=VERSIONS.values(), ids=VERSIONS.keys())
def version(request) -> ssl.TLSVersion:
    return request.param


@pytest.fixture
def unused_port() -> int:
    """A loopback port that was free a moment ago, for servers that cannot choose one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def pin(version):
    """Return a function that confines contexts to one TLS version."""

    def pin(*contexts: ssl.SSLContext) -> None:
        for context in contexts:
            context.minimum_version = context.maximum_version = version

    return pin


@pytest.fixture(params=["stateful", "stateless"])
def keep(request):
    """Return a function that makes a context keep its sessions in memory or in tickets."""

    def keep(context: ssl.SSLContext) -> None:
        if request.param == "stateless":
            context.options &= ~NO_TICKET
            context.num_tickets = 2
        else:
            assert context.options & NO_TICKET
            assert context.num_tickets == 1

    return keep


@pytest.fixture
def member(host, clique, pin):
    """A client that lists serverAuth only."""
    client = host.client(clique.leaf())
    pin(client)
    return client


@pytest.fixture(scope="session")
def another_libssl(tmp_path_factory) -> Path:
    """A copy of ccert whose extension is linked with a copy of OpenSSL under another soname.

    So is a wheel that brings its own libssl, or a Python that is linked with one statically.
    """
    if int(_openssl.library()[0].split()[1][0]) != ssl.OPENSSL_VERSION_INFO[0]:
        pytest.skip("ccert and ssl run on two versions of OpenSSL already")
    directory = tmp_path_factory.mktemp("another")
    package = shutil.copytree(Path(ccert.__file__).parent, directory / "ccert")
    maps = Path("/proc/self/maps").read_text()
    for stem in ("libssl", "libcrypto"):
        path = Path(re.search(rf"\S+/{stem}\.so\.\d", maps)[0])
        (directory / f"{stem}.so.Z").write_bytes(_renamed(path.read_bytes()))
    for extension in package.glob("_ffi*.so"):
        extension.write_bytes(_renamed(extension.read_bytes()))
    (directory / "python").mkdir()  # the same for Python's own ssl
    if "_ssl" not in sys.builtin_module_names:
        module = Path(_ssl.__file__)
        (directory / "python" / module.name).write_bytes(_renamed(module.read_bytes()))
    return directory


def _renamed(elf: bytes) -> bytes:
    return re.sub(rb"(lib(?:ssl|crypto)\.so\.)\d\0", rb"\1Z\0", elf)
