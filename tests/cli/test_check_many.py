"""``ccert check`` of many chains, in many formats, from many servers."""

import asyncio
import contextlib
import datetime
import json
import ssl
import subprocess
import threading

import pki
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from ccert.cli import main


@pytest.fixture
def cafile(host, clique) -> str:
    return str(host.anchors(clique.root.pem))


@pytest.fixture
def chain(clique):
    """A member's chain, with names."""
    return clique.leaf(names=["mx.partner.example", "*.partner.example"])


@pytest.mark.parametrize("form", ["pem", "der", "p7b-pem", "p7b-der", "p7b-openssl"])
def test_formats(chain, cafile, tmp_path, capsys, form):
    """Whatever the file is called, what is in it decides; PKCS #7 is put in order."""
    certificates = [x509.load_der_x509_certificate(c.der) for c in chain.sent]
    path = tmp_path / "chain"
    if form == "pem":
        path.write_bytes(b"".join(c.pem for c in chain.sent))
    elif form == "der":
        path.write_bytes(chain.sent[0].der)
    elif form == "p7b-openssl":
        for number, certificate in enumerate(chain.sent):
            (tmp_path / f"{number}.pem").write_bytes(certificate.pem)
        options = [f"-certfile={tmp_path}/{number}.pem" for number in (1, 0)]
        words = ["openssl", "crl2pkcs7", "-nocrl", *(w for o in options for w in o.split("="))]
        path.write_bytes(subprocess.run(words, capture_output=True, check=True).stdout)
    else:
        encoding = Encoding.PEM if form == "p7b-pem" else Encoding.DER
        path.write_bytes(pkcs7.serialize_certificates(certificates[::-1], encoding))
    status = main(["check", "--json", "--trust-server-ccerts", "--cafile", cafile, str(path)])
    report = json.loads(capsys.readouterr().out)
    assert report["names"] == ([] if form == "der" else ["mx.partner.example", "*.partner.example"])
    roles = [certificate["role"] for certificate in report["certificates"]]
    assert roles == (["leaf"] if form == "der" else ["leaf", "intermediate"])
    assert status == (form == "der")  # without its intermediate it is not trusted


@pytest.mark.parametrize("octets", [b"\x30\x03\x02\x01\x01", b"\x30\x82", b"x", b"\x00" * 100])
def test_no_chain(cafile, tmp_path, capsys, octets):
    """What is none is an error in a line, and the other files are still checked."""
    (tmp_path / "odd").write_bytes(octets)
    assert main(["check", "--cafile", cafile, str(tmp_path / "odd")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_name(chain, cafile, host, capsys):
    """--name: a trusted chain counts only if it is valid for that host."""
    path = str(host.write("chain.pem", b"".join(c.pem for c in chain.sent)))
    words = ["check", "--trust-server-ccerts", "--cafile", cafile, path]
    for name, status in (
        ("mx.partner.example", 0),
        ("MX7.Partner.example.", 0),
        ("a.b.partner.example", 1),
        ("partner.example", 1),
    ):
        assert main([*words, "--name", name]) == status
        assert ("not valid for" in capsys.readouterr().out) is bool(status)
    assert main([*words, "--name", "*.example"]) == 2


def test_days(clique, cafile, host, capsys):
    """--warn-days marks what ends soon; only --strict counts it."""
    files = []
    for days in (5, 28):
        chain = clique.leaf(end=datetime.timedelta(days=days, hours=1))
        files.append(str(host.write(f"{days}.pem", b"".join(c.pem for c in chain.sent))))
    words = ["check", "--trust-server-ccerts", "--cafile", cafile, *files]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "expires in 5 days: ask the peer to renew it" in out
    assert "expires in 28 days: ask" not in out
    assert main([*words, "--strict"]) == 1
    assert main([*words, "--strict", "--warn-days", "4"]) == 0
    assert main([*words, "--strict", "--warn-days", "40"]) == 1


def test_summary(chain, clique, cafile, host, capsys):
    """After several chains there is a table; after one, or with JSON, there is none.

    In a pipe, long paths are not folded.
    """
    directory = host.directory / ("long" * 40)
    directory.mkdir(exist_ok=True)
    good = str(host.write(f"{directory}/good.pem", b"".join(c.pem for c in chain.sent)))
    bad = clique.leaf(eku=[pki.EMAIL])
    bad = str(host.write(f"{directory}/bad.pem", b"".join(c.pem for c in bad.sent)))
    main(["check", "--cafile", cafile, good])
    assert "what to do" not in capsys.readouterr().out
    main(["check", "--json", "--cafile", cafile, good, bad])
    assert "what to do" not in capsys.readouterr().out
    main(["check", "--cafile", cafile, good, bad])
    table = capsys.readouterr().out.partition("what to do")[2]
    assert table.count(good) == table.count(bad) == 1
    main(["check", "--cafile", cafile, *[good] * 60, bad])
    table = capsys.readouterr().out.partition("what to do")[2]
    assert table.count("good.pem") == 60  # the setting rescues it: something is to be done


def test_attribute_names(clique, cafile, host, capsys):
    """Attributes of names are shown by the names that people know."""
    attributes = {
        NameOID.SERIAL_NUMBER: "HRB 1", NameOID.BUSINESS_CATEGORY: "Private Organization",
        NameOID.JURISDICTION_COUNTRY_NAME: "DE", NameOID.ORGANIZATION_IDENTIFIER: "X",
    }  # fmt: skip
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes.items()])
    leaf = pki.issue(name, clique.ca, eku=[pki.SERVER])
    main(["check", "--cafile", cafile, str(host.write("ev.pem", leaf.pem + clique.ca.pem))])
    out = capsys.readouterr().out
    assert (
        "organizationIdentifier=X,jurisdictionC=DE,businessCategory=Private Organization,"
        "serialNumber=HRB 1"
    ) in out


