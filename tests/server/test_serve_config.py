"""What ``ccert serve`` is told: each error is found, before anything is served, where it is."""

import subprocess

import pytest

import ccert
from ccert.cli import main
from ccert.server.config_file import read_assignments


@pytest.fixture
def complaints(read, tmp_path):
    """Return a function that gives the errors of a file, with the file's name cut off."""

    def complaints(text: str, **options: str) -> list[str]:
        with pytest.raises(ccert.ConfigError) as error:
            read(NEEDED + text, **options)
        return str(error.value).replace(f"{tmp_path}/main.cf, ", "").splitlines()

    return complaints


NEEDED = "smtpd_tls_cert_file = mx.pem\nmaildir = Mail\n"


def test_form(read):
    """Comments, empty lines and continuation lines are as in postconf(5)."""
    config = read(
        """\
# a comment
   # another one

smtpd_tls_cert_file=mx.pem
maildir =\t/a directory
    # a comment does not end the value

\t with   more
listen = 127.0.0.1:25,
\t[::1]:25
    localhost:465
"""
    )
    assert config.maildir == "/a directory         with   more"
    assert [str(endpoint) for endpoint in config.listen] == [
        "127.0.0.1:25",
        "[::1]:25",
        "localhost:465",
    ]


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x0c", "\x85", "\u2028"])
def test_a_comment_ends_with_its_line(read, end):
    """Only LF ends a comment: nothing else that editors show as one begins a setting after it."""
    assert not read(NEEDED + f"# no more:{end}allow_system_cas = yes\n").allow_system_cas


def test_crlf(read):
    """A file from a system with other line ends is the same configuration."""
    text = NEEDED + "listen = 127.0.0.1:25,\n  [::1]:25\n\n# a comment\nworkers = 2\n"
    assert read(text.replace("\n", "\r\n")) == read(text)


def test_values(read):
    """Values are read as Postfix reads them: times with units, yes and no in any case."""
    config = read(
        NEEDED
        + "smtpd_timeout = 5m\nsmtpd_starttls_timeout = 10\nrequire_trusted = YES\n"
        + "smtpd_tls_CAfile = ca.pem\nrelay_clientcerts = texthash:/etc/keys\nworkers=3\n"
        + "smtpd_tls_key_file =\n"
    )
    assert (config.smtpd_timeout, config.smtpd_starttls_timeout) == (300, 10)
    assert (config.require_trusted, config.workers) == (True, 3)
    assert config.relay_clientcerts == "/etc/keys"
    assert config.smtpd_tls_key_file == ""


def test_defaults(read):
    """Without a word it listens on loopback, asks for certificates and trusts as stock OpenSSL."""
    config = read(NEEDED)
    assert [str(endpoint) for endpoint in config.listen] == ["127.0.0.1:8025"]
    assert config.smtpd_tls_ask_ccert
    assert not config.smtpd_tls_req_ccert
    assert config.tls_trust_server_ccerts == "no"
    assert config.smtpd_tls_security_level == "may"
    assert config.myhostname
    assert read(NEEDED + "tls_listen = [::1]:465\n").listen == ()


def test_options_override(read):
    """An option wins over the file, also where the file's value contradicts others."""
    config = read(NEEDED + "tls_trust_server_ccerts = yes\n", tls_trust_server_ccerts="no")
    assert config.tls_trust_server_ccerts == "no"


def test_require_means_encryption(read):
    """Who requires certificates requires TLS: without it there are none."""
    text = NEEDED + "smtpd_tls_req_ccert = yes\nsmtpd_tls_CAfile = ca.pem\n"
    assert read(text).smtpd_tls_security_level == "encrypt"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "smtpd_tls_ca_file = x",
            "unknown parameter smtpd_tls_ca_file: is smtpd_tls_CAfile meant?",
        ),
        ("tls_trust_server_certs = x", ": is tls_trust_server_ccerts meant?"),
        ("SMTPD_TLS_CAFILE = x", ": is smtpd_tls_CAfile meant?"),
        ("mynetworks = x", "unknown parameter mynetworks"),
        ("maildir = Other", "maildir is given twice: line 2"),
        ("smtpd_tls_key_file = $smtpd_tls_cert_file", 'smtpd_tls_key_file: "$" is not expanded'),
        ("nonsense", "not of the form name = value"),
        ("= x", "not of the form name = value"),
        ("two words = x", "not of the form name = value"),
        ("listen\x1b[2J = x", "listen?[2J: a control character in the value"),
        ("listen = 127.0.0.1:25\x1b", "listen: a control character in the value"),
        ("listen = 127.0.0.1:25\rworkers = 2", "listen: a control character in the value"),
        ("listen = 25", "listen: '25' is not HOST:PORT"),
        ("listen = ::1:25", "listen: '::1:25' is not HOST:PORT"),
        ("listen = 127.0.0.1:65536", "is not HOST:PORT"),
        ("workers = 0", "workers: '0' is not a whole number from 1 to"),
        ("workers = ²", "is not a whole number from 1 to"),
        ("message_size_limit = 10M", "is not a whole number from 0 to"),
        ("smtpd_timeout = 0", "smtpd_timeout: '0' is not a time"),
        ("smtpd_timeout = 5 m", "is not a time"),
        ("smtpd_timeout = 999999999w", "is not a time"),
        ("smtpd_tls_ask_ccert = on", "smtpd_tls_ask_ccert: 'on' is not yes or no"),
        ("smtpd_tls_security_level = none", "'none' is not may or encrypt"),
        ("tls_trust_server_ccerts = maybe", "'maybe' is not no or observe or yes"),
        ("myhostname = mx example", "myhostname: 'mx example' is not a host name"),
        ("relay_clientcerts = hash:/etc/keys", "tables of type hash cannot be read"),
        ("check_ccert_access = pcre:/etc/keys", "tables of type pcre cannot be read"),
    ],
)
def test_bad_line(complaints, line, expected):
    """Each error names the line."""
    (complaint,) = complaints(f"# a comment\n{line}\n")
    assert complaint.startswith("line 4: ")
    assert expected in complaint


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "smtpd_tls_ask_ccert = no\ntls_trust_server_ccerts = yes",
            "certificate is asked for (smtpd_tls_ask_ccert: line 3)",
        ),
        ("smtpd_tls_ask_ccert = no\ntls_trust_server_ccerts = observe", "has no effect if no"),
        ("smtpd_tls_ask_ccert = no\nrelay_clientcerts = keys", "has no effect if no certificate"),
        ("smtpd_tls_ask_ccert = no\ncheck_ccert_access = keys", "has no effect if no certificate"),
        (
            "smtpd_tls_CAfile = x\nsmtpd_tls_req_ccert = yes\nsmtpd_tls_ask_ccert = no",
            "line 4: smtpd_tls_req_ccert has no effect if",
        ),
        (
            "smtpd_tls_CAfile = x\nsmtpd_tls_req_ccert = yes\nsmtpd_tls_security_level = may",
            "line 4: smtpd_tls_req_ccert is no requirement for clients without TLS",
        ),
        ("smtpd_tls_req_ccert = yes", "refuses everybody without a trusted CA"),
        ("require_trusted = yes", "refuses everybody without a trusted CA"),
        (
            "smtpd_tls_CAfile = x\nsmtpd_tls_req_ccert = yes\ntls_trust_server_ccerts = observe",
            "line 4: smtpd_tls_req_ccert leaves nothing to observe",
        ),
        ("smtpd_policy_service_timeout = 1s", "has no effect without check_policy_service"),
        ("smtpd_policy_service_default_action = DUNNO", "has no effect without check_policy"),
    ],
)
def test_contradiction(complaints, lines, expected):
    """What would have no effect because of something else is an error."""
    (complaint,) = complaints(lines)
    assert expected in complaint


