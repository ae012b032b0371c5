"""Grants of services to users."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend import clock
from coldsend.database.engine import Database
from coldsend.database.tables import sender_services
from coldsend.domain.access import Actor
from coldsend.domain.states import Role
from coldsend.stores import access, users
from coldsend.stores.lookup import inserted_id


def a_service(connection: Connection, name: str) -> int:
    values = {"name": name, "type": "console", "from_email": f"{name}@example.com"}
    return inserted_id(connection.execute(sa.insert(sender_services).values(values)))


def test_a_grant_lets_an_operator_use_the_service_until_it_is_revoked(database: Database) -> None:
    with database.begin() as connection:
        anna = users.add(connection, "anna", Role.OPERATOR, clock.now())
        actor = Actor(anna, "anna", Role.OPERATOR)
        mine, other = a_service(connection, "mine"), a_service(connection, "other")
        assert not access.may_use(connection, actor, mine)
        assert access.grant(connection, anna, mine, clock.now())
        assert access.granted(connection, anna) == {mine}
        assert access.may_use(connection, actor, mine)
        assert not access.may_use(connection, actor, other)
        assert access.revoke(connection, anna, mine)
        assert not access.may_use(connection, actor, mine)


def test_granting_and_revoking_twice_says_that_nothing_changed(database: Database) -> None:
    with database.begin() as connection:
        anna = users.add(connection, "anna", Role.OPERATOR, clock.now())
        service = a_service(connection, "mine")
        assert [access.grant(connection, anna, service, clock.now()) for _ in range(2)] == [True, False]
        assert [access.revoke(connection, anna, service) for _ in range(2)] == [True, False]


def test_an_admin_may_use_services_nobody_granted(database: Database) -> None:
    with database.begin() as connection:
        boss = Actor(users.add(connection, "boss", Role.ADMIN, clock.now()), "boss", Role.ADMIN)
        assert access.may_use(connection, boss, a_service(connection, "mine"))


def test_services_granted_to_nobody_are_known(database: Database) -> None:
    with database.begin() as connection:
        anna = users.add(connection, "anna", Role.OPERATOR, clock.now())
        granted, free = a_service(connection, "granted"), a_service(connection, "free")
        access.grant(connection, anna, granted, clock.now())
        assert access.ungranted(connection) == {free}
