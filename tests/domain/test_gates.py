"""Every reason why a row may not be sent now."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coldsend.domain import gates
from coldsend.domain.gates import Gate, ServiceFacts
from coldsend.domain.service import Service
from coldsend.domain.states import CampaignStatus, FreezeCode, HealthStatus, TaskStatus

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
OPEN = Service(1, "alpha", "smtp", "a@example.com", daily_quota=10)


def names(blocked: list[gates.Blocked]) -> list[Gate]:
    return [each.gate for each in blocked]


def test_an_open_service_has_no_closed_gate() -> None:
    assert gates.service_gates(ServiceFacts(OPEN, used=9), NOW) == []


def test_a_frozen_service_sends_nothing_and_says_why() -> None:
    frozen = replace(
        OPEN, health_status=HealthStatus.FROZEN, frozen_code=FreezeCode.CREDENTIALS, frozen_reason="535 no"
    )
    [blocked] = gates.service_gates(ServiceFacts(frozen), NOW)
    assert blocked.gate == Gate.SERVICE_FROZEN
    assert "535 no" in blocked.detail
    assert blocked.until is None, "refused credentials are never probed"


def test_a_service_frozen_for_errors_opens_at_its_probe() -> None:
    frozen = replace(
        OPEN, health_status=HealthStatus.FROZEN, frozen_code=FreezeCode.ERRORS, cool_down_until=LATER
    )
    [blocked] = gates.service_gates(ServiceFacts(frozen), NOW)
    assert (blocked.gate, blocked.until) == (Gate.SERVICE_FROZEN, LATER)


def test_a_resting_service_opens_when_its_rest_is_over() -> None:
    resting = replace(OPEN, cool_down_until=LATER, cool_down_reason="too many logins")
    [blocked] = gates.service_gates(ServiceFacts(resting), NOW)
    assert (blocked.gate, blocked.until) == (Gate.SERVICE_COOLING_DOWN, LATER)
    assert gates.service_gates(ServiceFacts(resting), LATER) == []


def test_a_used_up_quota_opens_with_the_next_quota_day() -> None:
    [blocked] = gates.service_gates(ServiceFacts(OPEN, used=10, next_quota_day=LATER), NOW)
    assert (blocked.gate, blocked.until) == (Gate.QUOTA, LATER)
    assert "10 of 10" in blocked.detail


def test_a_quota_of_zero_never_opens_by_itself() -> None:
    closed = replace(OPEN, daily_quota=0)
    [blocked] = gates.service_gates(ServiceFacts(closed, next_quota_day=LATER), NOW)
    assert (blocked.gate, blocked.until) == (Gate.QUOTA, None)


def test_a_throttle_gap_is_a_gate_until_it_ends() -> None:
    throttled = ServiceFacts(replace(OPEN, throttle_sec=5), next_send_at=NOW + timedelta(seconds=2))
    assert names(gates.service_gates(throttled, NOW)) == [Gate.THROTTLE]
    assert gates.service_gates(throttled, NOW + timedelta(seconds=2)) == []


@pytest.mark.parametrize(("until", "closed"), [(LATER, True), (None, True), (NOW, False)])
def test_a_provider_pause_concerns_only_that_provider(until: datetime | None, closed: bool) -> None:
    facts = ServiceFacts(OPEN, paused_providers={"google": until})
    assert gates.service_gates(facts, NOW, "yahoo") == []
    assert names(gates.service_gates(facts, NOW, "google")) == ([Gate.PROVIDER_PAUSED] if closed else [])


def test_one_open_service_is_enough() -> None:
    full = ServiceFacts(OPEN, used=10)
    spare = ServiceFacts(replace(OPEN, id=2, name="beta"))
    assert gates.carrier_gates([full, spare], None, NOW) == []
    assert names(gates.carrier_gates([full], None, NOW)) == [Gate.QUOTA]


def test_a_row_that_keeps_its_service_waits_for_it() -> None:
    full = ServiceFacts(OPEN, used=10)
    spare = ServiceFacts(replace(OPEN, id=2, name="beta"))
    assert names(gates.carrier_gates([full, spare], 1, NOW)) == [Gate.KEEPS_SERVICE, Gate.QUOTA]
    assert gates.carrier_gates([full, spare], 2, NOW) == []
    assert names(gates.carrier_gates([spare], 1, NOW)) == [Gate.KEEPS_SERVICE]


@pytest.mark.parametrize(("follows", "why"), [(True, "follow-up"), (False, "greylisted")])
@pytest.mark.parametrize("goes_first", [True, False])
def test_why_a_row_keeps_its_service_does_not_depend_on_precedence(
    follows: bool, why: str, goes_first: bool
) -> None:
    full = ServiceFacts(OPEN, used=10)
    kept = gates.carrier_gates([full], 1, NOW, goes_first=goes_first, follows=follows)[0]
    assert f"({why}) and waits for it" in kept.detail
    assert "service release" not in kept.detail, "it will send again by itself"


def test_no_service_at_all_is_named() -> None:
    assert names(gates.carrier_gates([], None, NOW)) == [Gate.NO_SERVICE]


@pytest.mark.parametrize("campaign", list(CampaignStatus))
@pytest.mark.parametrize("task", list(TaskStatus))
def test_only_a_sending_task_of_an_active_campaign_has_open_states(
    campaign: CampaignStatus, task: TaskStatus
) -> None:
    blocked = names(gates.state_gates(campaign, task))
    assert (Gate.CAMPAIGN_STATE in blocked) == (campaign != CampaignStatus.ACTIVE)
    assert (Gate.TASK_STATE in blocked) == (task != TaskStatus.SENDING)


def test_a_row_is_due_at_its_time_and_not_before() -> None:
    assert gates.due_gate(NOW, None, NOW) == []
    [blocked] = gates.due_gate(LATER, "greylisted", NOW)
    assert (blocked.gate, blocked.until) == (Gate.NOT_DUE, LATER)
    assert "greylisted" in blocked.detail


def test_consent_and_removal_never_open_by_themselves() -> None:
    blocked = gates.consent_gates(suppressed="unsubscribe", contact_removed=True)
    assert names(blocked) == [Gate.SUPPRESSED, Gate.CONTACT_REMOVED]
    assert all(each.until is None for each in blocked)
    assert gates.consent_gates(suppressed=None, contact_removed=False) == []


def test_without_a_sender_process_nothing_goes_out() -> None:
    assert names(gates.worker_gate([])) == [Gate.NO_WORKER]
    assert gates.worker_gate([7]) == []


def test_somebody_who_is_away_waits_at_a_gate_of_its_own() -> None:
    [blocked] = gates.away_gate(LATER, None, None, NOW)
    assert (blocked.gate, blocked.until) == (Gate.AWAY, LATER)
    assert gates.away_gate(NOW, None, None, NOW) == []
    assert gates.away_gate(None, LATER, "greylisted", NOW) == []


def test_a_row_that_was_postponed_for_it_waits_at_that_gate_and_not_at_its_due_time() -> None:
    assert [gate.gate for gate in gates.away_gate(None, LATER, "away", NOW)] == [Gate.AWAY]
    assert gates.due_gate(LATER, "away", NOW) == []


def test_a_ramp_closes_before_the_daily_quota_and_says_what_it_allows() -> None:
    ramped = ServiceFacts(OPEN, used=3, ramp_limit=3, next_quota_day=LATER)
    [blocked] = gates.service_gates(ramped, NOW)
    assert (blocked.gate, blocked.until) == (Gate.RAMP, LATER)
    assert "allows 3 of 10 messages today" in blocked.detail
    at_its_end = replace(ramped, used=10, ramp_limit=25)
    assert names(gates.service_gates(at_its_end, NOW)) == [Gate.QUOTA]
    assert gates.service_gates(replace(ramped, used=2), NOW) == []


def test_an_hourly_quota_opens_with_the_next_hour() -> None:
    hourly = replace(OPEN, hourly_quota=4)
    [blocked] = gates.service_gates(ServiceFacts(hourly, hour_used=4, next_hour=LATER), NOW)
    assert (blocked.gate, blocked.until) == (Gate.HOURLY_QUOTA, LATER)
    assert "used 4 of 4" in blocked.detail
    assert gates.service_gates(ServiceFacts(hourly, hour_used=3), NOW) == []


def test_a_domain_quota_concerns_only_that_domain() -> None:
    limited = ServiceFacts(
        replace(OPEN, domain_quota=2), next_quota_day=LATER, domains_used={"a.example": 2, "b.example": 1}
    )
    [blocked] = gates.service_gates(limited, NOW, domain="a.example")
    assert (blocked.gate, blocked.until) == (Gate.DOMAIN_QUOTA, LATER)
    assert "a.example" in blocked.detail
    assert gates.service_gates(limited, NOW, domain="b.example") == []
    assert gates.service_gates(limited, NOW, domain="c.example") == []


def test_follow_ups_that_are_due_today_stand_before_first_messages() -> None:
    kept = ServiceFacts(OPEN, used=4, followups_due=6, next_quota_day=LATER)
    [blocked] = gates.carrier_gates([kept], None, NOW)
    assert (blocked.gate, blocked.until) == (Gate.FOLLOWUPS_FIRST, LATER)
    assert gates.carrier_gates([kept], 1, NOW, goes_first=True) == []
    assert gates.carrier_gates([replace(kept, used=3)], None, NOW) == []


def test_a_closed_window_opens_at_its_time() -> None:
    assert gates.window_gate(None) == []
    [blocked] = gates.window_gate(LATER)
    assert (blocked.gate, blocked.until) == (Gate.WINDOW, LATER)


@pytest.mark.parametrize(
    ("limit", "used", "closed"), [(None, 9, False), (5, 4, False), (5, 5, True), (3, 5, True)]
)
def test_new_recipients_wait_for_the_campaigns_next_day(limit: int | None, used: int, closed: bool) -> None:
    found = gates.new_per_day_gate(limit, used, LATER)
    assert [(each.gate, each.until) for each in found] == ([(Gate.NEW_PER_DAY, LATER)] if closed else [])


def test_a_gap_that_is_spread_over_the_day_says_so_with_its_jitter() -> None:
    spread = replace(OPEN, spread_hours=1, jitter_sec=20)
    [blocked] = gates.service_gates(ServiceFacts(spread, next_send_at=LATER), NOW)
    assert blocked.gate == Gate.THROTTLE
    assert "every 360 s and up to 20 s more" in blocked.detail


def test_the_gap_is_the_throttle_or_the_days_spread_whichever_is_longer() -> None:
    service = replace(OPEN, throttle_sec=30, spread_hours=8)
    assert (service.gap(100), service.gap(2000), service.gap(0)) == (288, 30, 30)
    assert [one.throttled for one in (OPEN, service, replace(OPEN, jitter_sec=1))] == [False, True, True]