def test_no_contradiction(read):
    """Saying what is so anyway contradicts nothing."""
    read(
        NEEDED + "smtpd_tls_ask_ccert = no\ntls_trust_server_ccerts = no\nrelay_clientcerts =\n"
        "smtpd_tls_req_ccert = no\n"
    )


def test_all_errors_at_once(tmp_path, capsys):
    """One run tells all errors, a line each; exit status 2."""
    config = tmp_path / "main.cf"
    config.write_text("mynetwork = x\nlisten = 25\n  \nnonsense\nworkers = -1\n")
    assert main(["serve", "--config", str(config), "--workers", "x", "--client-certs", "ask"]) == 2
    expected = (
        f"{config}, line 4: not of the form name = value",
        f"{config}, line 1: unknown parameter mynetwork",
        f"{config}, line 2: listen: '25' is not HOST:PORT (such as ",
        "--workers: workers: 'x' is not a whole number from 1 to 2147483647",
    )
    lines = capsys.readouterr().err.splitlines()
    for line, beginning in zip(lines, expected, strict=True):
        assert line.startswith(f"ccert: {beginning}")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "smtpd_tls_cert_file (--cert) is missing\nccert: maildir (--maildir) is missing"),
        (["--config", "/nowhere"], "configuration file /nowhere: No such file or directory"),
        (["--cert", "/nowhere", "--maildir", "m"], "certificate file /nowhere: No such file"),
        (["--relay-clientnames", ""], "--relay-clientnames: the value is empty"),
        (["--cafile", ""], "--cafile: the value is empty"),
    ],
)
def test_unusable(words, expected, capsys):
    """What is missing is named; exit status 2."""
    assert main(["serve", *words]) == 2
    assert expected in capsys.readouterr().err


def test_unusable_maildir(host, tmp_path, capsys):
    """A Maildir that cannot be made, or delivered into, is an error at start."""
    words = ["serve", "--cert", str(host.certfile), "--key", str(host.keyfile), "--maildir"]
    (tmp_path / "file").touch()
    for path in (tmp_path / "no" / "Mail", tmp_path / "file"):
        assert main([*words, str(path)]) == 2
        assert f"maildir {path}: " in capsys.readouterr().err


def test_all_files_at_once(host, tmp_path, capsys):
    """Certificate, Maildir and table: what is wrong with each is told in one run."""
    (tmp_path / "table").write_text("nonsense OK\n")
    words = ["--maildir", str(tmp_path / "no" / "Mail"), "--relay-clientcerts"]
    assert main(["serve", "--cert", str(host.certfile), *words, str(tmp_path / "table")]) == 2
    lines = capsys.readouterr().err.splitlines()
    expected = ("certificate file", "maildir", str(tmp_path / "table"))
    for line, beginning in zip(lines, expected, strict=True):
        assert line.startswith(f"ccert: {beginning}")


def test_encrypted_key(host, tmp_path, capsys):
    """Nobody is asked for a password; the error says how to do without."""
    key = tmp_path / "encrypted.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", host.keyfile, "-out", key]
    subprocess.run([*command, "-passout", "pass:x"], check=True, capture_output=True)
    words = ["--cert", str(host.certfile), "--key", str(key), "--maildir", str(tmp_path / "Mail")]
    assert main(["serve", *words]) == 2
    assert f"key file {key}: it is encrypted" in (line := capsys.readouterr().err)
    assert f"openssl pkey -in {key} -out" in line


def test_not_utf8(tmp_path):
    """A file of another encoding is an error that says so."""
    path = tmp_path / "main.cf"
    path.write_bytes(b"maildir = \xe4\n")
    with pytest.raises(ccert.ConfigError, match="must be UTF-8"):
        read_assignments(str(path))
