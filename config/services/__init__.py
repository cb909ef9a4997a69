"""Embedded PostgreSQL and Valkey for whoever names no servers of their own. No Django here: manage.py comes first.

A small supervisor process per CONCORD_HOME runs both. Commands, `up` and tests hold a connection to it; when the last one
is gone, however it went, the supervisor stops the servers cleanly and ends.
"""

from config.services.client import ServicesFailed, ensure
from config.services.commands import ensure_for_command, migrate_if_pending

__all__ = ["ServicesFailed", "ensure", "ensure_for_command", "migrate_if_pending"]
