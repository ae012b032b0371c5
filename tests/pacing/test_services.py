"""Health of sender services: freezing, resting, probing, thawing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coldsend import logbook
from coldsend.database.engine import Database
from coldsend.domain.answers import Action, Answer, Outcome, Phase, Verdict
from coldsend.domain.replies import judge
from coldsend.domain.states import FreezeCode, HealthStatus
from coldsend.pacing import services as health
from coldsend.stores import services
from tests.stores.rows import NOON, add_service, service

LATER = NOON + timedelta(minutes=30)


def verdict(
    action: Action, *, blames: bool = True, wait: float = 0.0, freeze: FreezeCode | None = None
) -> Verdict:
    return Verdict(Outcome.TEMPORARY, action, "test", blames_sender=blames, wait_seconds=wait, freeze=freeze)


ERROR = verdict(Action.RETRY)
REFUSED_KEY = verdict(Action.FREEZE_SERVICE, freeze=FreezeCode.CREDENTIALS)


def fail(database: Database, service_id: int, given: Verdict = ERROR, now: datetime = NOON) -> Any:
    with database.begin() as connection:
        return health.record_failure(connection, service_id, given, "451 try later", now, probe_minutes=30)


def test_a_failure_of_the_sender_is_counted_and_kept(database: Database) -> None:
    service_id = add_service(database)
    assert fail(database, service_id) is None
    with database.read() as connection:
        row = services.find(connection, service_id)
    assert (row["consecutive_errors"], row["last_error"], row["last_error_at"]) == (1, "451 try later", NOON)


def test_a_failure_of_the_recipient_leaves_the_service_alone(database: Database) -> None:
    service_id = add_service(database)
    for _ in range(10):
        assert fail(database, service_id, verdict(Action.SUPPRESS, blames=False)) is None
    assert service(database, service_id).consecutive_errors == 0
    assert service(database, service_id).health_status == HealthStatus.ACTIVE


def test_too_many_failures_in_a_row_freeze_it_until_a_probe(database: Database) -> None:
    service_id = add_service(database, max_consecutive_errors=3)
    assert [fail(database, service_id) for _ in range(2)] == [None, None]
    change = fail(database, service_id)
    assert (change.kind, change.code, change.until) == ("frozen", FreezeCode.ERRORS, LATER)
    frozen = service(database, service_id)
    assert frozen.health_status == HealthStatus.FROZEN
    assert frozen.frozen_reason == "3 failures in a row, the last: 451 try later"


def test_only_the_failure_that_freezes_reports_it(database: Database) -> None:
    service_id = add_service(database, max_consecutive_errors=1)
    assert fail(database, service_id).kind == "frozen"
    assert fail(database, service_id) is None


def test_refused_credentials_freeze_at_once_and_are_never_probed(database: Database) -> None:
    service_id = add_service(database)
    assert fail(database, service_id, REFUSED_KEY).code == FreezeCode.CREDENTIALS
    assert not health.may_probe(service(database, service_id), NOON + timedelta(days=30))


def test_a_suspended_account_is_never_probed(database: Database) -> None:
    service_id = add_service(database)
    fail(database, service_id, verdict(Action.FREEZE_SERVICE, freeze=FreezeCode.SUSPENDED))
    assert not health.may_probe(service(database, service_id), NOON + timedelta(days=30))


def test_a_service_frozen_for_errors_may_be_probed_when_its_rest_is_over(database: Database) -> None:
    service_id = add_service(database, max_consecutive_errors=1)
    fail(database, service_id)
    frozen = service(database, service_id)
    assert not health.may_probe(frozen, LATER - timedelta(seconds=1))
    assert health.may_probe(frozen, LATER)


def test_of_several_workers_one_may_probe(database: Database) -> None:
    service_id = add_service(database, max_consecutive_errors=1)
    fail(database, service_id)
    with database.begin() as connection:
        assert not health.begin_probe(connection, service_id, NOON)
        assert health.begin_probe(connection, service_id, LATER)
        assert not health.begin_probe(connection, service_id, LATER)


def test_a_probe_that_fails_puts_off_the_next_one(database: Database) -> None:
    service_id = add_service(database, max_consecutive_errors=1)
    fail(database, service_id)
    assert fail(database, service_id, now=LATER) is None
    assert service(database, service_id).cool_down_until == LATER + timedelta(minutes=30)


def test_a_probe_that_meets_refused_credentials_freezes_for_good(database: Database) -> None:
    service_id = add_service(database, max_consecutive_errors=1)
    fail(database, service_id)
    assert fail(database, service_id, REFUSED_KEY, now=LATER).code == FreezeCode.CREDENTIALS
    assert not health.may_probe(service(database, service_id), LATER + timedelta(days=1))


def test_a_probe_that_is_accepted_thaws(database: Database) -> None:
    service_id = add_service(database, max_consecutive_errors=1)
    fail(database, service_id)
    with database.begin() as connection:
        change = health.record_success(connection, service_id, 1, LATER)
    assert change is not None
    assert change.kind == "thawed"
    thawed = service(database, service_id)
    assert (thawed.health_status, thawed.consecutive_errors, thawed.frozen_reason) == (
        HealthStatus.ACTIVE,
        0,
        None,
    )


@pytest.mark.parametrize("code", [FreezeCode.CREDENTIALS, FreezeCode.SUSPENDED])
def test_a_late_success_does_not_thaw_what_waits_for_a_person(database: Database, code: FreezeCode) -> None:
    service_id = add_service(database)
    fail(database, service_id)
    fail(database, service_id, verdict(Action.FREEZE_SERVICE, freeze=code))
    with database.begin() as connection:
        assert health.record_success(connection, service_id, 1, LATER) is None
    assert service(database, service_id).health_status == HealthStatus.FROZEN


def test_a_success_forgets_earlier_failures(database: Database) -> None:
    service_id = add_service(database)
    fail(database, service_id)
    with database.begin() as connection:
        assert health.record_success(connection, service_id, 1, NOON) is None
    assert service(database, service_id).consecutive_errors == 0


def test_a_success_writes_nothing_where_there_was_no_failure(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        before = dict(services.find(connection, service_id))
        health.record_success(connection, service_id, 0, LATER)
        assert dict(services.find(connection, service_id)) == before


def test_a_service_asked_to_slow_down_rests_and_stays_active(database: Database) -> None:
    service_id = add_service(database)
    change = fail(database, service_id, verdict(Action.SLOW_DOWN, blames=False, wait=120))
    assert (change.kind, change.until) == ("cooling_down", NOON + timedelta(seconds=120))
    resting = service(database, service_id)
    assert resting.health_status == HealthStatus.ACTIVE
    assert resting.cool_down_until == NOON + timedelta(seconds=120)
    assert resting.cool_down_reason == "451 try later"


def test_answers_under_way_when_a_rest_began_do_not_prolong_it(database: Database) -> None:
    service_id = add_service(database)
    slow = verdict(Action.SLOW_DOWN, blames=False, wait=120)
    fail(database, service_id, slow)
    assert fail(database, service_id, slow, now=NOON + timedelta(seconds=2)) is None
    assert service(database, service_id).cool_down_until == NOON + timedelta(seconds=120)


def test_a_rest_is_prolonged_but_never_shortened(database: Database) -> None:
    service_id = add_service(database)
    fail(database, service_id, verdict(Action.COOL_DOWN, wait=3600))
    assert fail(database, service_id, verdict(Action.SLOW_DOWN, wait=60)) is None
    assert service(database, service_id).cool_down_until == NOON + timedelta(hours=1)
    assert fail(database, service_id, verdict(Action.COOL_DOWN, wait=7200)) is not None
    assert service(database, service_id).cool_down_until == NOON + timedelta(hours=2)


def test_the_providers_daily_limit_rests_the_service_until_its_next_quota_day(database: Database) -> None:
    service_id = add_service(database, time_zone="Asia/Shanghai")
    fail(database, service_id, verdict(Action.NEXT_QUOTA_DAY, blames=False))
    assert service(database, service_id).cool_down_until == datetime(2027, 3, 1, 16, 0, tzinfo=UTC)


def test_freezing_by_hand_wins_over_a_freeze_that_would_be_probed(database: Database) -> None:
    service_id = add_service(database, max_consecutive_errors=1)
    fail(database, service_id)
    with database.begin() as connection:
        frozen = services.as_service(services.find(connection, service_id))
        assert health.freeze(connection, frozen, "holiday", NOON) is not None
        assert health.freeze(connection, frozen, "again", NOON) is None
    now_frozen = service(database, service_id)
    assert (now_frozen.frozen_code, now_frozen.frozen_reason) == (FreezeCode.MANUAL, "holiday")


def test_thawing_forgets_errors_rests_and_pauses(database: Database) -> None:
    service_id = add_service(database)
    fail(database, service_id)
    fail(database, service_id, verdict(Action.COOL_DOWN, wait=3600))
    with database.begin() as connection:
        health.pause_provider(connection, service_id, "google", None, "listed", now=NOON)
        known = services.as_service(services.find(connection, service_id))
        assert health.thaw(connection, known, NOON) is not None
        assert health.provider_pauses(connection, NOON) == {}
        assert health.thaw(connection, known, NOON) is None
    healthy = service(database, service_id)
    assert (healthy.consecutive_errors, healthy.cool_down_until) == (0, None)


def test_a_pause_for_a_provider_ends_by_itself(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        health.pause_provider(connection, service_id, "google", LATER, "listed", now=NOON)
        assert health.provider_pauses(connection, NOON) == {(service_id, "google"): (LATER, "listed")}
        assert health.provider_pauses(connection, LATER) == {}


def test_a_pause_in_force_is_not_counted_again(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        for _ in range(5):
            health.pause_provider(connection, service_id, "google", LATER, "listed", now=NOON)
        assert health.provider_pauses(connection, NOON) == {(service_id, "google"): (LATER, "listed")}


def test_a_third_pause_soon_after_waits_for_a_person(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        for day in range(3):
            now = NOON + timedelta(days=day)
            health.pause_provider(
                connection, service_id, "google", now + timedelta(hours=4), "listed", now=now
            )
        assert health.provider_pauses(connection, now + timedelta(days=99)) == {
            (service_id, "google"): (None, "listed")
        }


def test_pauses_long_ago_do_not_count(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        for month in range(4):
            now = NOON + timedelta(days=30 * month)
            health.pause_provider(
                connection, service_id, "google", now + timedelta(hours=4), "listed", now=now
            )
        assert health.provider_pauses(connection, now + timedelta(hours=5)) == {}


def test_changes_are_logged_by_name(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    service_id = add_service(database, max_consecutive_errors=1)
    logbook.configure("info", "json")
    health.announce(None)
    health.announce(fail(database, service_id))
    with database.begin() as connection:
        thawed = health.record_success(connection, service_id, 1, NOON)
        paused = health.pause_provider(connection, service_id, "google", LATER, "listed", now=NOON)
    health.announce(thawed)
    health.announce(paused)
    health.announce(fail(database, service_id, verdict(Action.COOL_DOWN, blames=False, wait=60)))
    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in logged] == [
        "service_frozen", "service_thawed", "service_paused_for_provider", "service_cooling_down",
    ]  # fmt: skip
    assert {line["service"] for line in logged} == {"main"}


def test_a_probe_that_told_nothing_is_followed_by_another_at_once(database: Database) -> None:
    service_id = add_service(database, max_consecutive_errors=1)
    fail(database, service_id)
    due = LATER + timedelta(minutes=1)
    with database.begin() as connection:
        assert health.begin_probe(connection, service_id, due)
        assert not health.begin_probe(connection, service_id, due)
        assert health.probe_again(connection, service_id, due, due + timedelta(seconds=2))
        assert health.begin_probe(connection, service_id, due + timedelta(seconds=3))
        # What the first one told late does not touch the second.
        assert not health.probe_again(connection, service_id, due, due + timedelta(seconds=4))


@pytest.mark.parametrize(
    ("answer", "nothing"),
    [
        (Answer(Phase.RCPT, 550, "5.1.1", "no such user"), True),
        (Answer(Phase.RCPT, 450, "4.2.0", "greylisted"), True),
        (Answer(Phase.FINAL, 552, "5.3.4", "too big"), True),
        (Answer(Phase.FINAL, 250), False),
        (Answer(Phase.FINAL, 0, lost=True), False),
        (Answer(Phase.RCPT, 0, lost=True), False),
        (Answer(Phase.CONNECT, 0, lost=True), False),
        (Answer(Phase.MAIL, 451, "", "busy"), False),
        (Answer(Phase.RCPT, 550, "5.4.5", "daily user sending limit exceeded"), False),
        (Answer(Phase.RCPT, 421, "4.3.2", "closing"), False),
    ],
    ids=str,
)
def test_what_an_answer_tells_of_the_service(answer: Answer, *, nothing: bool) -> None:
    assert health.tells_nothing(judge(answer), answer) == nothing


def test_what_was_never_sent_tells_nothing() -> None:
    assert health.tells_nothing(None, None)
