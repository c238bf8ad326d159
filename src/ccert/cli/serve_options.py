"""The options of ``ccert serve``; most set a parameter of its configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

__all__ = ["DESCRIPTION", "EPILOG", "add_options"]

DESCRIPTION = """\
Run a mail server (SMTP, on aiosmtpd) that identifies its clients by their certificates and
delivers all mail into one Maildir, for trial and for production: a message is on disk before it is
acknowledged.

It stays in the foreground and logs to stderr, as far as possible in Postfix's words.  SIGTERM lets
open transactions finish.  SIGHUP reloads certificates, CAs and tables; if a file is unusable, its
old content stays in use.
"""
EPILOG = """\
A configuration file has the form of Postfix's main.cf and Postfix's names, such as
smtpd_tls_cert_file; options override it.  All errors in its text are reported at once, with line
numbers.

Exit status: 0 if it was stopped, 2 if files or options cannot be used.

Examples:
  Try it, on 127.0.0.1:8025, and see what the setting would change:
    ccert serve --cert mx.pem --cafile clique-cas.pem --maildir Mail --trust-server-ccerts observe
  Take mail from partners only, known by their public keys; no CA is needed:
    ccert serve --listen 0.0.0.0:25 --cert mx.pem --maildir /var/mail/in --relay-clientcerts keys
  The same from a file, with two processes:
    ccert serve --config /etc/ccert/ccert.cf --workers 2
"""


def add_options(serve: argparse.ArgumentParser) -> None:
    """Add the options; ``arguments.options`` maps each option to its parameter."""
    options: dict[str, str] = {}

    def option(name: str, parameter: str, **how: Any) -> None:  # noqa: ANN401 - argparse's
        serve.add_argument(name, dest=parameter, **how)
        options[name] = parameter

    option(
        "--listen",
        "listen",
        action="append",
        metavar="HOST:PORT",
        help="SMTP with STARTTLS; may be repeated (default: 127.0.0.1:8025, or none with "
        "--tls-listen)",
    )
    option(
        "--tls-listen",
        "tls_listen",
        action="append",
        metavar="HOST:PORT",
        help="SMTP with implicit TLS; may be repeated (default: none)",
    )
    option("--cert", "smtpd_tls_cert_file", metavar="FILE", help="our certificate chain, PEM")
    option(
        "--key", "smtpd_tls_key_file", metavar="FILE", help="our private key (default: in --cert)"
    )
    option("--cafile", "smtpd_tls_CAfile", metavar="FILE", help="CAs trusted for clients, PEM")
    option("--capath", "smtpd_tls_CApath", metavar="DIR", help="such CAs, made by openssl rehash")
    serve.add_argument(
        "--client-certs",
        choices=["ask", "require"],
        help="without a trusted certificate: continue (ask, the default), or fail the handshake",
    )
    option(
        "--trust-server-ccerts",
        "tls_trust_server_ccerts",
        choices=["no", "observe", "yes"],
        help="trust certificates that are for servers only; observe: only log what would change",
    )
    option(
        "--allow-system-cas",
        "allow_system_cas",
        action="store_const",
        const="yes",
        help="allow the system's CAs, and use them if no others are given: trusts everybody",
    )
    option(
        "--require-trusted",
        "require_trusted",
        action="store_const",
        const="yes",
        help="take mail from Trusted clients only",
    )
    option(
        "--check-ccert-access",
        "check_ccert_access",
        metavar="TABLE",
        help="fingerprints of clients, each with an action as in access(5)",
    )
    option(
        "--relay-clientcerts",
        "relay_clientcerts",
        metavar="TABLE",
        help="fingerprints of the only clients to accept mail from",
    )
    option(
        "--relay-clientnames",
        "relay_clientnames",
        metavar="TABLE",
        help="names of the hosts to take mail from, if Trusted, and from nobody else",
    )
    option(
        "--policy-service",
        "check_policy_service",
        metavar="ENDPOINT",
        help="ask this service about each recipient: inet:HOST:PORT or unix:PATH",
    )
    option("--maildir", "maildir", metavar="DIR", help="where to deliver; created if missing")
    option("--workers", "workers", metavar="N", help="number of processes (default: 1)")
    option("--hostname", "myhostname", metavar="NAME", help="our name (default: the system's)")
    serve.add_argument(
        "--config", metavar="FILE", help="a file of parameters, in the format of main.cf"
    )
    serve.add_argument("--verbose", action="store_true", help="log the SMTP dialogue, too")
    serve.set_defaults(options=options)
