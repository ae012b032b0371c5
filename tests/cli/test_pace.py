"""Time and pace on the command line: settings of campaigns, limits of services, contacts' zones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.database.tables import campaigns, send_counts, sender_quota, sender_services
from coldsend.domain.states import CountKind
from coldsend.pacing.quota import hour_of, period_of
from coldsend.stores import send_counts as counts
from tests.cli.test_campaign import ready
from tests.conftest import Project

SETTINGS = {
    "time_zone": "Europe/Berlin",
    "send_window": ["mon-fri 09:00-17:00", "sat 10:00-12:00"],
    "holidays": ["recipient", "US-CA"],
    "spread": True,
    "stop_on_reply": True,
    "stop_domain_on_reply": False,
    "followups_first": False,
    "new_per_day": 50,
}
OPTIONS = (
    "--time-zone", "Europe/Berlin", "--window", "mon-fri 9:00-17:00", "--window", "saturday 10:00-12:00",
    "--holidays", "recipient", "--holidays", "us-ca", "--spread", "--no-stop-domain-on-reply",
    "--no-followups-first", "--new-per-day", "50",
)  # fmt: skip


def settings_of(project: Project, campaign: str = "spring") -> dict[str, Any]:
    shown = project.json("campaign", "show", campaign)
    return {name: shown[name] for name in SETTINGS}


def add_service(project: Project, *more: str) -> None:
    common = ("--from", "a@example.com", "--daily-quota", "100", "--throttle-sec", "0")
    project.run("service", "add", "dry", "--type", "console", "--folder", "out", *common, *more)


@pytest.mark.costly
def test_a_campaign_is_made_with_its_settings_and_shows_them(project: Project) -> None:
    project.run("campaign", "create", "spring", *OPTIONS)
    assert settings_of(project) == SETTINGS
    shown = project.run("campaign", "show", "spring").out
    assert "mon-fri 09:00-17:00, sat 10:00-12:00" in shown


def test_without_options_a_campaign_has_the_settings_that_were_always_there(sqlite_project: Project) -> None:
    sqlite_project.run("campaign", "create", "spring")
    off = {"time_zone": None, "send_window": None, "holidays": None, "spread": False, "new_per_day": None}
    assert settings_of(sqlite_project) == {
        **off, "stop_on_reply": True, "stop_domain_on_reply": True, "followups_first": True
    }  # fmt: skip


@pytest.mark.costly
def test_an_update_changes_what_is_given_and_takes_away_what_is_empty(project: Project) -> None:
    project.run("campaign", "create", "spring", *OPTIONS)
    project.run("campaign", "update", "spring", "--window", "tue 08:00-09:00", "--no-stop-on-reply")
    assert settings_of(project) == {
        **SETTINGS, "send_window": ["tue 08:00-09:00"], "stop_on_reply": False
    }  # fmt: skip
    empty = ("--window", "", "--holidays", "", "--time-zone", "", "--new-per-day", "", "--no-spread")
    changed = project.json("campaign", "update", "spring", *empty)
    assert (changed["send_window"], changed["holidays"], changed["time_zone"]) == (None, None, None)
    assert (changed["new_per_day"], changed["spread"]) == (None, False)


@pytest.mark.costly
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--window", "mon-fri 09:00-17:00", "--window", "nine to five"), "'nine to five'"),
        (("--holidays", "Atlantis"), "'Atlantis'"),
        (("--time-zone", "Berlin"), "'Berlin'"),
        (("--new-per-day", "0"), "'0'"),
        (("--new-per-day", "many"), "'many'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name_and_nothing_changes(
    sqlite_project: Project, options: tuple[str, ...], named: str
) -> None:
    refused = sqlite_project.run("campaign", "create", "other", *options, "--json", check=False)
    assert (refused.code, named in refused.error["message"]) == (4, True)
    assert sqlite_project.json("campaign", "list") == []
    sqlite_project.run("campaign", "create", "spring", *OPTIONS)
    assert sqlite_project.run("campaign", "update", "spring", "--spread", *options, check=False).code == 4
    assert settings_of(sqlite_project) == SETTINGS


@pytest.mark.costly
def test_an_update_of_a_running_campaign_says_what_becomes_of_who_waits(project: Project) -> None:
    ready(project)
    project.run("campaign", "start", "spring")
    result = project.run("campaign", "update", "spring", "--window", "mon-fri 09:00-17:00")
    assert "also for who waits" in result.err
    late = project.run("campaign", "update", "spring", "--start-at", "2030-01-01T00Z", check=False)
    assert (late.code, "only be changed in draft" in late.err) == (4, True)
    project.run("campaign", "cancel", "spring", "--yes")
    ended = project.run("campaign", "update", "spring", "--spread", check=False)
    assert (ended.code, "cancelled" in ended.err) == (4, True)


@pytest.mark.costly
def test_only_its_creator_and_admins_update_a_campaign(sqlite_project: Project) -> None:
    for name in ("anna", "bert"):
        sqlite_project.run("user", "add", name)
    sqlite_project.run("campaign", "create", "hers", "--as", "anna")
    refused = sqlite_project.run("campaign", "update", "hers", "--spread", "--as", "bert", check=False)
    assert refused.code == 4
    assert not settings_of(sqlite_project, "hers")["spread"]
    sqlite_project.run("campaign", "update", "hers", "--spread", "--as", "anna")
    assert settings_of(sqlite_project, "hers")["spread"]


def test_an_update_that_says_nothing_is_a_mistake(sqlite_project: Project) -> None:
    sqlite_project.run("campaign", "create", "spring")
    assert sqlite_project.run("campaign", "update", "spring", check=False).code == 2


def test_who_was_written_to_today_counts_also_when_the_day_gets_another_date(project: Project) -> None:
    made = project.json("campaign", "create", "spring", "--new-per-day", "5")
    day = clock.now().date()
    with project.database.begin() as connection:
        counts.reserve(connection, CountKind.CAMPAIGN_NEW, made["id"], period_of(day), {"": 4}, 5)
    # One of the two has another date than UTC, at any time of the day.
    for zone in ("Pacific/Kiritimati", "Pacific/Niue"):
        project.run("campaign", "update", "spring", "--time-zone", zone)
    with project.database.read() as connection:
        used = set(connection.execute(sa.select(send_counts.c.used)).scalars())
        periods = connection.execute(sa.select(sa.func.count()).select_from(send_counts)).scalar()
        zone_now = connection.execute(sa.select(campaigns.c.time_zone)).scalar()
    assert (used, zone_now) == ({4}, "Pacific/Niue")
    assert periods in (2, 3)


@pytest.mark.costly
def test_a_service_is_added_with_its_limits_and_shows_what_holds_today(project: Project) -> None:
    add_service(
        project, "--ramp", "20 + 10", "--hourly-quota", "15", "--domain-quota", "5", "--jitter-sec", "2.5",
        "--spread-hours", "8",
    )  # fmt: skip
    shown = project.json("service", "show", "dry")
    today = clock.now().date().isoformat()
    assert shown["ramp"] == {"start": 20, "step": 10, "since": today}
    assert (shown["daily_quota"], shown["limit_today"], shown["left_today"]) == (100, 20, 20)
    assert (shown["hourly_quota"], shown["used_this_hour"], shown["domain_quota"]) == (15, 0, 5)
    assert (shown["jitter_sec"], shown["spread_hours"], shown["gap_sec"]) == (2.5, 8.0, 1440.0)
    with project.database.begin() as connection:
        counts.reserve(connection, CountKind.SERVICE_HOUR, shown["id"], hour_of(clock.now()), {"": 3}, 15)
    quota = project.json("quota", "show", "dry")
    assert (quota["limit"], quota["daily_quota"], quota["hourly_quota"]) == (20, 100, 15)
    assert quota["used_this_hour"] in (0, 3)
    assert quota["ramp"]["step"] == 10


@pytest.mark.costly
def test_limits_are_changed_one_by_one_and_taken_away(project: Project) -> None:
    add_service(project, "--ramp", "20+10", "--hourly-quota", "15", "--jitter-sec", "3")
    yesterday = (clock.now() - timedelta(days=1)).date().isoformat()
    began = {"start": 20, "step": 10, "since": yesterday}
    with project.database.begin() as connection:
        connection.execute(sa.update(sender_services).values(ramp=began))
    project.run("service", "update", "dry", "--ramp", "20+10", "--domain-quota", "3")
    assert project.json("service", "show", "dry")["ramp"] == began, "the same ramp goes on"
    project.run("service", "update", "dry", "--ramp", "50+10")
    assert project.json("service", "show", "dry")["ramp"]["since"] > yesterday, "another begins today"
    off = ("--ramp", "", "--hourly-quota", "", "--domain-quota", "", "--jitter-sec", "")
    project.run("service", "update", "dry", *off)
    shown = project.json("service", "show", "dry")
    assert [shown[name] for name in ("ramp", "hourly_quota", "domain_quota", "jitter_sec")] == [
        None,
        None,
        None,
        0,
    ]


def test_all_that_is_wrong_with_limits_is_said_at_once(sqlite_project: Project) -> None:
    add_service(sqlite_project)
    wrong = (
        "--ramp", "20", "--hourly-quota", "0", "--domain-quota", "x", "--jitter-sec", "-1"
    )  # fmt: skip
    refused = sqlite_project.run(
        "service", "update", "dry", *wrong, "--spread-hours", "0", "--json", check=False
    )
    assert refused.code == 4
    for option in ("--ramp", "--hourly-quota", "--domain-quota", "--jitter-sec", "--spread-hours"):
        assert option in refused.error["message"]
    assert sqlite_project.json("service", "show", "dry")["hourly_quota"] is None


def test_what_went_to_a_domain_today_counts_also_when_the_day_gets_another_date(project: Project) -> None:
    add_service(project, "--domain-quota", "5")
    day = period_of(clock.now().date())
    with project.database.begin() as connection:
        counts.reserve(connection, CountKind.SERVICE_DOMAIN, 1, day, {"x.example": 4}, 5)
    for zone in ("Pacific/Kiritimati", "Pacific/Niue"):
        project.run("service", "update", "dry", "--time-zone", zone)
    with project.database.read() as connection:
        found = connection.execute(sa.select(send_counts.c.key, send_counts.c.used)).all()
    assert len(found) in (2, 3)
    assert {tuple(row) for row in found} == {("x.example", 4)}


@pytest.mark.parametrize(
    ("option", "kind", "key", "named"),
    [
        ("--hourly-quota", CountKind.SERVICE_HOUR, "", "hourly quota"),
        ("--domain-quota", CountKind.SERVICE_DOMAIN, "example.org", "its 1 messages of today to example.org"),
    ],
)
def test_a_test_message_takes_of_every_limit(
    project: Project, option: str, kind: CountKind, key: str, named: str
) -> None:
    add_service(project, option, "1")
    project.run("service", "test", "dry", "--to", "me@example.org")
    refused = project.run("service", "test", "dry", "--to", "me@example.org", check=False)
    if kind is CountKind.SERVICE_DOMAIN or clock.now().minute:
        assert (refused.code, named in refused.err) == (4, True)
    with project.database.read() as connection:
        taken = connection.execute(
            sa.select(send_counts.c.used).where(send_counts.c.kind == kind.value, send_counts.c.key == key)
        )
        assert set(taken.scalars()) == {1}
        used = connection.execute(sa.select(sa.func.sum(sender_quota.c.used))).scalar()
    assert used == 1 or not clock.now().minute, "what one limit refuses takes nothing of another"


def test_an_import_knows_time_zone_and_country_and_refuses_a_zone_that_is_none(
    sqlite_project: Project,
) -> None:
    file = sqlite_project.folder / "people.csv"
    file.write_text(
        "Email,Time Zone,Country\na@x.example,Europe/Berlin,Germany\nb@x.example,Berlin,Germany\n"
    )
    result = sqlite_project.run("contact", "import", str(file), check=False)
    assert result.code == 6
    shown = sqlite_project.json("contact", "show", "a@x.example")
    assert (shown["time_zone"], shown["fields"]) == ("Europe/Berlin", {"country": "Germany"})
    rejects = (sqlite_project.folder / "people.rejects.csv").read_text()
    assert "'Berlin' is not a time zone (for example: Europe/Berlin)" in rejects
