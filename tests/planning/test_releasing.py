"""Who waits for a service that will not send again is freed for others: on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.analytics.task_limits import services_of
from coldsend.database.engine import Database
from coldsend.database.tables import sender_services, task_contacts, task_services, tasks
from coldsend.delivery import view as views
from coldsend.errors import NotAllowed, Refused
from coldsend.planning import followups, releasing
from coldsend.stores import tasks as task_rows
from coldsend.stores.waiting import kept
from tests.delivery.test_sequences import Sequel
from tests.delivery.test_turn import accepted

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Orphans(Sequel):
    """Follow-ups of a service that is frozen for good, and another one, ``spare``, that may send them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.dead = self.service_id
        self.change(sender_services, self.dead, health_status="frozen", frozen_code="manual")
        self.spare = self.service("spare", from_email="b@spare.example")
        self.service_id = self.spare  # what take() asks for

    def release(self, service: str = "main", campaign: str | None = None) -> int:
        found = releasing.find(self.database, self.admin, service, campaign)
        return releasing.release(self.database, self.admin, found)

    def keeps(self, row: int) -> int | None:
        found: int | None = self.row(task_contacts, row)["sender_service_id"]
        return found

    def followups_due(self) -> dict[int, int]:
        with self.database.read() as connection:
            found = views.read(connection, clock.now()).services
        return {one: facts.followups_due for one, facts in found.items() if facts.followups_due}


@pytest.fixture
def world(database: Database) -> Orphans:
    return Orphans(database)


def test_a_follow_up_goes_out_through_another_service_in_the_same_thread(world: Orphans) -> None:
    row = world.after(world.first(sender_service_id=world.dead))
    assert world.release() == 1
    [claim] = world.claims()
    assert (claim.row.id, claim.row.service_id) == (row, world.spare)
    assert claim.thread is not None
    assert claim.thread.earlier[0][1] == "<one@x>"
    world.take(0, [accepted(claim)])
    assert world.keeps(row) == world.spare


def test_a_message_id_that_was_not_noted_stays_at_the_domain_of_the_service_that_sent_it(
    world: Orphans,
) -> None:
    first = world.first(sender_service_id=world.dead, message_id=None)
    world.after(first)
    world.release()
    [claim] = world.claims()
    assert claim.thread is not None
    assert claim.thread.domains == {first: "example.com"}


def test_greylisted_messages_are_freed_too_and_what_others_hold_or_have_ended_is_not(world: Orphans) -> None:
    keeps = {"sender_service_id": world.dead}
    [greylisted] = world.rows(world.task_id, "pending", **keeps)
    [under_way] = world.rows(world.task_id, "sending", **keeps)
    [sent] = world.rows(world.task_id, "sent", **keeps)
    [of_spare] = world.rows(world.task_id, "pending", sender_service_id=world.spare)
    assert world.release() == 1
    found = [world.keeps(row) for row in (greylisted, under_way, sent, of_spare)]
    assert found == [None, world.dead, world.dead, world.spare]


def test_they_are_freed_in_parts(world: Orphans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releasing, "CHUNK", 2)
    world.rows(world.second, "pending", 5, sender_service_id=world.dead)
    assert world.release(campaign="spring") == 5
    with world.database.read() as connection:
        assert kept(connection, [world.second], world.dead) == {}


def test_only_the_services_of_the_first_task_may_take_them_over(world: Orphans) -> None:
    third = world.service("third")
    for service in (world.dead, third):
        world.insert(task_services, task_id=world.task_id, sender_service_id=service)
    row = world.after(world.first(sender_service_id=world.dead))
    world.release()
    assert world.claims() == [], "`spare` was not named for the campaign's first messages"
    world.service_id = third
    assert [claim.row.id for claim in world.claims()] == [row]


@on_sqlite
def test_where_no_other_service_may_be_used_nothing_is_freed(world: Orphans) -> None:
    olga = world.user("olga")
    world.change(tasks, world.second, created_by=olga.id)
    row = world.after(world.first(sender_service_id=world.dead))
    with pytest.raises(Refused, match="may use no other one"):
        world.release()
    assert world.keeps(row) == world.dead


@on_sqlite
def test_an_operator_frees_those_of_own_campaigns_only(world: Orphans) -> None:
    world.after(world.first(sender_service_id=world.dead))
    olga = world.user("olga")
    with pytest.raises(Refused, match="nobody waits"):
        releasing.find(world.database, olga, "main", None)
    with pytest.raises(NotAllowed, match="belongs to another user"):
        releasing.find(world.database, olga, "main", "spring")


@on_sqlite
def test_services_keep_quota_for_what_was_freed_by_what_is_left_of_their_day(world: Orphans) -> None:
    other = world.service("other", daily_quota=50)
    for _ in range(3):
        world.after(world.first(sender_service_id=world.dead))
    assert world.followups_due() == {world.dead: 3}
    world.release()
    assert world.followups_due() == {world.spare: 2, other: 1}
    limited = world.task(world.campaign_id, "limited")
    with world.database.begin() as connection:
        connection.execute(sa.insert(task_services).values(task_id=limited, sender_service_id=other))
    with world.database.read() as connection:
        [facts] = services_of(connection, task_rows.get(connection, limited), clock.now())
    assert facts.followups_due == 1, "told as it is kept"


@on_sqlite
def test_what_follows_a_freed_message_goes_through_the_service_that_sent_it(world: Orphans) -> None:
    third = world.follow(world.second, "third")
    world.after(world.first(sender_service_id=world.dead))
    world.release()
    [claim] = world.claims()
    world.take(0, [accepted(claim)])
    assert followups.enrol(world.database, third, clock.now() + timedelta(minutes=1)).count == 1
    with world.database.read() as connection:
        assert kept(connection, [third], world.spare) == {third: 1}
