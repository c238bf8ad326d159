"""The TLS context, made again at each reload, so that removed CAs are no longer trusted."""

from __future__ import annotations

import datetime
import logging
import ssl
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ccert import _openssl
from ccert.errors import ConfigError, PublicCAWarning
from ccert.server.config import narrowed
from ccert.tls.context import ServerContext
from ccert.tls.system_cas import is_no_cliques, is_system_file, system_cas

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccert.server.config import Config
    from ccert.tls.settings import TrustServerCcerts

__all__ = ["server_context"]

_log = logging.getLogger("ccert")
_SETTING: dict[str, TrustServerCcerts] = {"no": False, "observe": "observe", "yes": True}
_WHY = (
    "public CAs vouch for every host on the Internet, so with tls_trust_server_ccerts = {} "
    "every host {} Trusted: give a file with the few CAs of your peers as smtpd_tls_CAfile "
    "(--cafile), or, if you mean it, --allow-system-cas"
)


def server_context(config: Config, *, warn: bool) -> ServerContext:
    """Make the context that the configuration describes.

    Args:
        config: names the files.
        warn: log warnings about them.

    Raises:
        ConfigError: a file is unusable, or the system's CAs are trusted where they must not be.
    """
    cafile, capath = _anchors(config)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        context = ServerContext(
            config.smtpd_tls_cert_file,
            config.smtpd_tls_key_file or None,
            _no_password(config.smtpd_tls_key_file or config.smtpd_tls_cert_file),
            cafile=cafile or None,
            capath=capath or None,
            client_certs="require" if config.smtpd_tls_req_ccert else "ask",
            trust_server_ccerts=_SETTING[config.tls_trust_server_ccerts],
            verify_depth=config.smtpd_tls_ccert_verifydepth,
        )
    public = [str(each.message) for each in caught if each.category is PublicCAWarning]
    if public and config.require_trusted and not (config.allow_system_cas or narrowed(config)):
        raise ConfigError(
            f"require_trusted lets everybody in: {public[0]}: list the hosts of your peers as "
            "relay_clientnames, or, if you mean it, --allow-system-cas"
        )
    if warn:
        for warning in caught:
            if warning.category is not PublicCAWarning or not narrowed(config):
                _log.warning("%s", warning.message)
        _warn_of_expiry(config.smtpd_tls_cert_file)
        stats = context.cert_store_stats()
        if stats["x509"] and not stats["x509_ca"]:
            _log.warning(
                "CA file %s: no CA among its certificates: they can vouch only for themselves",
                cafile,
            )
    if not config.smtpd_tls_ask_ccert:
        context.verify_mode = ssl.CERT_NONE
    return context


def _no_password(path: str) -> Callable[[], str]:
    def password() -> str:
        raise ConfigError(
            f"key file {path}: it is encrypted, and a server cannot ask for the password: "
            f"decrypt it with openssl pkey -in {path} -out FILE"
        )

    return password


def _warn_of_expiry(path: str) -> None:
    try:
        leaf = _openssl.pem_certificates(Path(path).read_bytes())[0]
        expiry = _openssl.certificate_expiry(_openssl.certificate(leaf))
    except (ConfigError, OSError):  # OpenSSL has loaded it; without its expiry, do not warn
        return
    if 0 < expiry < time.time():
        day = datetime.datetime.fromtimestamp(expiry, datetime.timezone.utc).date()
        _log.warning("certificate file %s: it expired on %s: clients may refuse it", path, day)


def _anchors(config: Config) -> tuple[str, str]:
    """Return CA file and directory, unless the setting makes them dangerous."""
    cafile, capath = config.smtpd_tls_CAfile, config.smtpd_tls_CApath
    if config.allow_system_cas:
        return (cafile, capath) if cafile or capath else system_cas()
    setting = config.tls_trust_server_ccerts
    if setting == "no":
        return cafile, capath
    why = _WHY.format(setting, "is" if setting == "yes" else "would be")
    if not cafile and not capath:
        raise ConfigError(
            f"tls_trust_server_ccerts = {setting} without a CA has no effect, and the system's CAs "
            f"are not used by default: {why}"
        )
    for path in filter(None, (cafile, capath)):
        if is_system_file(path):
            raise ConfigError(f"{path} has the system's CAs: {why}")
        if is_no_cliques(path):
            raise ConfigError(f"{path} has more CAs than any clique: {why}")
    return cafile, capath
