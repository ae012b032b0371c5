"""Erasing the only person of a domain takes the domain out of what was counted; the numbers stay."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from coldsend.analytics.rollup import RollUp
from coldsend.audience import erasing
from coldsend.database.engine import Database
from coldsend.database.tables import contacts, event_domains, event_log
from coldsend.stores.rollups import ERASED_DOMAIN
from tests.audience.people import NOW, PEPPER
from tests.planning.world import World

pytestmark = pytest.mark.costly


def person(world: World, email: str) -> int:
    return world.insert(contacts, email=email, email_key=email, email_domain=email.partition("@")[2])


def events_by_domain(database: Database) -> dict[str, int]:
    query = sa.select(event_domains.c.domain, sa.func.sum(event_domains.c.events))
    with database.read() as connection:
        return {domain: int(n) for domain, n in connection.execute(query.group_by(event_domains.c.domain))}


def test_a_domain_goes_with_its_last_person(database: Database) -> None:
    world = World(database)
    task = world.task(world.campaign("spring", "active"))
    people = [person(world, email) for email in ("bob@bobsmith.example", "ann@acme.com", "eve@acme.com")]
    for someone in people:
        world.insert(event_log, task_id=task, contact_id=someone, type="open", ts=NOW)
    RollUp(database, grace=0).run(NOW)
    erasing.erase(database, "bob@bobsmith.example", PEPPER, NOW, world.admin)
    assert events_by_domain(database) == {ERASED_DOMAIN: 1, "acme.com": 2}
    erasing.erase(database, "ann@acme.com", PEPPER, NOW, world.admin)
    assert events_by_domain(database) == {ERASED_DOMAIN: 1, "acme.com": 2}, "eve is left there"
    erasing.erase(database, "eve@acme.com", PEPPER, NOW, world.admin)
    assert events_by_domain(database) == {ERASED_DOMAIN: 3}
