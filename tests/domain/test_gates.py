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
