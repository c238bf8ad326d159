"""What the server reads from files, and reads again when it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccert.errors import ConfigError
from ccert.server.handler import Handler
from ccert.server.maildir import Maildir
from ccert.server.tls_context import server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from ccert.server.config import Config

__all__ = ["Files"]


class Files:
    """Certificates, CAs and tables, as they were when they were last usable.

    The master has them, and each worker inherits them by its fork: one that replaces another can
    do so while a file is unusable.

    Attributes:
        context: the current TLS context.
        handler: has the tables.
        maildir: where the handler delivers.

    Raises:
        ConfigError: some are unusable; all the errors, one per line.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        errors = []

        def attempt(make: Callable[..., Any], *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - of make
            try:
                return make(*args, **kwargs)
            except ConfigError as error:
                errors.append(str(error))

        self.context: ssl.SSLContext = attempt(server_context, config, warn=True)
        self.maildir: Maildir = attempt(Maildir, config.maildir)
        self.handler: Handler = attempt(Handler, config, self.maildir)
        if errors:
            raise ConfigError("\n".join(errors))

    def reload(self, *, warn: bool) -> tuple[list[str], dict[str, ConfigError]]:
        """Read all again; what is unusable stays as it was.

        Returns:
            What was read, and what was not, with the error.
        """

        def renew() -> None:
            self.context = server_context(self._config, warn=warn)

        reloaded, errors = [], {}
        tables = {name: table.reload for name, table in self.handler.tables.items()}
        for name, reload in {"certificates and CAs": renew, **tables}.items():
            try:
                reload()
            except ConfigError as error:
                errors[name] = error
            except MemoryError:
                errors[name] = ConfigError("out of memory")
            else:
                reloaded.append(name)
        return reloaded, errors
