"""A mail server: what ``ccert serve`` runs.

The master (:mod:`ccert.server.master`) reads the configuration, holds the ports and keeps the
workers alive; each worker accepts clients, talks SMTP with them and delivers into one Maildir.
It may import ``ccert.aiosmtpd`` and what that may import.  Only the commands may import it.
"""
