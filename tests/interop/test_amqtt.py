"""amqtt's certificate plug-in, as it is: it takes what getpeercert() returns for verified."""

import asyncio
import importlib.util
from pathlib import Path

import amqtt
import pairs
import pki
import pytest
from amqtt.contexts import BaseContext
from amqtt.session import Session
from cryptography import x509

import ccert

# by its file: the package around it wants a database
_SPEC = importlib.util.spec_from_file_location(
    "amqtt_cert", Path(amqtt.__file__).parent / "contrib" / "cert.py"
)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
UserAuthCertPlugin = _MODULE.UserAuthCertPlugin

DEVICE = x509.SubjectAlternativeName(
    [x509.UniformResourceIdentifier("spiffe://test.example/device/dev1")]
)


def _authenticated(ssl_object) -> bool | None:
    context = BaseContext()
    context.config = UserAuthCertPlugin.Config(uri_domain="test.example")
    session = Session()
    session.ssl_object, session.client_id = ssl_object, "dev1"
    return asyncio.run(UserAuthCertPlugin(context=context).authenticate(session=session))


@pytest.mark.parametrize("again", [False, True], ids=["full", "resumed"])
def test_plugin(host, clique, version, again):
    """With "ask", a device of the CA is let in; who writes its name into a certificate is not."""
    deviation = {"extensions": [(DEVICE, False)], "eku": [pki.CLIENT]}
    stranger = clique.leaf(issuer=pki.issue("Strange Root", ca=True), **deviation)
    for chain, trusted in ((clique.leaf(**deviation), True), (stranger, False)):
        context, client = host.context(clique.root.pem), host.client(chain)
        client.minimum_version = client.maximum_version = version
        pair = pairs.handshake(context, client)
        if again:
            pair = pairs.handshake(context, client, session=pair.client.tls.session)
        assert (ccert.peer(pair.server.tls).trust is ccert.Trust.TRUSTED) is trusted
        assert _authenticated(pair.server.tls) is trusted
