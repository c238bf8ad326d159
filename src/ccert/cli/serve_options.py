"""The options of ``ccert serve``: most assign to a parameter of its configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

__all__ = ["DESCRIPTION", "EPILOG", "add_options"]

DESCRIPTION = """\
Run a mail server (SMTP, on aiosmtpd) that knows its clients by their certificates and delivers
all mail into one Maildir, for trial and for use: a message is on disk before it is acknowledged.

It stays in the foreground and logs to stderr, Postfix's words first.  SIGTERM lets open
transactions finish; SIGHUP reads certificates, CAs and tables again; what is bad stays as it was.
"""
EPILOG = """\
A configuration file has the form of Postfix's main.cf and Postfix's names, such as
smtpd_tls_cert_file; options override it.  All of its errors are told at once, with line numbers.

Exit status: 0 if it was stopped, 2 if files or options cannot be used.

Examples:
  Try it, on 127.0.0.1:8025, and see what the setting would change:
    ccert serve --cert mx.pem --cafile clique-cas.pem --maildir Mail --trust-server-ccerts observe
  Take mail from partners only, known by their public keys; no CA is needed:
    ccert serve --listen 0.0.0.0:25 --cert mx.pem --maildir /var/mail/in --relay-clientcerts keys
  The same from a file, with two processes:
    ccert serve --config /etc/ccert/main.cf --workers 2
"""


def add_options(serve: argparse.ArgumentParser) -> None:
    """Add them; ``arguments.options`` says which parameter each assigns to."""
    options: dict[str, str] = {}

    def option(name: str, parameter: str, **how: Any) -> None:  # noqa: ANN401 - argparse's
        serve.add_argument(name, dest=parameter, **how)
        options[name] = parameter

    option(
        "--listen",
        "listen",
        action="append",
        metavar="HOST:PORT",
        help="SMTP with STARTTLS; may be repeated (default: 127.0.0.1:8025)",
    )
    option(
        "--tls-listen",
        "tls_listen",
        action="append",
        metavar="HOST:PORT",
        help="SMTP within TLS; likewise (default: nowhere)",
    )
    option(
        "--cert", "smtpd_tls_cert_file", metavar="FILE", help="our certificate, intermediates too"
    )
    option("--key", "smtpd_tls_key_file", metavar="FILE", help="our key (default: with --cert)")
    option("--cafile", "smtpd_tls_CAfile", metavar="FILE", help="CAs trusted for clients, PEM")
    option("--capath", "smtpd_tls_CApath", metavar="DIR", help="the same, made by openssl rehash")
    serve.add_argument(
        "--client-certs",
        choices=["ask", "require"],
        help="go on without a trusted certificate (ask, the default), or end the handshake",
    )
    option(
        "--trust-server-ccerts",
        "tls_trust_server_ccerts",
        choices=["no", "observe", "yes"],
        help="trust certificates that are for servers only; observe: log what that would change",
    )
    option(
        "--allow-system-cas",
        "allow_system_cas",
        action="store_const",
        const="yes",
        help="trust the system's CAs even so, also if no others are given: that is, everybody",
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
        help="fingerprints of the clients to take mail from, and from nobody else",
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
    option("--maildir", "maildir", metavar="DIR", help="where to deliver; made if missing")
    option("--workers", "workers", metavar="N", help="processes on each port (default: 1)")
    option("--hostname", "myhostname", metavar="NAME", help="our name (default: the system's)")
    serve.add_argument("--config", metavar="FILE", help="parameters, in the form of main.cf")
    serve.add_argument("--verbose", action="store_true", help="log the SMTP dialogue, too")
    serve.set_defaults(options=options)
