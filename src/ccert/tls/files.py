"""Load certificates, keys and trusted CAs into a context, with errors that name the faulty file.

``ssl`` and OpenSSL do the loading.  If they fail, this module inspects the files for a more helpful
error message.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from pathlib import Path

from ccert import _openssl
from ccert.errors import ConfigError
from ccert.tls.ca_directory import hashed_files
from ccert.tls.paths import LARGEST, PEM_MARK, StrPath, check_path

__all__ = [
    "CAData",
    "Password",
    "load_anchors",
    "load_identity",
    "read_chain",
    "read_file",
    "read_regular",
]

CAData = str | bytes | bytearray | memoryview
Password = str | bytes | bytearray | Callable[[], str | bytes | bytearray] | None

_CERTIFICATE = re.compile(
    r"-----BEGIN (?P<kind>(X509 |TRUSTED )?CERTIFICATE)-----.*?(-----END (?P=kind)-----|\Z)",
    re.DOTALL,
)
_INDENTED = re.compile(r"^[ \t]+-----BEGIN ", re.MULTILINE)
_BOM = "\ufeff".encode().decode("latin-1")
_CRL = "-----BEGIN X509 CRL-----"
_NO_CERTIFICATE = (
    "no PEM certificate found; if it is DER, convert it with openssl x509 -inform DER -in FILE"
)


def load_identity(
    load: Callable[..., None], certfile: StrPath, keyfile: StrPath | None, password: Password
) -> None:
    """Load a server's certificate chain and private key (PEM).

    Args:
        load: the ``load_cert_chain`` of an ``ssl.SSLContext``.
        certfile: its argument.
        keyfile: likewise.
        password: likewise; None: an encrypted key is an error.

    Raises:
        ConfigError: a file is missing, unreadable, empty, broken, or the two do not match.
    """
    certificates = _read_text("certificate file", certfile)
    keys = certificates if keyfile is None else _read_text("key file", keyfile)
    if not _CERTIFICATE.search(certificates):
        swapped = " PRIVATE KEY-----" in certificates and keyfile is not None
        problem = (
            "it contains a key; are certfile and keyfile swapped?" if swapped else _NO_CERTIFICATE
        )
        raise ConfigError(f"certificate file {certfile}: {problem}")
    if "PRIVATE KEY-----" not in keys:
        raise ConfigError(
            f"key file {keyfile}: no PEM private key found"
            if keyfile
            else f"certificate file {certfile}: no private key found, and no key file is given"
        )
    if password is None:  # else OpenSSL prompts on the terminal, and the server hangs at start

        def password() -> str:
            raise ConfigError(
                f"key file {keyfile or certfile}: it is encrypted, and no password is given"
            )

    try:
        load(certfile, keyfile, password)
    except ssl.SSLError as error:
        problem = _identity_problem(certfile, keyfile, certificates, keys, error)
        raise ConfigError(problem) from error


def _identity_problem(
    certfile: StrPath, keyfile: StrPath | None, certificates: str, keys: str, error: ssl.SSLError
) -> str:
    if error.reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}:
        return (
            f"key file {keyfile or certfile}: not the key of the first certificate in {certfile}; "
            "the server's own certificate comes first"
        )
    if problem := _broken_certificate(certificates):
        return f"certificate file {certfile}: {problem}"
    if error.reason and error.reason.endswith(("TOO_SMALL", "TOO_WEAK")):
        return f"certificate file {certfile}: {_words(error)} for OpenSSL's security level"
    problem = "wrong password, or a broken file" if "ENCRYPTED" in keys else "the key is broken"
    return f"key file {keyfile or certfile}: cannot be read: {problem}"


def load_anchors(
    load: Callable[..., None],
    cafile: StrPath | None,
    capath: StrPath | None,
    cadata: CAData | None,
    *,
    crls: bool = False,
) -> None:
    """Load trusted CAs with OpenSSL's own loader.

    TRUSTED CERTIFICATE blocks keep their trust settings (x509(1)).  CRLs in a directory are loaded,
    too.

    Args:
        load: such as the ``load_verify_locations`` of an ``ssl.SSLContext``; takes ``cafile`` or
            ``cadata``, and raises ssl.SSLError or ValueError.
        cafile: PEM.
        capath: made by ``openssl rehash``.
        cadata: PEM or DER.
        crls: True: a CA file may also contain nothing but CRLs.

    Raises:
        ConfigError: one of them is unusable.  A single broken block makes a file unusable.
        TypeError: one of them is of the wrong type.
    """
    if cafile is not None:
        text = _read_text("CA file", cafile)
        if not _CERTIFICATE.search(text) and not (crls and _CRL in text):
            raise ConfigError(f"CA file {cafile}: {_NO_CERTIFICATE}")
        _load_file(load, cafile)
    if capath is not None:
        for path in hashed_files(capath):
            _load_file(load, path)
    if cadata is not None:
        try:
            load(cadata=_pem_or_der("cadata", cadata))
        except (ssl.SSLError, ValueError) as error:
            prefix = "" if isinstance(error, ConfigError) else "cadata: "
            raise ConfigError(f"{prefix}{_words(error)}") from error


def _pem_or_der(what: str, data: CAData) -> str | bytes:
    """Return PEM as a str, DER as bytes, as ``ssl`` wants them."""
    if isinstance(data, str):
        text = data
    elif isinstance(data, bytes | bytearray | memoryview):
        if PEM_MARK not in bytes(data):
            return bytes(data)
        text = bytes(data).decode("latin-1")
    else:
        raise TypeError(f"{what} must be PEM or DER, as str or bytes, not {type(data).__name__}")
    if PEM_MARK.decode() not in text:
        raise ConfigError(f"{what}: no PEM certificate found; for a file give cafile=")
    _check_lines(what, text)
    text = text.removeprefix("\ufeff").removeprefix(_BOM)
    return text.encode("ascii", "replace").decode()  # comments need not be ASCII


def _load_file(load: Callable[..., None], path: StrPath) -> None:
    try:
        load(cafile=path)
    except (ssl.SSLError, ValueError) as error:
        problem = _broken_certificate(_read_text("CA file", path)) or _words(error)
        raise ConfigError(f"CA file {path}: {problem}") from error


def read_chain(what: str, chain: bytes) -> list[bytes]:
    """Return the DER of each certificate in PEM text, as OpenSSL finds them.

    Some of it may not be decodable; b"" stands for a broken block and the rest.

    Raises:
        ConfigError: there is no certificate.
    """
    ders = _openssl.pem_certificates(chain)
    if not ders:
        raise ConfigError(f"{what}: no PEM certificate found")
    return ders


def read_file(what: str, path: StrPath) -> bytes:
    """Read a PEM file.

    Raises:
        ConfigError: it cannot be read, is empty, or is larger than 64 MB.
    """
    check_path(what, path)
    try:
        with Path(path).open("rb") as file:
            octets = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{what} {path}: {error.strerror}") from error
    except ValueError as error:  # a NUL, or what the file system cannot encode
        raise ConfigError(f"{what} {path!r}: {error}") from error
    if not octets.strip():
        raise ConfigError(f"{what} {path}: the file is empty")
    if len(octets) > LARGEST:
        raise ConfigError(f"{what} {path}: more than {LARGEST >> 20} MB")
    return octets


def _check_lines(what: str, text: str) -> None:
    """Raise ConfigError for white space before a block, which OpenSSL would ignore silently."""
    if indented := _INDENTED.search(text):
        line = text.count("\n", 0, indented.start()) + 1
        raise ConfigError(f"{what}: line {line}: OpenSSL ignores what has white space before it")


def read_regular(what: str, path: StrPath) -> bytes:
    """Read a PEM file that will be read again; otherwise as read_file()."""
    check_path(what, path)
    if Path(path).is_fifo():
        raise ConfigError(f"{what} {path}: a pipe can be read but once; give a regular file")
    return read_file(what, path)


def _read_text(what: str, path: StrPath) -> str:
    text = read_regular(what, path).decode("latin-1")  # any text may surround PEM
    _check_lines(f"{what} {path}", text)
    return text


def _broken_certificate(text: str) -> str:
    """Find the first certificate in PEM text that cannot be decoded; "" if all can."""
    for number, block in enumerate(_CERTIFICATE.finditer(text), 1):
        pem = block[0].replace(block["kind"], "CERTIFICATE")
        if block["kind"].startswith("TRUSTED"):  # only OpenSSL's file loader reads these
            continue
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError):
            line = text.count("\n", 0, block.start()) + 1
            return f"certificate {number} (line {line}) is broken"
    return ""


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return reason.replace("_", " ").lower() if reason else str(error)
