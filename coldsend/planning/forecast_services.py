"""Sender services and campaigns as a forecast needs them: their limits, what is used of them, their days.

A frozen service is taken to stay frozen, also one that will be probed: nobody knows what the probe finds.
Jitter counts with half of what it may add, which is what it comes to over a day.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from sqlalchemy.engine import Connection, RowMapping

from coldsend.domain.gates import Gate, ServiceFacts, service_gates
from coldsend.domain.providers import provider_of
from coldsend.domain.service import Service
from coldsend.domain.states import CountKind
from coldsend.pacing.calendar import Calendar
from coldsend.pacing.facts import service_facts
from coldsend.pacing.limits import domains_used
from coldsend.pacing.quota import next_quota_day_start, period_of
from coldsend.planning.forecast_hours import moment_of
from coldsend.planning.forecast_world import NEVER, Campaign, Carrier
from coldsend.stores import forecast, send_counts, services

HOUR = 3600.0

# What does not pass by itself, whatever is sent.
_LASTING = (Gate.SERVICE_FROZEN, Gate.QUOTA, Gate.HOURLY_QUOTA, Gate.DOMAIN_QUOTA)


class Services:
    """Reads them at ``now``."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self.carriers: dict[int, Carrier] = {}
        self.limited_domains: tuple[str, ...] = ()

    def load(self, wanted: Collection[int], most_domains: int) -> None:
        """Make carriers of these services, and find the domains whose limits or pauses may matter: at most
        so many, those with the most contacts."""
        known = [service for service in services.all_services(self._connection) if service.id in wanted]
        facts = service_facts(self._connection, self._now, known)
        self.limited_domains = self._domains(facts.values(), most_domains)
        self.carriers = {one.service.id: self._carrier(one) for one in facts.values()}

    def campaign(self, row: RowMapping, calendar: Calendar) -> Campaign:
        """A row of ``campaigns`` with what it has used of its day."""
        today = period_of(calendar.day_of(self._now))
        used = send_counts.used_by(self._connection, CountKind.CAMPAIGN_NEW, [(row["id"], today)])
        return Campaign(
            row["id"],
            row["name"],
            next_day=_daily(calendar),
            new_per_day=row["new_per_day"],
            new_used=used[row["id"]],
            followups_first=bool(row["followups_first"]),
        )

    def _domains(self, facts: Collection[ServiceFacts], most: int) -> tuple[str, ...]:
        limits = [one.service.domain_quota for one in facts if one.service.domain_quota is not None]
        paused = {provider for one in facts for provider in one.paused_providers or ()}
        if not limits and not paused:
            return ()
        common = forecast.common_domains(self._connection, 0 if paused else min(limits), most)
        if not limits:
            common = [domain for domain in common if provider_of(domain) in paused]
        return tuple(common)

    def _carrier(self, facts: ServiceFacts) -> Carrier:
        service = facts.service
        lasting = [gate for gate in service_gates(facts, self._now) if _lasts(gate.gate, service)]
        next_send = facts.next_send_at if service.throttled else None
        rests = service.cool_down_until
        return Carrier(
            service.id,
            service.name,
            limit_of=partial(_limit, service, _days_of_ramp(facts)),
            gap_of=partial(_gap, service),
            next_day=_quota_days(service),
            next_hour=_next_hour,
            used=facts.used,
            next_slot=next_send.timestamp() if next_send else 0.0,
            rests_until=rests.timestamp() if rests else 0.0,
            hourly=service.hourly_quota,
            hour_used=facts.hour_used,
            per_domain=service.domain_quota,
            domain_used=domains_used(self._connection, facts, self.limited_domains, self._now)
            if service.domain_quota is not None
            else {},
            paused_domains=_paused(facts, self.limited_domains),
            closed=(lasting[0].gate, lasting[0].detail) if lasting else None,
        )


def _lasts(gate: Gate, service: Service) -> bool:
    limit = {
        Gate.SERVICE_FROZEN: 0,
        Gate.QUOTA: service.daily_quota,
        Gate.HOURLY_QUOTA: service.hourly_quota,
    }
    return limit.get(gate, 1) == 0


def _limit(service: Service, days_before: int, days: int) -> int:
    """Messages of a day, ``days`` after today on which something was sent."""
    if service.ramp is None:
        return service.daily_quota
    return min(service.daily_quota, service.ramp.limit(days_before + days))


def _days_of_ramp(facts: ServiceFacts) -> int:
    """Days that the ramp of a service has counted so far; enough for its end where it has come to it."""
    ramp = facts.service.ramp
    if ramp is None or ramp.step <= 0:
        return 0
    today = facts.service.daily_quota if facts.ramp_limit is None else facts.ramp_limit
    return max(0, -(-(today - ramp.start) // ramp.step))


def _gap(service: Service, limit: int) -> float:
    return service.gap(limit) + service.jitter_sec / 2 if service.throttled else 0.0


def _paused(facts: ServiceFacts, domains: Collection[str]) -> dict[str, float]:
    paused = facts.paused_providers or {}
    found = {}
    for domain in domains:
        provider = provider_of(domain)
        if provider in paused:
            until = paused[provider]
            found[domain] = NEVER if until is None else until.timestamp()
    return found


def _next_hour(moment: float) -> float:
    return moment - moment % HOUR + HOUR


def _quota_days(service: Service) -> Callable[[float], float]:
    return lambda moment: next_quota_day_start(service, moment_of(moment)).timestamp()


def _daily(calendar: Calendar) -> Callable[[float], float]:
    return lambda moment: calendar.next_day(moment_of(moment)).timestamp()
