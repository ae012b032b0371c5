"""Statements over many rows: values become part of the text, whatever stands in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldsend.database import bulk
from coldsend.database.engine import Database
from coldsend.database.tables import suppressions

ODD = ["plain", "it's", 'a "quote"', "50%", "%s", "%(name)s", "%%", "back\\slash", "\\'", ":name", "--", "ü"]
TEXTS = sa.Table(
    "texts",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text),
    sa.Column("state", sa.String(10)),
    mysql_charset="utf8mb4",
)
NUMBERS = sa.select(sa.literal(7).label("n")).subquery().c.n


@pytest.fixture(autouse=True)
def _no_table_is_left(database: Database) -> Iterator[None]:
    """Other tests of this process have the same database."""
    yield
    with database.begin() as connection:
        TEXTS.drop(connection, checkfirst=True)


@pytest.mark.parametrize("value", ODD)
def test_a_text_is_found_among_others_whatever_stands_in_it(database: Database, value: str) -> None:
    column = sa.select(sa.literal(value, sa.String).label("text")).subquery().c.text
    with database.read() as connection:
        assert connection.execute(sa.select(column).where(bulk.among(column, ODD))).all() == [(value,)]
        others = [other for other in ODD if other != value]
        assert connection.execute(sa.select(column).where(bulk.among(column, others))).all() == []


def test_conditions_beside_it_keep_their_meaning(database: Database) -> None:
    either = sa.or_(NUMBERS == 8, bulk.among(NUMBERS, [6, 7]))
    with database.read() as connection:
        assert connection.execute(sa.select(NUMBERS).where(either, NUMBERS < 8)).all() == [(7,)]
        assert connection.execute(sa.select(NUMBERS).where(sa.not_(bulk.among(NUMBERS, [7])))).all() == []
        assert connection.execute(sa.select(NUMBERS).where(bulk.among(NUMBERS, []))).all() == []


def test_statements_of_one_form_do_not_share_their_values(database: Database) -> None:
    with database.read() as connection:
        for values, found in (([7], [(7,)]), ([8], []), ([6, 7, 8], [(7,)])):
            assert connection.execute(sa.select(NUMBERS).where(bulk.among(NUMBERS, values))).all() == found


@pytest.mark.costly
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), min_size=1))
def test_texts_come_back_as_they_were_written(database: Database, texts: list[str]) -> None:
    ids = list(range(1, len(texts) + 1))
    with database.begin() as connection:
        TEXTS.create(connection, checkfirst=True)
        connection.execute(sa.delete(TEXTS))
        connection.execute(sa.insert(TEXTS), [{"id": number, "state": "new"} for number in ids])
        guarded = (connection, TEXTS, {"state": "'old'"}, {"text": texts}, ids)
        assert bulk.update_each(*guarded, "state = 'other'") == 0
        assert bulk.update_each(*guarded, "state = 'new'") == len(texts)
        found = connection.execute(sa.select(TEXTS.c.text, TEXTS.c.state).order_by(TEXTS.c.id)).all()
    assert found == [(text, "old") for text in texts]


def test_the_keys_of_suppressions_are_such_texts(database: Database) -> None:
    keys = ["a:50%off@example.com", "a:o'neill@example.com"]
    with database.read() as connection:
        found = sa.select(suppressions.c.suppression_key).where(
            bulk.among(suppressions.c.suppression_key, keys), suppressions.c.campaign_id.in_([0])
        )
        assert connection.execute(found).all() == []


@pytest.mark.costly
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), min_size=1))
def test_rows_are_inserted_as_they_are_in_as_many_statements_as_it_takes(
    database: Database, texts: list[str]
) -> None:
    rows = [(number, text, None) for number, text in enumerate(texts, start=1)]
    with database.begin() as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "_STATEMENT", 40)
        TEXTS.create(connection, checkfirst=True)
        connection.execute(sa.delete(TEXTS))
        bulk.insert_many(connection, TEXTS, ("id", "text", "state"), rows)
        assert connection.execute(sa.select(TEXTS).order_by(TEXTS.c.id)).all() == rows


def test_rows_whose_key_is_there_are_left_as_they_are_where_that_is_asked_for(database: Database) -> None:
    columns = ("id", "text")
    with database.begin() as connection:
        TEXTS.create(connection, checkfirst=True)
        connection.execute(sa.delete(TEXTS))
        bulk.insert_many(connection, TEXTS, columns, [(1, "first")])
        bulk.insert_many(connection, TEXTS, columns, [(1, "again"), (2, "it's"), (2, "twice")], ignore=True)
        assert connection.execute(sa.select(TEXTS.c.text).order_by(TEXTS.c.id)).scalars().all() == [
            "first",
            "it's",
        ]
    with pytest.raises(sa.exc.IntegrityError), database.begin() as connection:
        bulk.insert_many(connection, TEXTS, columns, [(2, "again")])
