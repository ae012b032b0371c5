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


def replace_unique(table: sa.Table, old: Sequence[str], new: Sequence[str]) -> None:
    """Put one unique key in the place of another; each as its name and its columns.

    table: as it is before, whole: where the database cannot change keys it is made anew and filled.
    """
    there = {found["name"] for found in sa.inspect(op.get_bind()).get_unique_constraints(table.name)}
    if new[0] in there and old[0] not in there:
        return
    with op.batch_alter_table(table.name, copy_from=table) as batch:
        if new[0] not in there:  # first: an index must be there for every moment in between
            batch.create_unique_constraint(new[0], list(new[1:]))
        if old[0] in there:
            batch.drop_constraint(old[0], type_="unique")


def drop_table(name: str) -> None:
    op.drop_table(name, if_exists=True)
