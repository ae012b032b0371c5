"""How many test messages a user has sent in the last hour: a row of ``cursors`` for each who did."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import dialect
from coldsend.database.tables import cursors

HOUR = timedelta(hours=1)


def take(connection: Connection, user_id: int, now: datetime, most: int) -> bool:
    """Count one more; False where the user has had ``most`` in the hour that began with the first."""
    name = f"test mails {user_id}"
    insert = dialect.insert_ignore(cursors, connection.dialect.name)
    connection.execute(insert.values(name=name, position=0, moved_at=now))
    mine = sa.update(cursors).where(cursors.c.name == name)
    # A clock that jumped back must not leave nobody any tests for days.
    over = sa.or_(cursors.c.moved_at <= now - HOUR, cursors.c.moved_at > now)
    connection.execute(mine.where(over).values(position=0, moved_at=now))
    counted = connection.execute(
        mine.where(cursors.c.position < most).values(position=cursors.c.position + 1)
    )
    return counted.rowcount == 1
