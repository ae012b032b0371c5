"""Every limit on how many messages go out, reserved in the transaction of the intent and given back with it.

The daily quota (after the ramp), the hourly quota and the quota of a recipient domain belong to a service,
the number of new recipients a day to a campaign. They are always taken in this order, each for all rows at
once, so that workers wait for each other and do not block each other; a row that one of them does not grant
gives back what the others had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple, Protocol

from coldsend.database.engine import Connection
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.states import CountKind
from coldsend.pacing.quota import hour_of, period_of
from coldsend.stores import quota, send_counts


class Unit(NamedTuple):
    """One message that goes out, or did not. at: the moment of its intent. domain: of the recipient.

    follows: it is a follow-up, or none is waited for. campaign_id: the campaign it has a new recipient of,
    where those are limited; None: it does not count there.
    """

    row_id: int
    service_id: int
    at: datetime
    domain: str = ""
    follows: bool = True
    campaign_id: int | None = None


@dataclass(frozen=True, slots=True)
class NewToday:
    """A campaign's limit of new recipients a day. day_of: the date that a moment counts for, in its zone."""

    limit: int
    day_of: Callable[[datetime], date]


class Limit(Protocol):
    """One of the limits. Both functions change rows that stay locked until the transaction ends."""

    def take(self, connection: Connection, units: Sequence[Unit]) -> list[Unit]:
        """The units that are granted, in the order given."""

    def give_back(self, connection: Connection, units: Sequence[Unit]) -> None:
        """Undo what was taken for these units, now or in an earlier transaction."""


def reserve(
    connection: Connection,
    units: Sequence[Unit],
    services: Mapping[int, ServiceFacts],
    campaigns: Mapping[int, NewToday],
) -> set[int]:
    """Reserve all limits for messages that are to go out; the row ids of those that may."""
    limits = _limits(services, campaigns)
    for number, limit in enumerate(limits):
        granted = limit.take(connection, units)
        if len(granted) < len(units):
            kept = {unit.row_id for unit in granted}
            lost = [unit for unit in units if unit.row_id not in kept]
            for earlier in limits[:number]:
                earlier.give_back(connection, lost)
        units = granted
    return {unit.row_id for unit in units}


def refund(
    connection: Connection,
    units: Sequence[Unit],
    services: Mapping[int, ServiceFacts],
    campaigns: Mapping[int, NewToday],
) -> None:
    """Give back what was reserved for recipients that were never accepted, where it was reserved."""
    for limit in _limits(services, campaigns):
        limit.give_back(connection, units)


def full_domains(
    connection: Connection, facts: ServiceFacts, domains: Collection[str], now: datetime
) -> frozenset[str]:
    """Those of the recipient domains that a service may write to no more today."""
    limit = facts.service.domain_quota
    if limit is None or not domains:
        return frozenset()
    used = domains_used(connection, facts, domains, now)
    return frozenset(domain for domain, n in used.items() if n >= limit)


def domains_used(
    connection: Connection, facts: ServiceFacts, domains: Collection[str], now: datetime
) -> dict[str, int]:
    """Recipient domain -> messages of a service's current quota day; counted only where there is a limit."""
    service = facts.service
    period = period_of(service.quota_day(now))
    return send_counts.used(connection, CountKind.SERVICE_DOMAIN, service.id, period, domains)


def _limits(services: Mapping[int, ServiceFacts], campaigns: Mapping[int, NewToday]) -> list[Limit]:
    """All limits that are set; the daily quota always is."""
    found: list[Limit] = [_Day(services)]
    if any(facts.service.hourly_quota is not None for facts in services.values()):
        found.append(_Hour(services))
    if any(facts.service.domain_quota is not None for facts in services.values()):
        found.append(_Domain(services))
    return [*found, _New(campaigns)] if campaigns else found


@dataclass(frozen=True, slots=True)
class _Day:
    services: Mapping[int, ServiceFacts]

    def take(self, connection: Connection, units: Sequence[Unit]) -> list[Unit]:
        granted: set[int] = set()
        for (service_id, day), of_day in _grouped(units, self._day).items():
            facts = self.services[service_id]
            limit, kept = facts.limit_today, facts.followups_due
            first = [unit for unit in of_day if kept and not unit.follows]
            others = [unit for unit in of_day if not kept or unit.follows]
            n = quota.reserve(connection, service_id, day, len(others), limit) if others else 0
            left_to_them = max(0, kept - n)
            m = quota.reserve(connection, service_id, day, len(first), limit - left_to_them) if first else 0
            granted |= {unit.row_id for unit in [*others[:n], *first[:m]]}
        return [unit for unit in units if unit.row_id in granted]

    def give_back(self, connection: Connection, units: Sequence[Unit]) -> None:
        for (service_id, day), of_day in _grouped(units, self._day).items():
            quota.refund(connection, service_id, day, len(of_day))

    def _day(self, unit: Unit) -> tuple[int, date] | None:
        facts = self.services.get(unit.service_id)
        return (unit.service_id, facts.service.quota_day(unit.at)) if facts is not None else None


