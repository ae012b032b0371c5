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
from shlex import quote

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
    WINDOW = "window"
    RAMP = "ramp"
    HOURLY_QUOTA = "hourly_quota"
    DOMAIN_QUOTA = "domain_quota"
    NEW_PER_DAY = "new_per_day"
    FOLLOWUPS_FIRST = "followups_first"
    STOPPED = "stopped"
    CONDITION = "condition"
    WAITS_FOR_STEP = "waits_for_step"


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
    ramp_limit: what the ramp allows today, None where there is none or it has come to its end.
    hour_used: messages of the current hour, where those are limited. next_hour: when the next one begins.
    domains_used: recipient domain -> messages of the current quota day, of the domains that were asked for.
    followups_due: what follow-ups that are due today still need of the day's quota.
    """

    service: Service
    used: int = 0
    next_quota_day: datetime | None = None
    next_send_at: datetime | None = None
    paused_providers: Mapping[str, datetime | None] | None = None
    ramp_limit: int | None = None
    hour_used: int = 0
    next_hour: datetime | None = None
    domains_used: Mapping[str, int] | None = None
    followups_due: int = 0

    @property
    def limit_today(self) -> int:
        """Messages of the current quota day at most, after the ramp."""
        quota = self.service.daily_quota
        return quota if self.ramp_limit is None else min(quota, self.ramp_limit)

    @property
    def quota_left(self) -> int:
        return max(0, self.limit_today - self.used)

    @property
    def hour_left(self) -> int:
        """Messages that may still be sent in this hour, within the quota of the day."""
        limit = self.service.hourly_quota
        return self.quota_left if limit is None else max(0, min(self.quota_left, limit - self.hour_used))

    @property
    def left_for_first(self) -> int:
        """What is left of this hour's and this day's quota for messages that are no follow-ups."""
        return max(0, min(self.hour_left, self.quota_left - self.followups_due))

    @property
    def share_left(self) -> float:
        """Part of the day's quota that is left, 0 to 1."""
        return self.quota_left / self.limit_today if self.limit_today else 0.0

    def domain_left(self, domain: str) -> int | None:
        """Messages that may still go to a recipient domain today; None where no limit is known to hold."""
        limit = self.service.domain_quota
        if limit is None or self.domains_used is None:
            return None
        return max(0, limit - self.domains_used.get(domain, 0))


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


def service_gates(
    facts: ServiceFacts, now: datetime, provider: str = "", domain: str = "", *, follows: bool = True
) -> list[Blocked]:
    """Everything that keeps one service from sending now; [] means it may.

    provider, domain: of the recipient; "": not looked at. follows: the message is a follow-up, or it is not
    asked whether one is waiting.
    """
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
    blocked += limit_gates(facts, domain, follows=follows)
    if service.throttled and facts.next_send_at is not None and facts.next_send_at > now:
        every = f"every {service.gap(facts.limit_today):g} s"
        jitter = f" and up to {service.jitter_sec:g} s more" if service.jitter_sec else ""
        blocked.append(Blocked(Gate.THROTTLE, f"service {name!r} sends {every}{jitter}", facts.next_send_at))
    if provider and facts.paused_providers and provider in facts.paused_providers:
        until = facts.paused_providers[provider]
        if until is None or until > now:
            blocked.append(Blocked(Gate.PROVIDER_PAUSED, f"service {name!r} rests for {provider}", until))
    return blocked


