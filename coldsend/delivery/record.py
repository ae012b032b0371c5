"""The other half of a turn: write outcomes, their events, refunds, and what they mean for services.

Runs inside the turn's transaction. Outcomes are guarded by their claim's token, so writing them twice (the
connection was lost at COMMIT) writes nothing the second time, events included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from coldsend.delivery.attempt import Result
from coldsend.domain import suppression
from coldsend.domain.answers import BEFORE_MESSAGE, Action, Outcome
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.replies import provider_of
from coldsend.domain.states import (
    CampaignStatus,
    EventType,
    FreezeCode,
    RowStatus,
    SuppressionReason,
    SuppressionScope,
    TaskStatus,
)
from coldsend.feedback import breaker
from coldsend.feedback.consequences import is_repeated
from coldsend.pacing import limits
from coldsend.pacing import services as health
from coldsend.pacing.calendar import Calendar
from coldsend.stores import (
    campaigns,
    enrolment,
    events,
    leases,
    ledger,
    row_outcomes,
    suppressions,
    tasks,
    waiting,
)


class StaleOutcomes(Exception):
    """Fewer rows matched than outcomes were given: somebody else has settled some; look before writing."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """worker_id: for the throttle gaps it owns. probe_minutes: rest of services frozen for errors.

    has_failed: services this worker has counted a failure of; a view may not show it yet.
    """

    worker_id: int
    probe_minutes: float
    has_failed: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Recorded:
    """What a turn wrote that must be told after its commit."""

    changes: list[health.HealthChange] = field(default_factory=list)
    paused: list[tuple[str, int, str]] = field(default_factory=list)  # ("campaign" | "task", id, reason)
    refused: set[int] = field(default_factory=set)  # campaigns whose recipients were refused for good
    streaks: dict[int, int] | None = None  # task id -> render errors in a row, as of this turn


def outcomes_of_rows(
    connection: Connection,
    outcomes: Sequence[RowOutcome],
    services: Mapping[int, ServiceFacts],
    *,
    check: bool,
) -> set[tuple[int, int]]:
    """Write outcomes with their events and refunds; the (row, token) of those that were still open.

    check: look first which rows still carry their token. Without it a mismatch raises StaleOutcomes, and the
    whole transaction must be run again with it.
    """
    open_keys = {(outcome.row_id, outcome.token) for outcome in outcomes}
    if check:
        open_keys = row_outcomes.still_open(connection, outcomes)
        outcomes = [outcome for outcome in outcomes if (outcome.row_id, outcome.token) in open_keys]
    if not outcomes:
        return set()
    outcomes = _proven(connection, outcomes)
    if row_outcomes.record(connection, outcomes, late=check) != len(outcomes):
        raise StaleOutcomes
    _append_events(connection, outcomes)
    _refund(connection, outcomes, services)
    if check:  # some had been given up as unknown, maybe
        sent = [outcome.row_id for outcome in outcomes if outcome.status == RowStatus.SENT]
        enrolment.look_again(connection, sent, max(outcome.at for outcome in outcomes))
    return open_keys


def _proven(connection: Connection, outcomes: Sequence[RowOutcome]) -> Sequence[RowOutcome]:
    """Messages that nobody knows the answer to, but that something came back of, were sent."""
    unknown = [outcome for outcome in outcomes if outcome.status == RowStatus.UNKNOWN]
    heard_of = row_outcomes.heard_of(connection, unknown) if unknown else set()
    if not heard_of:
        return outcomes
    return [
        replace(
            outcome,
            status=RowStatus.SENT,
            at=outcome.attempt_at or outcome.at,
            reason=None,
            error_message=None,
        )
        if outcome.row_id in heard_of and outcome.status == RowStatus.UNKNOWN
        else outcome
        for outcome in outcomes
    ]


def _append_events(connection: Connection, outcomes: Sequence[RowOutcome]) -> None:
    by_answer: dict[tuple[int, str], list[int]] = {}
    tried = []
    for outcome in outcomes:
        if outcome.plain:
            by_answer.setdefault((outcome.code, outcome.enhanced), []).append(outcome.row_id)
        elif outcome.tried:
            tried.append(outcome)
    for (code, enhanced), row_ids in by_answer.items():
        events.append_accepted(connection, row_ids, code, enhanced)
    if not tried:
        return
    names = ledger.event_keys(connection, [outcome.row_id for outcome in tried])
    rows: list[dict[str, Any]] = []
    for outcome in tried:
        task_id, contact_id, uid = names[outcome.row_id]
        base = {
            "task_id": task_id,
            "contact_id": contact_id,
            "sender_service_id": outcome.service_id,
            "event_tracking_uid": uid,
        }
        rows.append({**base, "type": EventType.SEND_API_TRY.value, "ts": outcome.attempt_at or outcome.at})
        if outcome.status != RowStatus.UNKNOWN:
            kind = EventType.SEND_API_SUCCESS if outcome.status == RowStatus.SENT else EventType.SEND_API_FAIL
            rows.append({**base, "type": kind.value, "ts": outcome.at, "details": _details(outcome)})
    events.append(connection, rows)


def _details(outcome: RowOutcome) -> dict[str, Any]:
    found = {
        "message_id": outcome.message_id,
        "provider_message_id": outcome.provider_message_id,
        "code": outcome.code or None,
        "enhanced": outcome.enhanced or None,
        "reason": outcome.reason,
        "error": outcome.error_message,
        "retry_at": outcome.scheduled_send_at.isoformat() if outcome.scheduled_send_at else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _refund(
    connection: Connection, outcomes: Iterable[RowOutcome], services: Mapping[int, ServiceFacts]
) -> None:
    """Give back what was reserved for recipients that were never accepted, where it was reserved."""
    refused = [outcome for outcome in outcomes if outcome.refund and outcome.service_id in services]
    if not refused:
        return
    units, campaigns = _units(connection, refused)
    limits.refund(connection, units, services, campaigns)


def _units(
    connection: Connection, refused: Sequence[RowOutcome]
) -> tuple[list[limits.Unit], dict[int, limits.NewToday]]:
    """What these rows had taken; and the campaigns whose new recipients are limited."""
    whose = waiting.limited(connection, [outcome.row_id for outcome in refused])
    campaigns = {
        row["campaign_id"]: limits.NewToday(row["new_per_day"], Calendar.of(row).day_of)
        for row in whose.values()
        if row["new_per_day"] is not None
    }
    units = []
    for outcome in refused:
        row = whose[outcome.row_id]
        first = row["follows_task_id"] is None and row["campaign_id"] in campaigns
        units.append(
            limits.Unit(
                outcome.row_id,
                outcome.service_id,
                outcome.attempt_at or outcome.at,
                row["email_domain"],
                campaign_id=row["campaign_id"] if first else None,
            )
        )
    return units, campaigns


def consequences(
    connection: Connection,
    recorder: Recorder,
    results: Sequence[Result],
    services: Mapping[int, ServiceFacts],
    now: datetime,
) -> Recorded:
    """What answers mean beyond their row: service health, pauses, suppressions, throttle gaps."""
    recorded = Recorded()
    answered = [result for result in results if result.verdict is not None]
    accepted = {
        result.claim.row.service_id: position for position, result in enumerate(answered) if _accepted(result)
    }
    for service_id in sorted(accepted):
        facts = services.get(service_id)
        errors = facts.service.consecutive_errors if facts is not None else 0
        if errors or service_id in recorder.has_failed:
            _note(recorded, health.record_success(connection, service_id, max(1, errors), now))
    broken: set[int] = set()
    for position, result in enumerate(answered):
        if _accepted(result):
            continue
        service_id = result.claim.row.service_id
        breaks = result.answer is not None and (result.answer.lost or result.answer.phase in BEFORE_MESSAGE)
        # In a row: before an acceptance it does not count, and connections that break together break once.
        counts = position > accepted.get(service_id, -1) and not (breaks and service_id in broken)
        _after_failure(connection, recorder, result, now, recorded, counts=counts)
        if breaks:
            broken.add(service_id)
    _inconclusive_probes(connection, recorder, results, services, now)
    _throttle_gaps(connection, recorder, results, services)
    return recorded


def _inconclusive_probes(
    connection: Connection,
    recorder: Recorder,
    results: Sequence[Result],
    services: Mapping[int, ServiceFacts],
    now: datetime,
) -> None:
    """A probe whose row was skipped, or refused for its own sake, is followed by another at once."""
    for result in results:
        facts = services.get(result.claim.row.service_id)
        if facts is None or facts.service.frozen_code != FreezeCode.ERRORS:
            continue
        if health.tells_nothing(result.verdict, result.answer):
            health.probe_again(
                connection,
                facts.service.id,
                result.claim.attempt_at,
                now,
                probe_minutes=recorder.probe_minutes,
            )


def _accepted(result: Result) -> bool:
    return result.verdict is not None and result.verdict.outcome == Outcome.ACCEPTED


def _after_failure(
    connection: Connection,
    recorder: Recorder,
    result: Result,
    now: datetime,
    recorded: Recorded,
    *,
    counts: bool,
) -> None:
    verdict, answer, row = result.verdict, result.answer, result.claim.row
    assert verdict is not None
    assert answer is not None
    if verdict.action == Action.PAUSE_PROVIDER:
        provider = provider_of(row.email_domain)
        until = now + timedelta(seconds=verdict.wait_seconds) if verdict.wait_seconds else None
        pause = health.pause_provider(connection, row.service_id, provider, until, str(answer), now=now)
        _note(recorded, pause)
        counts = counts and pause is not None  # what was under way when it was paused says it once more
    if verdict.blames_sender:
        recorder.has_failed.add(row.service_id)
        verdict = replace(verdict, blames_sender=counts)
    change = health.record_failure(
        connection, row.service_id, verdict, str(answer), now, probe_minutes=recorder.probe_minutes
    )
    _note(recorded, change)
    if result.outcome.status == RowStatus.FAILED_TO_SEND and result.outcome.reason in breaker.REFUSED:
        recorded.refused.add(result.claim.campaign_id)
    repeated = is_repeated(connection, row.contact_id, verdict.rule, result.outcome.at)
    if verdict.action == Action.SUPPRESS or repeated:
        entry = suppression.Suppression(
            suppression.address_key(row.email_key),
            SuppressionScope.ADDRESS,
            row.email_key,
            SuppressionReason.HARD_BOUNCE,
            source=f"reply {answer.code}",
            detail=str(answer),
        )
        suppressions.add(connection, [entry], now)
    elif verdict.action == Action.PAUSE_CAMPAIGN:
        reason = f"a server says our message or dialogue is wrong: {answer}"
        pause_campaign(connection, result.claim.campaign_id, reason, now, recorded)


def pause_campaign(
    connection: Connection, campaign_id: int, reason: str, now: datetime, recorded: Recorded
) -> None:
    """Stop a campaign until a person resumes it; nothing where it was not active."""
    moved = campaigns.move(
        connection, campaign_id, [CampaignStatus.ACTIVE], CampaignStatus.PAUSED, now, status_reason=reason
    )
    if moved:
        recorded.paused.append(("campaign", campaign_id, reason))


def pause_task(connection: Connection, task_id: int, reason: str, now: datetime, recorded: Recorded) -> None:
    """Stop a task until a person resumes it; nothing where it was not sending."""
    if tasks.move(connection, task_id, [TaskStatus.SENDING], TaskStatus.PAUSED, now, status_reason=reason):
        recorded.paused.append(("task", task_id, reason))


def _throttle_gaps(
    connection: Connection,
    recorder: Recorder,
    results: Sequence[Result],
    services: Mapping[int, ServiceFacts],
) -> None:
    """Write next_send_at = final reply + gap of each throttled service that has sent."""
    last: dict[int, tuple[datetime, float]] = {}
    for result in results:
        if result.outcome.tried:
            service_id = result.claim.row.service_id
            ended = (result.outcome.at, result.gap)
            last[service_id] = max(ended, last.get(service_id, ended))
    for service_id, (at, gap) in sorted(last.items()):
        facts = services.get(service_id)
        if facts is not None and facts.service.throttled:
            seconds = max(gap, facts.service.gap(facts.limit_today))
            leases.set_next_send(connection, service_id, recorder.worker_id, at + timedelta(seconds=seconds))


def _note(recorded: Recorded, change: health.HealthChange | None) -> None:
    if change is not None:
        recorded.changes.append(change)
