"""Signing keys: made once, sealed, the same ever after."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.config.secrets import KeyRing, new_key, parse_key
from coldsend.database.engine import Database
from coldsend.database.tables import signing_keys as table
from coldsend.errors import NotFound, Refused
from coldsend.stores import signing_keys


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing([parse_key(new_key(), "test")])


def test_a_signing_key_is_made_once_and_stays_the_same(database: Database, keys: KeyRing) -> None:
    with database.begin() as connection:
        assert signing_keys.ensure(connection, keys, "links", clock.now())
        first = signing_keys.load(connection, keys, "links")
        assert not signing_keys.ensure(connection, keys, "links", clock.now())
        assert signing_keys.load(connection, keys, "links") == first
    assert len(first) == 32


def test_each_purpose_has_a_key_of_its_own(database: Database, keys: KeyRing) -> None:
    with database.begin() as connection:
        for purpose in signing_keys.PURPOSES:
            signing_keys.ensure(connection, keys, purpose, clock.now())
        assert len({signing_keys.load(connection, keys, purpose) for purpose in signing_keys.PURPOSES}) == 2


def test_the_key_does_not_lie_in_the_clear(database: Database, keys: KeyRing) -> None:
    with database.begin() as connection:
        signing_keys.ensure(connection, keys, "links", clock.now())
        stored = json.dumps(connection.execute(sa.select(table.c.secret)).scalar_one())
        assert '"kid"' in stored
        assert "secret" not in stored


def test_a_missing_signing_key_leads_to_init(database: Database, keys: KeyRing) -> None:
    with database.read() as connection, pytest.raises(NotFound) as caught:
        signing_keys.load(connection, keys, "links")
    assert caught.value.hint == "run: coldsend init"


def test_one_that_cannot_be_opened_is_not_taken_for_present(database: Database, keys: KeyRing) -> None:
    with database.begin() as connection:
        signing_keys.ensure(connection, keys, "links", clock.now())
    other = KeyRing([parse_key(new_key(), "test")])
    with database.begin() as connection, pytest.raises(Refused, match="which is not configured"):
        signing_keys.ensure(connection, other, "links", clock.now())
