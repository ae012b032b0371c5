"""Rows of users."""

from __future__ import annotations

import pytest

from coldsend import clock
from coldsend.database.engine import Database
from coldsend.domain.states import Role
from coldsend.errors import NotFound, Refused
from coldsend.stores import users


def test_without_a_name_the_oldest_admin_acts(database: Database) -> None:
    with database.begin() as connection:
        users.add(connection, "anna", Role.OPERATOR, clock.now())
        users.add(connection, "boss", Role.ADMIN, clock.now())
        users.add(connection, "chief", Role.ADMIN, clock.now())
        assert users.acting(connection, None).username == "boss"


def test_a_named_user_acts_by_name_or_id(database: Database) -> None:
    with database.begin() as connection:
        anna = users.add(connection, "anna", Role.OPERATOR, clock.now())
        assert users.acting(connection, "anna") == users.acting(connection, str(anna))
        assert users.acting(connection, "anna").role == Role.OPERATOR


def test_before_init_nobody_acts(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound, match="no user yet"):
        users.acting(connection, None)


def test_names_differ_by_more_than_case(database: Database) -> None:
    with database.begin() as connection:
        users.add(connection, "Ölga", Role.OPERATOR, clock.now())
        with pytest.raises(Refused, match="'Ölga' exists already"):
            users.add(connection, "ölga", Role.OPERATOR, clock.now())


def test_a_number_beyond_all_ids_is_not_found(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound):
        users.find(connection, "9" * 40)
