"""Due rows that need no intent to be told that they must wait, or for which of the services they must.

Looked at in the transaction of the intent, before it: the campaign's calendar for each recipient (window,
holidays, spread), services that have sent all they may to the recipient's domain today, and services that
rest for the recipient's provider. Rows that wait for a time are put off to it. A row that another of the
task's services may carry, one that has no room this moment, is left to it; of very many such rows some are
put off a little, or they would stand before all that could go out now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from coldsend.delivery.decline import provider_pause
from coldsend.delivery.view import OpenTask, View
from coldsend.domain.gates import Gate, ServiceFacts, service_gates
from coldsend.domain.outcome import PROVIDER_RETRY
from coldsend.domain.replies import provider_of
from coldsend.pacing import limits
from coldsend.pacing.calendar import Calendar, Whereabouts
from coldsend.pacing.choose import Offer
from coldsend.stores import waiting
from coldsend.stores.waiting import PutOff, Recipient

# Before a window closes nothing new is begun: what is claimed must also be on the wire by then.
LAST_CALL = timedelta(seconds=5)

MOST_LEFT = 1000  # rows that wait for another service are looked past each time

DueRow = tuple[int, int | None]  # row id, service it must keep


@dataclass(slots=True)
class Sifted:
    """rows: to be allocated. barred: row id -> services that should not carry it. passed: rows that were
    put off or left to other services."""

    rows: list[DueRow]
    barred: dict[int, frozenset[int]] = field(default_factory=dict)
    passed: int = 0


def sift(
    connection: Connection,
    task: OpenTask,
    rows: Sequence[DueRow],
    able: Sequence[Offer],
    view: View,
    now: datetime,
) -> Sifted:
    """Which of the due rows of a task its services may carry now. able: offers made; others have no room."""
    usable = [view.services[sid] for sid in sorted(task.services & view.services.keys())]
    picky = [facts for facts in usable if facts.paused_providers or facts.service.domain_quota is not None]
    if not rows or (task.calendar.any_time and not picky):
        return Sifted(list(rows))
    recipients = waiting.recipients(connection, [row_id for row_id, _keeps in rows])
    closed = _closed(task.calendar, recipients, now)
    waiting.put_off(connection, closed)
    gone = {one.row_id for one in closed}
    found = Sifted([row for row in rows if row[0] not in gone], passed=len(closed))
    if not picky:
        return found
    return _by_service(connection, found, recipients, able, usable, picky, now, follows=task.goes_first)


def _closed(calendar: Calendar, recipients: Mapping[int, Recipient], now: datetime) -> list[PutOff]:
    """Rows whose recipient is not written to at this hour, or on this day."""
    if calendar.any_time:
        return []
    known: dict[Whereabouts, datetime | None] = {}
    found = []
    for row_id, who in recipients.items():
        # Without spread a place is open or closed for all who are there.
        contact = Whereabouts(who.contact_id if calendar.spread else 0, who.time_zone, who.country)
        if contact not in known:
            known[contact] = calendar.open(now, contact) or calendar.open(now + LAST_CALL, contact)
        until = known[contact]
        if until is not None:
            found.append(PutOff(row_id, until, Gate.WINDOW.value))
    return found


def _by_service(
    connection: Connection,
    sifted: Sifted,
    recipients: Mapping[int, Recipient],
    able: Sequence[Offer],
    usable: Sequence[ServiceFacts],
    picky: Sequence[ServiceFacts],
    now: datetime,
    *,
    follows: bool,
) -> Sifted:
    """Bar services from rows of domains and providers that they may not write to now."""
    domains = {recipients[row_id].email_domain for row_id, _keeps in sifted.rows}
    full = {facts.service.id: limits.full_domains(connection, facts, domains, now) for facts in picky}
    hungry = {offer.service_id for offer in able}
    found = Sifted([], passed=sifted.passed)
    put_off: list[PutOff] = []
    left = 0
    for row_id, keeps in sifted.rows:
        domain = recipients[row_id].email_domain
        mine = [facts for facts in usable if keeps in (None, facts.service.id)]
        unwelcome = {
            facts.service.id: _opens(facts, domain, full, now) for facts in mine if facts.service.id in full
        }
        shut = {service_id: until for service_id, until in unwelcome.items() if until is not None}
        asked = {facts.service.id for facts in mine} & hungry
        if not asked <= shut.keys():
            found.rows.append((row_id, keeps))
            if shut:
                found.barred[row_id] = frozenset(shut)
            continue
        found.passed += 1
        others = [facts for facts in mine if facts.service.id not in hungry | shut.keys()]
        waits = any(_may_carry(facts, domain, now, follows=follows) for facts in others)
        left += waits
        if not waits or left > MOST_LEFT:
            put_off.append(_put_off(row_id, shut, len(shut) == len(mine), now))
    waiting.put_off(connection, put_off)
    return found


def _opens(
    facts: ServiceFacts, domain: str, full: Mapping[int, frozenset[str]], now: datetime
) -> tuple[datetime, Gate] | None:
    """Until when a service may not write to a domain, and why; None where it may."""
    if domain in full[facts.service.id]:
        return facts.next_quota_day or now + PROVIDER_RETRY, Gate.DOMAIN_QUOTA
    paused = provider_pause(facts, domain, now)
    return (paused, Gate.PROVIDER_PAUSED) if paused is not None else None


def _put_off(row_id: int, shut: Mapping[int, tuple[datetime, Gate]], no_other: bool, now: datetime) -> PutOff:
    """Until the first of the services opens; soon, where one that cannot send at all now might before."""
    until, gate = min(shut.values())
    return PutOff(row_id, until if no_other else min(until, now + PROVIDER_RETRY), gate.value)


def _may_carry(facts: ServiceFacts, domain: str, now: datetime, *, follows: bool) -> bool:
    """Whether a service is open to a domain's provider, once its throttle lets it. follows: to a follow-up
    that has precedence; to others only with what those leave."""
    gates = service_gates(facts, now, provider_of(domain), follows=follows)
    return all(blocked.gate == Gate.THROTTLE for blocked in gates)
