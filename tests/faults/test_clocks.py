"""Clocks that jump, for everybody or for one; nights when clocks are changed; days that end in mid-send."""

from __future__ import annotations

import subprocess
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.database.engine import Database
from coldsend.database.tables import sender_quota
from coldsend.stores import quota
from tests.acceptance.scenario import CLOCK, TASK, Scenario
from tests.conftest import Project
from tests.faults.crew import Crew, assert_gaps, from_service
from tests.faults.oracle import assert_intact
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

HOUR = 3600.0
DAY = 24 * HOUR


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # the database has no part in it
def test_jumps_of_everybodys_clock_neither_double_nor_hold_up_nor_undercut(
    scenario: Scenario, server: RecordingServer
) -> None:
    throttle = 0.3
    server.control(latency={"final": 0.1})
    scenario.service("slow", server, throttle_sec=throttle)
    crew = Crew(scenario, server, 1000, connections=2)
    first, second = crew.scheduler(1), crew.sender()
    server.wait_for(20)
    for seconds in (3, -3, 2 * HOUR, -2 * HOUR, 2 * DAY, -2 * DAY):
        scenario.jump(seconds)
        crew.more(15)
    server.control(latency={})
    crew.until_ended()
    crew.terminate(first, second)
    assert_intact(scenario, server, recipients=1000, unknown=0)
    assert_gaps(from_service(server.messages(), "slow"), throttle)
    assert crew.logged("worker_declared_dead") == 0, "no jump makes a living process dead"
    crew.assert_no_bug()


