"""coldsend quota."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coldsend import clock
from coldsend.stores import quota, services
from tests.conftest import Project


def add(project: Project, name: str, *more: str) -> None:
    project.run(
        "service", "add", name, "--type", "console", "--from", "a@example.com", "--daily-quota", "100",
        "--throttle-sec", "0", *more,
    )  # fmt: skip


def use(project: Project, name: str, n: int, days_ago: int = 0) -> None:
    day = (clock.now() - timedelta(days=days_ago)).date()
    with project.database.begin() as connection:
        quota.reserve(connection, services.find(connection, name)["id"], day, n, 100)


def test_the_quota_of_all_services_is_shown(project: Project) -> None:
    add(project, "one")
    add(project, "two", "--time-zone", "Asia/Shanghai")
    use(project, "one", 30)
    one, two = project.json("quota", "show")
    assert (one["service"], one["limit"], one["used"], one["left"]) == ("one", 100, 30, 70)
    assert (two["time_zone"], two["next_day_begins"][11:]) == ("Asia/Shanghai", "16:00:00Z")
    assert one["quota_day"] == clock.now().date().isoformat()


def test_one_service_is_one_document(project: Project) -> None:
    add(project, "one")
    assert project.json("quota", "show", "one")["left"] == 100
    assert "one" in project.run("quota", "show", "one").out


def test_a_reset_brings_the_mirror_up_to_date_and_may_be_repeated(project: Project) -> None:
    add(project, "one")
    use(project, "one", 9)
    use(project, "one", 50, days_ago=2)
    assert project.json("quota", "reset")[0]["days_closed"] == 1
    with project.database.read() as connection:
        assert services.find(connection, "one")["used_today"] == 9
    assert project.json("quota", "reset", "one") == [
        {"service": "one", "quota_day": clock.now().date().isoformat(), "used": 9, "days_closed": 0}
    ]


def test_a_reset_grants_nothing_on_the_same_day(project: Project) -> None:
    add(project, "one")
    use(project, "one", 100)
    project.run("quota", "reset")
    assert project.json("quota", "show", "one")["left"] == 0


@pytest.mark.costly
def test_operators_see_granted_services_and_reset_none(project: Project) -> None:
    add(project, "one")
    project.run("user", "add", "olga")
    assert project.json("--as", "olga", "quota", "show") == []
    assert project.run("--as", "olga", "quota", "show", "one", check=False).code == 4
    assert project.run("--as", "olga", "quota", "reset", check=False).code == 4
    project.run("service", "grant", "one", "olga")
    assert project.json("--as", "olga", "quota", "show", "one")["limit"] == 100
