"""TLS contexts, the peers of their connections, and the same verdicts without a connection.

It may import ``ccert._openssl`` and the modules that all packages use (errors, names, text,
verdict, x509_errors).  It may be imported by all code for mail: ``ccert.postfix``,
``ccert.aiosmtpd``, the server and the commands.
"""
