"""Roll-ups of the event log: what reports read instead of every event. See analytics/rollup.py.

What a ``nature`` is stands in domain/happening.py.
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Text

from coldsend.database.tables.base import table
from coldsend.database.types import UtcDateTime, ascii_key, big_id, binary_text, choice
from coldsend.domain.happening import Nature
from coldsend.domain.states import EventType

TYPES = [t.value for t in EventType]
NATURES = [n.value for n in Nature]


# Up to which id of which table something has been worked off.
cursors = table(
    "cursors",
    Column("name", String(64), primary_key=True),
    Column("position", big_id(), nullable=False, server_default="0"),
    Column("moved_at", UtcDateTime()),
)

event_counts = table(
    "event_counts",
    Column("task_id", big_id(), primary_key=True, autoincrement=False),
    Column("hour", UtcDateTime(), primary_key=True),  # when it begins
    Column("type", choice("event_type", TYPES), primary_key=True),
    Column("nature", choice("event_nature", NATURES), primary_key=True),
    Column("template_id", big_id(), primary_key=True, autoincrement=False),  # 0: not known
    Column("sender_service_id", big_id(), primary_key=True, autoincrement=False),  # 0: not known
    Column("events", Integer(), nullable=False, server_default="0"),
    # For whom it was the first of its type and nature, and of its type whatever the nature.
    Column("recipients", Integer(), nullable=False, server_default="0"),
    Column("firsts", Integer(), nullable=False, server_default="0"),
)

event_domains = table(
    "event_domains",
    Column("task_id", big_id(), primary_key=True, autoincrement=False),
    Column("domain", binary_text(255), primary_key=True),
    Column("type", choice("event_type", TYPES), primary_key=True),
    Column("nature", choice("event_nature", NATURES), primary_key=True),
    Column("events", Integer(), nullable=False, server_default="0"),
    Column("recipients", Integer(), nullable=False, server_default="0"),
    Column("firsts", Integer(), nullable=False, server_default="0"),
)

event_links = table(
    "event_links",
    Column("task_id", big_id(), primary_key=True, autoincrement=False),
    Column("template_id", big_id(), primary_key=True, autoincrement=False),
    Column("digest", ascii_key(64), primary_key=True),  # SHA-256 of the link as it is shown
    Column("nature", choice("event_nature", NATURES), primary_key=True),
    Column("url", Text(), nullable=False),
    Column("clicks", Integer(), nullable=False, server_default="0"),
    Column("recipients", Integer(), nullable=False, server_default="0"),
)
