"""TLS contexts, the peers of their connections, and the same verdicts without a connection.

May import ``ccert._openssl`` and the modules that everybody uses (errors, names, text, verdict).
For whatever knows of mail: ``ccert.postfix``, ``ccert.aiosmtpd``, the server and the commands.
"""
