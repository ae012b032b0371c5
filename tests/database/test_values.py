"""What is written comes back the same: times, text that differs in one accent or letter case, ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import contact_tags, contacts, leases, users

MOMENT = datetime(2031, 3, 30, 1, 59, 59, 123457, tzinfo=UTC)


def add_contact(connection: sa.Connection, email: str, **values: object) -> int:
    row = {"email": email, "email_key": email, "email_domain": email.split("@")[1], **values}
    key = connection.execute(sa.insert(contacts).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0])


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-9, minutes=-30))], ids=["utc", "west"])
def test_times_keep_their_microseconds_and_come_back_in_utc(database: Database, zone: timezone) -> None:
    with database.begin() as connection:
        connection.execute(sa.insert(leases).values(name="x", expires_at=MOMENT.astimezone(zone)))
    with database.read() as connection:
        value = connection.execute(sa.select(leases.c.expires_at)).scalar_one()
    assert value == MOMENT
    assert value.tzinfo is UTC


def test_times_sort_as_times(database: Database) -> None:
    moments = [MOMENT, MOMENT.replace(microsecond=0), MOMENT.replace(microsecond=999999)]
    with database.begin() as connection:
        for number, moment in enumerate(moments):
            connection.execute(sa.insert(leases).values(name=str(number), expires_at=moment))
    with database.read() as connection:
        ordered = connection.execute(sa.select(leases.c.expires_at).order_by(leases.c.expires_at)).scalars()
        assert list(ordered) == sorted(moments)
        due = sa.select(sa.func.count()).select_from(leases).where(leases.c.expires_at <= MOMENT)
        assert connection.execute(due).scalar() == 2


def test_a_naive_time_is_refused(database: Database) -> None:
    with database.begin() as connection, pytest.raises(sa.exc.StatementError, match="naive"):
        connection.execute(sa.insert(leases).values(name="x", expires_at=MOMENT.replace(tzinfo=None)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jose@example.com", "josé@example.com"),
        ("a@example.com", "A@example.com"),
        ("strasse@example.com", "straße@example.com"),
        ("мир@example.com", "mir@example.com"),
    ],
)
def test_addresses_that_differ_in_one_character_are_two_people(
    database: Database, one: str, other: str
) -> None:
    with database.begin() as connection:
        add_contact(connection, one)
        add_contact(connection, other)
        found = connection.execute(sa.select(contacts.c.email).where(contacts.c.email == one)).scalars().all()
    assert found == [one]


def test_the_same_address_twice_is_refused(database: Database) -> None:
    with database.begin() as connection:
        add_contact(connection, "a@example.com")
    with pytest.raises(sa.exc.IntegrityError), database.begin() as connection:
        add_contact(connection, "a@example.com")


def test_tags_that_differ_in_case_or_accent_are_two_tags(database: Database) -> None:
    tags = ["VIP", "vip", "café", "cafe", "客户"]
    with database.begin() as connection:
        connection.execute(sa.insert(contact_tags), [{"tag": tag, "contact_id": 1} for tag in tags])
        chosen = sa.select(contact_tags.c.tag).where(contact_tags.c.tag == "vip")
        assert connection.execute(chosen).scalars().all() == ["vip"]
        listed = connection.execute(sa.select(contact_tags.c.tag)).scalars().all()
    assert sorted(listed) == sorted(tags)


def test_text_outside_the_basic_plane_is_kept(database: Database) -> None:
    with database.begin() as connection:
        add_contact(connection, "a@example.com", nickname="Zoë 🦊 王", fields={"motto": "🦊 'quoted' \\ \n"})
        row = connection.execute(sa.select(contacts)).mappings().one()
    assert (row["nickname"], row["fields"]) == ("Zoë 🦊 王", {"motto": "🦊 'quoted' \\ \n"})


def test_no_tags_are_sql_null(database: Database) -> None:
    with database.begin() as connection:
        add_contact(connection, "a@example.com", tags=None)
        empty = sa.select(sa.func.count()).select_from(contacts).where(contacts.c.tags.is_(sa.null()))
        assert connection.execute(empty).scalar() == 1


def test_text_that_does_not_fit_is_refused_rather_than_cut_by_servers(mariadb_url: str) -> None:
    database = Database(mariadb_url)
    try:
        with pytest.raises(sa.exc.DataError), database.begin() as connection:
            connection.execute(sa.insert(users).values(username="x" * 256, role="operator"))
    finally:
        database.dispose()


def test_ids_are_never_given_out_twice(database: Database) -> None:
    with database.begin() as connection:
        add_contact(connection, "a@example.com")
        last = add_contact(connection, "b@example.com")
    with database.begin() as connection:
        connection.execute(sa.delete(contacts))
    database.dispose()
    with database.begin() as connection:
        assert add_contact(connection, "c@example.com") > last


def test_every_text_column_compares_byte_by_byte(mariadb_url: str) -> None:
    database = Database(mariadb_url)
    query = sa.text(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND collation_name IS NOT NULL AND table_name != 'alembic_version'"
    )
    try:
        with database.read() as connection:
            rows = connection.execute(query).all()
    finally:
        database.dispose()
    assert len(rows) > 40
    assert [row for row in rows if row[2] not in {"utf8mb4_bin", "ascii_bin"}] == []
