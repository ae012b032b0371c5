"""Shared metadata and the few columns that most tables have.

Names of tables, columns, enums and unique keys follow the user's schema document (MVP v1.0); what the
design adds is marked where it stands.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ForeignKey, MetaData, Table

from coldsend.database.types import CurrentTimestamp, UtcDateTime, big_id

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def table(name: str, *items: Any) -> Table:
    """A table with coldsend's storage options: utf8mb4 compared byte by byte, ids never reused."""
    has_row_id = any(isinstance(item, Column) and item.name == "id" for item in items)
    return Table(
        name,
        metadata,
        *items,
        mysql_engine="InnoDB",
        mysql_default_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        sqlite_autoincrement=has_row_id,
    )


def row_id() -> Column[int]:
    return Column("id", big_id(), primary_key=True, autoincrement=True)


def reference(name: str, target: str, *, nullable: bool = False, index: bool = True) -> Column[int]:
    """A foreign key column ``name`` -> ``target`` ("users.id")."""
    return Column(name, big_id(), ForeignKey(target), nullable=nullable, index=index)


def created_at() -> Column[Any]:
    return Column("created_at", UtcDateTime(), nullable=False, server_default=CurrentTimestamp())


def updated_at() -> Column[Any]:
    return Column(
        "updated_at", UtcDateTime(), nullable=False, server_default=CurrentTimestamp(on_update=True)
    )
