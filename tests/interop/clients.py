"""clients - programs that carry one message to 127.0.0.1 over TLS, each in its own words."""

from __future__ import annotations

import dataclasses
import subprocess
import tempfile
from typing import TYPE_CHECKING

from mailserver import TIMEOUT
from mta import environment
from programs import require_program

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from cases import Chain
    from conftest import Host

MESSAGE = "Subject: hello\r\n\r\nHow are you?\r\n"
# One command in small letters: s_client takes what begins with "R" for a command to itself.
DIALOGUE = (
    "EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nrcpt to:<b@mx.example>\r\nDATA\r\n"
    + MESSAGE
    + ".\r\nQUIT\r\n"
)


@dataclasses.dataclass(frozen=True)
class Identity:
    """A client's certificates and key, in files."""

    leaf: Path  # with its key
    others: Path | None
    everything: Path

    @classmethod
    def write(cls, host: Host, chain: Chain) -> Identity:
        leaf, *others = chain.sent
        name = f"identity-{hash(leaf.der):x}"
        above = b"".join(certificate.pem for certificate in others)
        return cls(
            host.write(f"{name}.pem", leaf.pem + leaf.key_pem),
            host.write(f"{name}-others.pem", above) if others else None,
            host.write(f"{name}-all.pem", leaf.pem + above + leaf.key_pem),
        )


@dataclasses.dataclass(frozen=True)
class Errand:
    port: int
    cafile: Path  # of the server's CA
    implicit: bool = False  # TLS at once; otherwise STARTTLS
    identity: Identity | None = None
    version: ssl.TLSVersion | None = None
    dialogue: str = DIALOGUE  # s_client and gnutls-cli


def run(*command: str | Path | None, send: str = "", **variables: str) -> str:
    """Run a program that ends when the server has closed; return what it printed.

    Its input stays open until then: at its end gnutls-cli would leave before the answers.
    Words that are None are left out; the variables are for its environment.
    """
    words = [str(word) for word in command if word is not None]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [require_program(words[0]), *words[1:]],
            stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
            env=environment() | variables,
        )  # fmt: skip
        try:
            process.stdin.write(send.encode())
            process.stdin.flush()
            process.wait(TIMEOUT)
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
        output.seek(0)
        return output.read().decode()


def s_client(errand: Errand, *options: str | Path) -> str:
    """OpenSSL's own client."""
    identity = errand.identity
    version = {"TLSv1_2": "-tls1_2", "TLSv1_3": "-tls1_3"}
    return run(
        "openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{errand.port}",
        *([] if errand.implicit else ["-starttls", "smtp"]),
        "-CAfile", errand.cafile, "-verify_return_error", "-verify_hostname", "mx.example",
        *(["-cert", identity.leaf, "-key", identity.leaf] if identity else []),
        *(["-cert_chain", identity.others] if identity and identity.others else []),
        version[errand.version.name] if errand.version else None,
        *options,
        send=errand.dialogue,
    )  # fmt: skip


def gnutls_cli(errand: Errand, *options: str) -> str:
    """A TLS library that is not OpenSSL."""
    identity = errand.identity
    version = {"TLSv1_2": "VERS-TLS1.2", "TLSv1_3": "VERS-TLS1.3"}
    return run(
        "gnutls-cli", "--port", str(errand.port),
        None if errand.implicit else "--starttls-proto=smtp",
        "--x509cafile", errand.cafile, "--verify-hostname=mx.example",
        *(["--x509certfile", identity.everything] if identity else []),
        *(["--x509keyfile", identity.everything] if identity else []),
        f"--priority=NORMAL:-VERS-ALL:+{version[errand.version.name]}" if errand.version else None,
        *options, "127.0.0.1",
        send=errand.dialogue,
    )  # fmt: skip


def swaks(errand: Errand) -> str:
    """A mail client in Perl, on Net::SSLeay; Debian's sends the leaf alone, whatever the file."""
    identity = errand.identity
    version = {"TLSv1_2": "tlsv1_2", "TLSv1_3": "tlsv1_3"}
    return run(
        "swaks", "-4", "--server", "localhost", "--port", str(errand.port),
        "--helo", "client.example", "--from", "a@client.example", "--to", "b@mx.example",
        "--data", MESSAGE.replace("\r\n", "\\n"),
        "--tlsc" if errand.implicit else "--tls", "--tls-verify", "--tls-ca-path", errand.cafile,
        *(["--tls-cert", identity.leaf, "--tls-key", identity.leaf] if identity else []),
        *(["--tls-protocol", version[errand.version.name]] if errand.version else []),
    )  # fmt: skip


def posttls_finger(errand: Errand, config: Path) -> str:
    """Postfix's TLS client without its queue: it connects twice, and brings nothing."""
    (config / "main.cf").write_text("compatibility_level = 3.6\nmyhostname = client.example\n")
    return run(
        "posttls-finger", "-c", "-l", "verify", "-r", "1", "-F", errand.cafile,
        *(["-k", errand.identity.everything] if errand.identity else []),
        f"[127.0.0.1]:{errand.port}", "mx.example",
        MAIL_CONFIG=str(config),
    )  # fmt: skip


CLIENTS: list[Callable[[Errand], str]] = [s_client, gnutls_cli, swaks]  # that bring a message
