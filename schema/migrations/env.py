"""Alembic environment: runs on the connection that ``coldsend.database.migrate`` hands over.

Types compare by coldsend's own definitions; SQLite rebuilds tables to change them (batch mode).
"""

from __future__ import annotations

from alembic import context

from coldsend.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