def test_a_clock_before_the_beginning_makes_rows_wait_visibly(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    server.control(latency={"final": 0.5})  # most still wait, however late this test gets to run
    crew = Crew(scenario, server, 200)
    process = crew.scheduler(1)
    server.wait_for(10)
    scenario.jump(-HOUR)
    scenario.until(lambda: scenario.count("sending") == 0, "nobody is due any more")
    seen = len(server.messages())
    assert seen < 200
    waiting = scenario.project.json("task", "show", TASK)["by_status"]["pending"]
    assert waiting == 200 - seen
    scenario.jump(HOUR)
    server.control(latency={})
    crew.until_ended()
    crew.terminate(process)
    assert_intact(scenario, server, recipients=200, unknown=0)


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite is for one host
def test_a_host_whose_clock_is_hours_off_breaks_no_promise(
    scenario: Scenario, server: RecordingServer, tmp_path: Path
) -> None:
    throttle = 0.3
    server.control(latency={"final": 0.15})
    scenario.service("slow", server, throttle_sec=throttle)
    crew = Crew(scenario, server, 1200, connections=2)
    ahead = tmp_path / "ahead"
    ahead.write_text(str(3 * HOUR))
    scheduler = crew.scheduler()
    fast = crew.sender(**{CLOCK: str(ahead)})
    scenario.until(lambda: len(from_service(server.messages(), "slow")) >= 3, "it owns the slow service")
    right = crew.sender()
    crew.until_logged("worker_started", 3)
    ahead.write_text(str(-3 * HOUR))  # rows are not due for it any more, and its heartbeat is hours old
    crew.more(20)
    ahead.write_text(str(3 * HOUR))
    crew.more(20)
    crew.kill(fast)
    slow = len(from_service(server.messages(), "slow"))
    scenario.until(lambda: len(from_service(server.messages(), "slow")) >= slow + 3, "the other owns it now")
    server.control(latency={})
    crew.until_ended()
    crew.terminate(right, scheduler)
    assert_intact(scenario, server, recipients=1200, unknown=crew.connections + 1)
    assert_gaps(from_service(server.messages(), "slow"), throttle)
    crew.assert_no_bug()


def next_change(zone: ZoneInfo, *, later: bool) -> datetime:
    """The next moment (UTC) at which clocks of the zone are put back (``later``) or forward."""
    moment = clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    for _ in range(24 * 366 * 2):
        step = moment + timedelta(minutes=30)
        before, after = moment.astimezone(zone).utcoffset(), step.astimezone(zone).utcoffset()
        assert before is not None
        assert after is not None
        if before != after and (after < before) == later:
            return step
        moment = step
    raise AssertionError(f"{zone} has no summer time")


def around(zone: ZoneInfo, change: datetime) -> list[datetime]:
    """Moments before, in and after the day of the change, at its edges and around the change itself."""
    day = change.astimezone(zone).date()
    begins = datetime.combine(day, time.min, zone).astimezone(UTC)
    ends = datetime.combine(day + timedelta(days=1), time.min, zone).astimezone(UTC)
    second = timedelta(seconds=2)
    return [begins - timedelta(minutes=5), begins + second, change - timedelta(seconds=30), change + second,
            ends - timedelta(minutes=5), ends + second]  # fmt: skip


def test_a_day_with_a_change_of_clocks_has_one_quota(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    """A day of 25 hours in New York, one of 23 and a half on Lord Howe; each sends in both."""
    scenario, limit = sqlite_scenario, 5
    zones = {"york": ZoneInfo("America/New_York"), "howe": ZoneInfo("Australia/Lord_Howe")}
    for name, zone in zones.items():
        scenario.service(name, server, quota=limit, time_zone=zone.key)
    moments = sorted(
        around(zones["york"], next_change(zones["york"], later=True))
        + around(zones["howe"], next_change(zones["howe"], later=False))
    )
    crew = Crew(scenario, server, 300, quota=0)
    scenario.clock.write_text(str((moments[0] - clock.now()).total_seconds()))
    process = crew.scheduler(1)
    days: dict[str, set[date]] = {name: set() for name in zones}

    def allowed() -> dict[str, int]:
        return {name: limit * len(of_service) for name, of_service in days.items()}

    def sent() -> Counter[str]:
        return Counter(message.mail_from.partition("@")[0] for message in server.messages())

    for number, moment in enumerate(moments):
        scenario.clock.write_text(str((moment - clock.now()).total_seconds()))
        for name, zone in zones.items():
            days[name].add(moment.astimezone(zone).date())
        if number in (3, 5, 9):  # late, and twice; on all other days never
            for _ in range(2):
                assert scenario.command("quota", "reset").wait(60) == 0
        scenario.until(lambda: sent() == allowed(), f"{allowed()} messages by {moment}")
    crew.terminate(process)
    assert sent() == allowed()
    assert set(crew.quota_days().values()) <= {limit, 2 * limit, 0}, "two services, so twice at most"
    assert_intact(scenario, server, recipients=300, waiting=True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the database has no part in it
def test_what_was_refused_after_midnight_is_given_back_to_the_day_that_paid(
    scenario: Scenario, server: RecordingServer
) -> None:
    refusals = [
        {"at": "rcpt", "to": f"p{number}@", "do": "reply", "reply": "550 5.1.1 no such user"}
        for number in range(4)
    ]
    server.control(latency={"mail": 60}, faults=refusals)
    crew = Crew(scenario, server, 8, connections=4)
    tomorrow = datetime.combine(clock.now().date() + timedelta(days=1), time.min, UTC)
    scenario.clock.write_text(str((tomorrow - clock.now()).total_seconds() - 60))
    process = crew.scheduler(1)
    scenario.until(lambda: scenario.count("sending") == 8, "all are claimed on the day before")
    scenario.jump(120)
    server.control(latency={})
    crew.until_ended()
    crew.terminate(process)
    used = {day: count for day, count in crew.quota_days().items() if count}
    assert used == {str(tomorrow.date() - timedelta(days=1)): 4}
    assert_intact(scenario, server, recipients=8)


def quota_rows(database: Database) -> dict[date, int]:
    with database.read() as connection:
        return {
            row[0]: row[1]
            for row in connection.execute(sa.select(sender_quota.c.quota_day, sender_quota.c.used))
        }


@pytest.mark.parametrize(("before", "after"), [("Etc/GMT-14", "Etc/GMT+12"), ("Etc/GMT+12", "Etc/GMT-14")])
def test_another_time_zone_does_not_grant_the_day_a_second_time(
    project: Project, before: str, after: str
) -> None:
    """Zones 26 hours apart never have the same date."""
    project.run(
        "service", "add", "alpha", "--type", "console", "--folder", "out", "--from", "a@sender.example",
        "--daily-quota", "10", "--throttle-sec", "0", "--time-zone", before,
    )  # fmt: skip
    day = clock.now().astimezone(ZoneInfo(before)).date()
    project.database.run(lambda connection: quota.reserve(connection, 1, day, 7, 10))
    project.run("service", "update", "alpha", "--time-zone", after)
    other = clock.now().astimezone(ZoneInfo(after)).date()
    assert other != day
    assert quota_rows(project.database) == {day: 7, other: 7}
    assert project.json("quota", "show", "alpha")["left"] == 3
    project.database.run(lambda connection: quota.reserve(connection, 1, other, 2, 10))
    project.run("service", "update", "alpha", "--time-zone", before)
    assert project.json("quota", "show", "alpha")["left"] == 1, "and back again neither"
    project.run("service", "update", "alpha", "--daily-quota", "20")
    assert quota_rows(project.database) == {day: 9, other: 9}, (
        "a change that is not of the zone carries nothing"
    )


FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), Path("/nonexistent"))


@pytest.mark.skipif(not FAKETIME.exists(), reason="libfaketime is not installed (package faketime)")
def test_a_machine_whose_clock_is_set_back_goes_on_planning(
    sqlite_scenario: Scenario, server: RecordingServer, tmp_path: Path
) -> None:
    """The clock that the scheduler's timer goes by, too, which the engine's own test clock does not move."""
    scenario = sqlite_scenario
    crew = Crew(scenario, server, 10)
    offset = tmp_path / "offset"
    offset.write_text("+0")
    machine = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    process: subprocess.Popen[str] = crew.scheduler(0, **machine)
    crew.until_logged("task_expanded")

    def beat() -> datetime:
        found: datetime = crew.worker_row(process)["heartbeat_at"]
        return found

    for seconds in (-5 * HOUR, +9 * HOUR):
        before = beat()
        offset.write_text(f"{seconds:+.0f}")
        scenario.until(lambda before=before: abs(beat() - before) > timedelta(hours=4), "it beats at once")
        moment = beat()
        scenario.until(lambda moment=moment: beat() > moment, "and again")
    assert crew.logged("clock_jumped") == 2
    crew.terminate(process)
    crew.assert_no_bug()
