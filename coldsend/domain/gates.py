"""Gates: every reason why a row may not be sent now. Delivery, `why` and forecasts ask the same functions.

A gate that is closed yields a :class:`Blocked` with a stable name, a sentence, and (where it is known) the
moment it opens. Gates are looked at from the outside in: campaign, task, row, then the services that could
carry the row; one open service is enough.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coldsend.domain.service import Service
from coldsend.domain.states import CampaignStatus, FreezeCode, HealthStatus, RowReason, TaskStatus


class Gate(StrEnum):
    CAMPAIGN_STATE = "campaign_state"
    TASK_STATE = "task_state"
    NOT_DUE = "not_due"
    AWAY = "away"
    SUPPRESSED = "suppressed"
    CONTACT_REMOVED = "contact_removed"
    NO_SERVICE = "no_service"
    SERVICE_FROZEN = "service_frozen"
    SERVICE_COOLING_DOWN = "service_cooling_down"
    QUOTA = "quota"
    THROTTLE = "throttle"
    PROVIDER_PAUSED = "provider_paused"
    KEEPS_SERVICE = "keeps_service"
    NO_WORKER = "no_worker"


@dataclass(frozen=True, slots=True)
class Blocked:
    """One closed gate. until: when it opens by itself, None where a person or an event must open it."""

    gate: Gate
    detail: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A service and what the gates need to know of its day.

    used: messages of the current quota day. next_quota_day: when the next one begins.
    next_send_at: end of the throttle gap, for throttled services. paused_providers: provider -> until.
    """

    service: Service
    used: int = 0
    next_quota_day: datetime | None = None
    next_send_at: datetime | None = None
    paused_providers: Mapping[str, datetime | None] | None = None

    @property
    def quota_left(self) -> int:
        return max(0, self.service.daily_quota - self.used)

    @property
    def share_left(self) -> float:
        """Part of the day's quota that is left, 0 to 1."""
        return self.quota_left / self.service.daily_quota if self.service.daily_quota else 0.0


def state_gates(campaign: str, task: str) -> list[Blocked]:
    """Gates of the campaign's and the task's state. Both are status values as the database holds them."""
    blocked: list[Blocked] = []
    if campaign != CampaignStatus.ACTIVE:
        hint = {"draft": "it has not been started", "paused": "waits for `campaign resume`"}.get(
            campaign, "it ended"
        )
        blocked.append(Blocked(Gate.CAMPAIGN_STATE, f"the campaign is {campaign}: {hint}"))
    if task != TaskStatus.SENDING:
        hints = {
            "draft": "it is scheduled when its campaign starts",
            "scheduled": "waits for its start and plan time",
            "paused": "waits for `task resume`",
        }
        blocked.append(Blocked(Gate.TASK_STATE, f"the task is {task}: {hints.get(task, 'it ended')}"))
    return blocked


def due_gate(scheduled_send_at: datetime | None, reason: str | None, now: datetime) -> list[Blocked]:
    """The row's own due time, moved by start times and retries."""
    if scheduled_send_at is None or scheduled_send_at <= now:
        return []
    if reason == RowReason.AWAY:
        return []  # away_gate() says so
    why = f" ({reason.replace('_', ' ')})" if reason else ""
    return [Blocked(Gate.NOT_DUE, f"is due later{why}", scheduled_send_at)]


def away_gate(
    away_until: datetime | None, scheduled_send_at: datetime | None, reason: str | None, now: datetime
) -> list[Blocked]:
    """The contact is away, by an automatic reply: ``away_until``, or what this row was postponed to."""
    ends = [away_until, scheduled_send_at if reason == RowReason.AWAY else None]
    until = max((moment for moment in ends if moment is not None), default=now)
    return [Blocked(Gate.AWAY, "is away, as an automatic reply says", until)] if until > now else []


def consent_gates(*, suppressed: str | None, contact_removed: bool) -> list[Blocked]:
    """Gates that never open by themselves. suppressed: the reason, None if not."""
    blocked: list[Blocked] = []
    if suppressed is not None:
        blocked.append(Blocked(Gate.SUPPRESSED, f"the address is suppressed ({suppressed})"))
    if contact_removed:
        blocked.append(Blocked(Gate.CONTACT_REMOVED, "the contact was removed"))
    return blocked


def service_gates(facts: ServiceFacts, now: datetime, provider: str = "") -> list[Blocked]:
    """Everything that keeps one service from sending now; [] means it may."""
    service, name = facts.service, facts.service.name
    blocked: list[Blocked] = []
    if service.health_status == HealthStatus.FROZEN:
        probed = service.cool_down_until if service.frozen_code == FreezeCode.ERRORS else None
        blocked.append(
            Blocked(
                Gate.SERVICE_FROZEN,
                f"service {name!r} is frozen: {service.frozen_reason or 'no reason'}",
                probed,
            )
        )
    elif service.cool_down_until is not None and service.cool_down_until > now:
        reason = service.cool_down_reason or "asked to slow down"
        blocked.append(
            Blocked(Gate.SERVICE_COOLING_DOWN, f"service {name!r} rests: {reason}", service.cool_down_until)
        )
    if facts.quota_left <= 0:
        spent = (
            f"used {facts.used} of {service.daily_quota}" if service.daily_quota else "its daily quota is 0"
        )
        until = facts.next_quota_day if service.daily_quota else None
        blocked.append(Blocked(Gate.QUOTA, f"the daily quota of service {name!r} is used up: {spent}", until))
    if service.throttled and facts.next_send_at is not None and facts.next_send_at > now:
        blocked.append(
            Blocked(
                Gate.THROTTLE, f"service {name!r} sends every {service.throttle_sec:g} s", facts.next_send_at
            )
        )
    if provider and facts.paused_providers and provider in facts.paused_providers:
        until = facts.paused_providers[provider]
        if until is None or until > now:
            blocked.append(Blocked(Gate.PROVIDER_PAUSED, f"service {name!r} rests for {provider}", until))
    return blocked


def carrier_gates(
    services: Sequence[ServiceFacts], keeps_service: int | None, now: datetime, provider: str = ""
) -> list[Blocked]:
    """Gates of all services a row may go out through; [] as soon as one of them is open.

    keeps_service: id of the one service the row must use (greylisted, follow-up), None for any.
    """
    if keeps_service is not None:
        services = [facts for facts in services if facts.service.id == keeps_service]
        if not services:
            return [
                Blocked(
                    Gate.KEEPS_SERVICE, f"must go out through service {keeps_service}, which it may not use"
                )
            ]
    if not services:
        return [Blocked(Gate.NO_SERVICE, "no sender service may be used: none is named, or none is granted")]
    found = [service_gates(facts, now, provider) for facts in services]
    if any(not gates for gates in found):
        return []
    blocked = [gate for gates in found for gate in gates]
    if keeps_service is not None:
        name = services[0].service.name
        blocked.insert(
            0, Blocked(Gate.KEEPS_SERVICE, f"keeps its service {name!r} (greylisted) and waits for it")
        )
    return blocked


def worker_gate(live_senders: Collection[int]) -> list[Blocked]:
    """Somebody must be there to send."""
    if live_senders:
        return []
    return [Blocked(Gate.NO_WORKER, "no sender process is running: coldsend scheduler run, or worker run")]
