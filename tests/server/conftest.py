"""Servers that the tests start."""

import contextlib

import pytest
from serving import serving

from ccert.server.config import Config, configure
from ccert.server.config_file import Assignment, read_assignments


@pytest.fixture
def start(host, tmp_path):
    """Return a function that starts a server; parameters go into a configuration file."""
    with contextlib.ExitStack() as stack:

        def start(*options, files=None, **parameters):
            config = tmp_path / "main.cf"
            config.write_text("".join(f"{name} = {value}\n" for name, value in parameters.items()))
            words = ["--cert", host.certfile, "--key", host.keyfile, "--config", config, *options]
            return stack.enter_context(serving(tmp_path / "Mail", *words, files=files))

        yield start


@pytest.fixture(scope="module")
def identity(host) -> list:
    return ["--cert", host.certfile, "--key", host.keyfile]


@pytest.fixture(scope="module")
def server(identity, tmp_path_factory):
    """A server that trusts nobody."""
    with serving(tmp_path_factory.mktemp("serve") / "Mail", *identity) as server:
        yield server


@pytest.fixture
def read(tmp_path):
    """Return a function that makes a configuration from a file's text and options."""
    path = tmp_path / "main.cf"

    def read(text: str, **options: str) -> Config:
        path.write_text(text, newline="")
        given = [Assignment(name, value, f"--{name}") for name, value in options.items()]
        return configure(*[read_assignments(str(path))[0], given, read_assignments(str(path))[1]])

    return read