@dataclass(frozen=True, slots=True)
class _Hour:
    services: Mapping[int, ServiceFacts]

    def take(self, connection: Connection, units: Sequence[Unit]) -> list[Unit]:
        refused: set[int] = set()
        for (service_id, hour), of_hour in _grouped(units, self._hour).items():
            limit = self.services[service_id].service.hourly_quota or 0
            kind = CountKind.SERVICE_HOUR
            n = send_counts.reserve(connection, kind, service_id, hour, {"": len(of_hour)}, limit)[""]
            refused |= {unit.row_id for unit in of_hour[n:]}
        return [unit for unit in units if unit.row_id not in refused]

    def give_back(self, connection: Connection, units: Sequence[Unit]) -> None:
        for (service_id, hour), of_hour in _grouped(units, self._hour).items():
            send_counts.refund(connection, CountKind.SERVICE_HOUR, service_id, hour, {"": len(of_hour)})

    def _hour(self, unit: Unit) -> tuple[int, datetime] | None:
        facts = self.services.get(unit.service_id)
        if facts is None or facts.service.hourly_quota is None:
            return None
        return unit.service_id, hour_of(unit.at)


@dataclass(frozen=True, slots=True)
class _Domain:
    services: Mapping[int, ServiceFacts]

    def take(self, connection: Connection, units: Sequence[Unit]) -> list[Unit]:
        refused: set[int] = set()
        for (service_id, day), of_day in _grouped(units, self._day).items():
            limit = self.services[service_id].service.domain_quota or 0
            wanted = Counter(unit.domain for unit in of_day)
            granted = send_counts.reserve(
                connection, CountKind.SERVICE_DOMAIN, service_id, day, wanted, limit
            )
            for unit in of_day:
                granted[unit.domain] -= 1
                if granted[unit.domain] < 0:
                    refused.add(unit.row_id)
        return [unit for unit in units if unit.row_id not in refused]

    def give_back(self, connection: Connection, units: Sequence[Unit]) -> None:
        for (service_id, day), of_day in _grouped(units, self._day).items():
            back = Counter(unit.domain for unit in of_day)
            send_counts.refund(connection, CountKind.SERVICE_DOMAIN, service_id, day, back)

    def _day(self, unit: Unit) -> tuple[int, datetime] | None:
        facts = self.services.get(unit.service_id)
        if facts is None or facts.service.domain_quota is None:
            return None
        return unit.service_id, period_of(facts.service.quota_day(unit.at))


@dataclass(frozen=True, slots=True)
class _New:
    campaigns: Mapping[int, NewToday]

    def take(self, connection: Connection, units: Sequence[Unit]) -> list[Unit]:
        refused: set[int] = set()
        for (campaign_id, day), of_day in _grouped(units, self._day).items():
            limit, kind = self.campaigns[campaign_id].limit, CountKind.CAMPAIGN_NEW
            n = send_counts.reserve(connection, kind, campaign_id, day, {"": len(of_day)}, limit)[""]
            refused |= {unit.row_id for unit in of_day[n:]}
        return [unit for unit in units if unit.row_id not in refused]

    def give_back(self, connection: Connection, units: Sequence[Unit]) -> None:
        for (campaign_id, day), of_day in _grouped(units, self._day).items():
            send_counts.refund(connection, CountKind.CAMPAIGN_NEW, campaign_id, day, {"": len(of_day)})

    def _day(self, unit: Unit) -> tuple[int, datetime] | None:
        new = self.campaigns.get(unit.campaign_id) if unit.campaign_id is not None else None
        return (unit.campaign_id or 0, period_of(new.day_of(unit.at))) if new is not None else None


def _grouped(units: Sequence[Unit], key: Callable[[Unit], Any]) -> dict[Any, list[Unit]]:
    """Units by (owner, period), in that order; those without one (None) are left out."""
    found: dict[Any, list[Unit]] = {}
    for unit in units:
        owner_and_period = key(unit)
        if owner_and_period is not None:
            found.setdefault(owner_and_period, []).append(unit)
    return dict(sorted(found.items()))
