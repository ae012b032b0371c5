"""Who a recipient rule reaches now: how many, and the first few of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.audience.rule_json import TaskResolver
from coldsend.audience.rule_sql import LOOK, RuleQuery, Span
from coldsend.database.tables import contacts
from coldsend.domain.rule import Rule


@dataclass(frozen=True, slots=True)
class Preview:
    """count: contacts that match, suppressed ones among them. sample: the first by id, with
    ``id``, ``email``, ``nickname`` and ``tags``."""

    count: int
    sample: list[dict[str, Any]]


def preview(
    connection: Connection, rule: Rule, resolve_task: TaskResolver, now: datetime, limit: int = 10
) -> Preview:
    """Count the contacts a rule matches at ``now`` and show the first ``limit`` of them."""
    query = RuleQuery(rule, resolve_task, now)
    last: int = connection.execute(sa.select(sa.func.max(contacts.c.id))).scalar() or 0
    _, lead = query.lead_between(connection, Span(0, last), LOOK)
    recipients = query.recipients(lead)
    count = connection.execute(recipients.with_only_columns(sa.func.count())).scalar_one()
    shown = recipients.with_only_columns(
        contacts.c.id, contacts.c.email, contacts.c.nickname, contacts.c.tags
    )
    first = connection.execute(shown.order_by(contacts.c.id).limit(limit)).mappings()
    return Preview(count, [{**row, "tags": row["tags"] or []} for row in first])