def limit_gates(facts: ServiceFacts, domain: str = "", *, follows: bool = True) -> list[Blocked]:
    """Limits of a service that are used up: of its day, its hour, a recipient domain."""
    service, name, tomorrow = facts.service, facts.service.name, facts.next_quota_day
    blocked: list[Blocked] = []
    if facts.quota_left <= 0 and facts.limit_today < service.daily_quota:
        spent = f"allows {facts.limit_today} of {service.daily_quota} messages today: used {facts.used}"
        blocked.append(Blocked(Gate.RAMP, f"the ramp of service {name!r} {spent}", tomorrow))
    elif facts.quota_left <= 0:
        quota = service.daily_quota
        spent = f"used {facts.used} of {quota}" if quota else "its daily quota is 0"
        until = tomorrow if quota else None
        blocked.append(Blocked(Gate.QUOTA, f"the daily quota of service {name!r} is used up: {spent}", until))
    elif facts.hour_left <= 0:
        spent = f"used {facts.hour_used} of {service.hourly_quota}"
        detail = f"the hourly quota of service {name!r} is used up: {spent}"
        blocked.append(Blocked(Gate.HOURLY_QUOTA, detail, facts.next_hour if service.hourly_quota else None))
    elif not follows and facts.left_for_first <= 0:
        waiting = f"{facts.followups_due} follow-ups that are due today need what is left"
        blocked.append(Blocked(Gate.FOLLOWUPS_FIRST, f"{waiting} of the quota of service {name!r}", tomorrow))
    if domain and facts.domain_left(domain) == 0:
        detail = f"service {name!r} has sent its {service.domain_quota} messages of today to {domain}"
        blocked.append(Blocked(Gate.DOMAIN_QUOTA, detail, tomorrow if service.domain_quota else None))
    return blocked


def window_gate(opens: datetime | None) -> list[Blocked]:
    """The campaign's send window in the recipient's time zone. opens: when it does, None if it is open."""
    if opens is None:
        return []
    return [Blocked(Gate.WINDOW, "the campaign's send window is closed where the recipient is", opens)]


def new_per_day_gate(limit: int | None, used: int, next_day: datetime) -> list[Blocked]:
    """The campaign's limit of first messages a day; None: it has none."""
    if limit is None or used < limit:
        return []
    detail = f"the campaign writes to {limit} new recipients a day: used {used}"
    return [Blocked(Gate.NEW_PER_DAY, detail, next_day if limit else None)]


def stop_gate(told: str | None) -> list[Blocked]:
    """The sequence has been stopped for the recipient. told: why, None if not."""
    return [] if told is None else [Blocked(Gate.STOPPED, told)]


def condition_gate(missed: str | None, known: str) -> list[Blocked]:
    """A follow-up's condition that does not hold, with what is known now; None: all do."""
    if missed is None:
        return []
    return [Blocked(Gate.CONDITION, f"its condition {missed!r} does not hold as things stand: {known}")]


def carrier_gates(
    services: Sequence[ServiceFacts],
    keeps_service: int | None,
    now: datetime,
    provider: str = "",
    domain: str = "",
    *,
    goes_first: bool = False,
    follows: bool = False,
) -> list[Blocked]:
    """Gates of all services a row may go out through; [] as soon as one of them is open.

    keeps_service: id of the one service the row must use (greylisted, follow-up), None for any. follows: the
    row is a follow-up. goes_first: quota is kept for it.
    """
    if keeps_service is not None:
        services = [facts for facts in services if facts.service.id == keeps_service]
        if not services:
            return [
                Blocked(
                    Gate.KEEPS_SERVICE,
                    f"must go out through service {keeps_service}, which it may not use; free it for others: "
                    f"coldsend service release {keeps_service}",
                )
            ]
    if not services:
        return [Blocked(Gate.NO_SERVICE, "no sender service may be used: none is named, or none is granted")]
    found = [service_gates(facts, now, provider, domain, follows=goes_first) for facts in services]
    if any(not gates for gates in found):
        return []
    blocked = [gate for gates in found for gate in gates]
    if keeps_service is not None:
        name = services[0].service.name
        why = "follow-up" if follows else "greylisted"
        told = f"keeps its service {name!r} ({why}) and waits for it"
        if any(gate.gate == Gate.SERVICE_FROZEN for gate in blocked):
            told += f"; should it never send again: coldsend service release {quote(name)}"
        blocked.insert(0, Blocked(Gate.KEEPS_SERVICE, told))
    return blocked


def worker_gate(live_senders: Collection[int]) -> list[Blocked]:
    """Somebody must be there to send."""
    if live_senders:
        return []
    return [Blocked(Gate.NO_WORKER, "no sender process is running: coldsend scheduler run, or worker run")]
