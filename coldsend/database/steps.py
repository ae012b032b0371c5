"""Migration steps that may be run again after an interruption.

MySQL and MariaDB commit every DDL statement by itself, so an upgrade that is killed half-way leaves what it
had made. Each step here leaves alone what is there already; running the upgrade again goes on from where it
stopped. (SQLite undoes the whole upgrade instead.) Later revisions keep to this: repeatable steps only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op


def create_table(name: str, *items: sa.schema.SchemaItem, **options: Any) -> None:
    op.create_table(name, *items, if_not_exists=True, **options)


def add_column(table: str, column: sa.Column[Any]) -> None:
    there = {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}
    if column.name not in there:
        op.add_column(table, column)


def drop_column(table: str, name: str) -> None:
    if name in {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}:
        op.drop_column(table, name)


def create_index(name: str, table: str, columns: Sequence[str], *, unique: bool = False) -> None:
    # Looked up instead of IF NOT EXISTS, which MySQL does not have for indexes.
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
    if name not in there:
        op.create_index(name, table, columns, unique=unique)


def drop_index(name: str, table: str) -> None:
    if name in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.drop_index(name, table)


def drop_table(name: str) -> None:
    op.drop_table(name, if_exists=True)
