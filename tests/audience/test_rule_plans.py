"""What a rule costs: an index leads wherever the rule allows, measured by what the databases touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.audience import rule
from coldsend.audience.preview import preview
from coldsend.audience.rule_sql import RuleQuery, Span, condition
from coldsend.database.dialect import text_of
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import contact_tags, contacts, event_log, task_contacts
from tests.audience.rules import NOW, TASKS
from tests.planning.world import World

pytestmark = pytest.mark.slow

PEOPLE = 50_000
RARE = 100


@pytest.fixture
def crowded(database: Database) -> Database:
    """50,000 contacts: tag ``all`` on every one, ``rare`` on every 500th; a few of anything else."""
    world = World(database)
    campaign = world.campaign("spring")
    tasks = [world.task(campaign, name) for name in ("intro", "second")]
    assert tasks == list(TASKS.values())
    with database.begin() as connection:
        _fill(connection, database.dialect_name)
    if database.dialect_name != "sqlite":
        with database.begin() as connection:
            tables = "contacts, contact_tags, task_contacts, event_log"
            connection.exec_driver_sql(f"ANALYZE TABLE {tables}").fetchall()
    return database


def _fill(connection: Connection, dialect_name: str) -> None:
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    crossed = f"({digits}) a CROSS JOIN ({digits}) b CROSS JOIN ({digits}) c CROSS JOIN ({digits}) e"
    number = "a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 1"
    counted = sa.text(f"SELECT {number} AS n FROM {crossed} CROSS JOIN ({digits}) f WHERE f.d < 5")
    numbers = counted.columns(sa.column("n", sa.Integer)).subquery("numbers")
    domain = sa.literal("d") + text_of(numbers.c.n % 500, dialect_name) + ".example"
    email = sa.literal("p") + text_of(numbers.c.n, dialect_name) + "@" + domain
    country = sa.case((numbers.c.n % 2 == 1, '{"country":"DE"}'), else_='{"country":"AT"}')
    columns = ["id", "email", "email_key", "email_domain", "fields"]
    people = sa.select(numbers.c.n, email, email, domain, sa.type_coerce(country, contacts.c.fields.type))
    connection.execute(sa.insert(contacts).from_select(columns, people))

    def add(table: sa.Table, among: Any, **values: Any) -> None:
        ids = sa.select(contacts.c.id, *(sa.literal(v, table.c[k].type) for k, v in values.items())).where(
            among
        )
        connection.execute(sa.insert(table).from_select(["contact_id", *values], ids))

    everyone, few = sa.true(), contacts.c.id % (PEOPLE // RARE) == 1
    add(contact_tags, everyone, tag="all")
    add(contact_tags, few, tag="rare")
    add(task_contacts, contacts.c.id <= 20_000, task_id=1, status="sent", sent_at=NOW, bucket=0)
    add(task_contacts, few, task_id=2, status="sent", sent_at=NOW, bucket=0)
    add(event_log, everyone, type="send_api_success", task_id=1, ts=NOW)
    add(event_log, few, type="open", task_id=1, ts=NOW)
    add(event_log, few, type="click", task_id=2, ts=NOW)


def touched(connection: Connection, work: Callable[[], Any]) -> int:
    """Rows that work reads (MariaDB), or a tenth of the steps it takes (SQLite: several per row)."""
    if connection.dialect.name == "sqlite":
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 10

        driver: Any = connection.connection.dbapi_connection
        driver.set_progress_handler(step, 10)
        work()
        driver.set_progress_handler(None, 0)
        return steps // 10
    before = _handler_reads(connection)
    work()
    return _handler_reads(connection) - before


def _handler_reads(connection: Connection) -> int:
    status = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
    return sum(int(value) for name, value in status if name != "Handler_read_rnd_deleted")


LED = {
    "tag:rare": 100,
    "tag:all and tag:rare": 100,
    "tag:rare and country = DE and not opened:spring/second": 100,
    "tag:rare and not sent:spring/intro and not tag:some": 60,
    "not (not tag:rare or lacks(country))": 100,
    "email:p7@d7.example,p8@d8.example": 2,
    "domain:d7.example": 100,
    "opened:spring/intro": 100,
    "opened within 7 days": 100,
    "clicked": 100,
    "sent:spring/second": 100,
    "tag:rare or domain:d7.example or email:p8@d8.example or sent:spring/second": 201,
    "(tag:rare or clicked) and tag:all": 100,
}


def test_an_index_leads_wherever_the_rule_allows(crowded: Database) -> None:
    measured = {}
    with crowded.read() as connection:
        for text, expected in LED.items():
            query = RuleQuery(rule.read(text), TASKS.__getitem__, NOW)
            _, lead = query.lead_between(connection, Span(0, PEOPLE), 2000)
            count = query.recipients(lead).with_only_columns(sa.func.count())
            connection.execute(count)  # whatever the first use of a table reads
            measured[text] = touched(connection, lambda q=count: connection.execute(q).all())  # type: ignore[misc]
            assert connection.execute(count).scalar() == expected, text
    assert {text: cost for text, cost in measured.items() if cost > 3000} == {}


def test_a_condition_by_itself_is_led_by_an_index(crowded: Database) -> None:
    alone = ["tag:rare", "domain:d7.example", "opened", "sent:spring/second", "not not tag:rare"]
    with crowded.read() as connection:
        for text in alone:
            led = sa.select(contacts.c.id).where(condition(rule.read(text), TASKS.__getitem__, NOW))
            assert len(connection.execute(led).all()) == 100, text
            assert touched(connection, lambda q=led: connection.execute(q).all()) < 3000, text  # type: ignore[misc]


def test_the_measure_sees_a_rule_that_no_index_leads(crowded: Database) -> None:
    unled = sa.select(contacts.c.id).where(condition(rule.read("country = DE"), TASKS.__getitem__, NOW))
    with crowded.read() as connection:
        assert touched(connection, lambda: connection.execute(unled).all()) > PEOPLE


def test_looking_for_the_lead_costs_the_size_of_the_look(crowded: Database) -> None:
    query = RuleQuery(rule.read("tag:all and (tag:rare or clicked) and opened"), TASKS.__getitem__, NOW)
    with crowded.read() as connection:
        look = touched(connection, lambda: query.lead_between(connection, Span(0, PEOPLE), 1000))
    assert look < 5000


def test_the_sparsest_condition_leads_as_far_as_its_entries_reach(crowded: Database) -> None:
    with crowded.read() as connection:

        def led(text: str, size: int) -> tuple[int, Any]:
            query = RuleQuery(rule.read(text), TASKS.__getitem__, NOW)
            to, lead = query.lead_between(connection, Span(0, PEOPLE), size)
            return to, [rule.to_text(leaf) for leaf in lead]

        assert led("tag:all and tag:rare", 50) == (24_501, ["tag:rare"])
        assert led("tag:all and tag:rare", 1000) == (PEOPLE, ["tag:rare"])
        assert led("tag:all or tag:rare", 50) == (25, ["tag:all", "tag:rare"])
        assert led("not tag:rare", 50) == (50, [])
        assert led("country = DE and tag:rare", 1) == (1, ["tag:rare"])


def test_a_preview_counts_and_shows_the_first(crowded: Database) -> None:
    with crowded.begin() as connection:
        connection.execute(sa.update(contacts).where(contacts.c.id == 501).values(deleted_at=NOW))
        connection.execute(
            sa.update(contacts).where(contacts.c.id == 1).values(nickname="Ann", tags=["all", "rare"])
        )
    with crowded.read() as connection:
        seen = preview(connection, rule.read("tag:rare and country = DE"), TASKS.__getitem__, NOW, limit=2)
    assert seen.count == 99
    assert seen.sample == [
        {"id": 1, "email": "p1@d1.example", "nickname": "Ann", "tags": ["all", "rare"]},
        {"id": 1001, "email": "p1001@d1.example", "nickname": None, "tags": []},
    ]


def test_a_preview_of_no_contacts_is_empty(database: Database) -> None:
    with database.read() as connection:
        seen = preview(connection, rule.read("everyone"), TASKS.__getitem__, NOW)
    assert (seen.count, seen.sample) == (0, [])