@contextlib.contextmanager
def _serving(context: ssl.SSLContext, count: int):
    """Run TLS servers in a thread; yields their ports."""
    started, ports = threading.Event(), []

    async def serve() -> None:
        async def answer(reader, writer) -> None:
            with contextlib.suppress(OSError):
                await reader.read()
                writer.close()

        servers = [
            await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) for _ in range(count)
        ]
        ports.extend(server.sockets[0].getsockname()[1] for server in servers)
        started.set()
        await stop.wait()
        for server in servers:
            server.close()

    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(20)
    yield ports
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()


def test_peers(chain, cafile, host, tmp_path, capsys, unused_port):
    """Servers from a file and from options; one that is not there harms no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = b"".join(c.pem for c in chain.sent) + chain.sent[0].key_pem
    context.load_cert_chain(host.write("server.pem", pem))
    with _serving(context, 12) as ports:
        lines = ["\ufeff# partners", "", *(f"127.0.0.1:{port}  # x" for port in ports[:11])]
        lines.insert(5, f"127.0.0.2:{unused_port}")
        (tmp_path / "peers").write_text("\r\n".join(lines))
        words = ["check", "--json", "--cafile", cafile, "--peers", str(tmp_path / "peers")]
        assert main([*words, "--connect", f"localhost:{ports[11]}"]) == 2
    captured = capsys.readouterr()
    reports = [json.loads(line) for line in captured.out.splitlines()]
    names = [f"localhost:{ports[11]}", *(f"127.0.0.1:{port}" for port in ports[:11])]
    assert [report["file"] for report in reports] == names
    assert captured.err == f"ccert: 127.0.0.2:{unused_port}: Connection refused\n"
    assert [report["valid_for_host"] for report in reports] == [False] + [None] * 11


@pytest.mark.parametrize("line", ["mx.example:port", ":25", "[::1]:0"])
def test_bad_peers_file(cafile, tmp_path, capsys, line):
    """A line that names no server is an error with its number."""
    (tmp_path / "peers").write_text(f"# x\n{line}\n")
    assert main(["check", "--cafile", cafile, "--peers", str(tmp_path / "peers")]) == 2
    assert f"{tmp_path}/peers, line 2: give HOST:PORT" in capsys.readouterr().err


def test_default_port(cafile, tmp_path, capsys, monkeypatch):
    """Without a port it is SMTP's: 25 with STARTTLS, else 465."""
    asked = []

    async def refuse(host: str, port: int, **_: object) -> None:
        asked.append((host, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, "open_connection", refuse)
    (tmp_path / "peers").write_text("mx.example\n[::1]\n")
    words = ["check", "--cafile", cafile, "--peers", str(tmp_path / "peers")]
    assert main(words) == main([*words, "--starttls", "smtp"]) == 2
    assert sorted(asked) == [(h, p) for h in ("::1", "mx.example") for p in (25, 465)]
    capsys.readouterr()
