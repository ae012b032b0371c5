"""Health of sender services: what a failure or a success of one does to it.

Only failures of the sender count (``Verdict.blames_sender``). A service that fails too often in a row, or
whose account the server refuses, is frozen with a reason; one that is asked to slow down rests. A rest ends
by itself. A service frozen for errors is probed when its rest is over; one frozen for its credentials waits
for new ones; one that was suspended, or frozen by hand, waits for a person.

These functions run inside the caller's transaction, which may be repeated, so they log nothing: they return
a :class:`HealthChange` to the one caller that made it, who hands it to :func:`announce` after the commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from coldsend import logbook
from coldsend.database.engine import Connection
from coldsend.domain.access import Actor
from coldsend.domain.answers import Action, Answer, Outcome, Phase, Verdict
from coldsend.domain.service import Service
from coldsend.domain.states import FreezeCode, HealthStatus
from coldsend.errors import NotAllowed
from coldsend.pacing.quota import next_quota_day_start
from coldsend.stores import access, services
from coldsend.stores import provider_pauses as pauses

DEFAULT_PROBE_MINUTES = 30.0

# A rest nobody gave a length: long enough to matter, short enough to be harmless where it was a mistake.
DEFAULT_REST = timedelta(minutes=1)

# A provider that turns a service away this often waits for a person, unless the last time is long ago.
PAUSES_BEFORE_FREEZE = 3
PAUSES_FORGOTTEN_AFTER = timedelta(days=7)

_TEXT_LIMIT = 500
_WORTH_PROLONGING = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class HealthChange:
    """What became of a service. until: end of the rest, or the first probe; None: no time of its own."""

    kind: Literal["frozen", "thawed", "cooling_down", "provider_paused"]
    service_id: int
    name: str
    reason: str
    code: FreezeCode | None = None
    until: datetime | None = None
    provider: str = ""


def announce(change: HealthChange | None) -> None:
    """Log a change; call it once the transaction that made it is committed. None is no change."""
    if change is None:
        return
    name, service_id, reason, until = change.name, change.service_id, change.reason, change.until
    match change.kind:
        case "frozen":
            logbook.service_frozen(name, service_id, reason, code=str(change.code), probe_at=until)
        case "thawed":
            logbook.service_thawed(name, service_id, reason)
        case "cooling_down":
            logbook.service_cooling_down(name, service_id, reason, until=until)
        case "provider_paused":
            logbook.service_paused_for_provider(
                name, service_id, reason, provider=change.provider, until=until
            )


def usable(connection: Connection, actor: Actor, given: str) -> Service:
    """The service of this name or id, if the actor may send through it; NotFound or NotAllowed otherwise."""
    service = services.as_service(services.find(connection, given))
    if not access.may_use(connection, actor, service.id):
        raise NotAllowed(
            f"service {service.name!r} is not granted to {actor.username!r}",
            hint=f"an admin can: coldsend service grant {service.name!r} {actor.username}",
        )
    return service


def record_failure(
    connection: Connection,
    service_id: int,
    verdict: Verdict,
    answer_text: str,
    now: datetime,
    *,
    probe_minutes: float = DEFAULT_PROBE_MINUTES,
) -> HealthChange | None:
    """Take note of one failed attempt.

    answer_text: what the server said, free of credentials. probe_minutes: rest of a service that is frozen
    for errors (``delivery.probe_minutes``). Returns the change if this call made one.
    """
    text = answer_text[:_TEXT_LIMIT]
    if verdict.blames_sender:
        services.count_error(connection, service_id, text, now)
    elif verdict.action in _SAID_ABOUT_SERVICE:
        services.note_error(connection, service_id, text, now)
    else:
        return None
    row = services.row(connection, service_id)
    if row is None:
        return None
    service = services.as_service(row)
    probe_at = now + timedelta(minutes=probe_minutes)
    if verdict.action == Action.FREEZE_SERVICE:
        return _freeze(
            connection, service, verdict.freeze or FreezeCode.SUSPENDED, text, now=now, probe_at=probe_at
        )
    if verdict.blames_sender and service.consecutive_errors >= service.max_consecutive_errors:
        reason = f"{service.consecutive_errors} failures in a row, the last: {text}"
        return _freeze(connection, service, FreezeCode.ERRORS, reason, now=now, probe_at=probe_at)
    if verdict.action in _RESTS:
        return _rest(connection, service, verdict, text, now)
    return None


def record_success(
    connection: Connection, service_id: int, consecutive_errors: int, now: datetime
) -> HealthChange | None:
    """Take note of an accepted message; a service that was frozen for errors and probed is thawed.

    consecutive_errors: as the caller knows it from its snapshot; at 0 nothing is read or written, because
    an UPDATE of this row for every message would make all workers queue for it.
    """
    if consecutive_errors == 0:
        return None
    row = services.row(connection, service_id)
    if row is not None and services.thaw(connection, service_id, now, FreezeCode.ERRORS):
        return HealthChange("thawed", service_id, row["name"], "a probe was accepted")
    services.clear_errors(connection, service_id, now)
    return None


def freeze(connection: Connection, service: Service, reason: str, now: datetime) -> HealthChange | None:
    """Freeze by hand, whatever it may be frozen for already; None where a person has done so before."""
    over = [code for code in FreezeCode if code != FreezeCode.MANUAL]
    if services.freeze(connection, service.id, FreezeCode.MANUAL, reason, now, over=over):
        return HealthChange("frozen", service.id, service.name, reason, FreezeCode.MANUAL)
    return None


def thaw(connection: Connection, service: Service, now: datetime) -> HealthChange | None:
    """Make the service active again: errors forgotten, rests and pauses ended. None: nothing was wrong."""
    lifted = pauses.remove(connection, service.id)
    thawed = services.thaw(connection, service.id, now)
    rested = services.end_rest(connection, service.id, now)
    if thawed or rested or lifted:
        return HealthChange("thawed", service.id, service.name, "by hand")
    return None


def is_open(service: Service, now: datetime) -> bool:
    """Whether a service is neither frozen nor resting; its quota and its throttle are not looked at."""
    rests = service.cool_down_until is not None and service.cool_down_until > now
    return service.health_status == HealthStatus.ACTIVE and not rests


def may_probe(service: Service, now: datetime) -> bool:
    """Whether a frozen service may be tried again: only for errors, and only when its rest is over."""
    return (
        service.health_status == HealthStatus.FROZEN
        and service.frozen_code == FreezeCode.ERRORS
        and service.cool_down_until is not None
        and service.cool_down_until <= now
    )


def begin_probe(
    connection: Connection, service_id: int, now: datetime, *, probe_minutes: float = DEFAULT_PROBE_MINUTES
) -> bool:
    """Take the right to probe a service with one message; of all workers that ask, one gets True."""
    return services.move_probe(connection, service_id, now + timedelta(minutes=probe_minutes), now)


def probe_again(
    connection: Connection,
    service_id: int,
    begun: datetime,
    now: datetime,
    *,
    probe_minutes: float = DEFAULT_PROBE_MINUTES,
) -> bool:
    """The probe taken at ``begun`` found nothing out about the service: another row may be one at once.

    Nothing happens where a later probe, a thaw or another freeze has come since.
    """
    return services.reopen_probe(connection, service_id, begun + timedelta(minutes=probe_minutes), now, now)


def tells_nothing(verdict: Verdict | None, answer: Answer | None) -> bool:
    """Whether an attempt says nothing about its service: not made, or refused for the recipient's sake."""
    if verdict is None or answer is None:
        return True
    about_recipient = answer.code > 0 and answer.phase in (Phase.RCPT, Phase.DATA, Phase.FINAL)
    return (
        about_recipient
        and verdict.outcome in (Outcome.TEMPORARY, Outcome.PERMANENT)
        and not verdict.blames_sender
        and verdict.action not in _SAID_ABOUT_SERVICE
    )


def pause_provider(
    connection: Connection,
    service_id: int,
    provider: str,
    until: datetime | None,
    reason: str,
    *,
    now: datetime,
) -> HealthChange | None:
    """Let a service rest for one provider. until: None lasts until ``service thaw``.

    Answers that were under way when the pause began do not count again. The third pause within a week of
    the one before lasts until a person lifts it.
    """
    known = pauses.get(connection, service_id, provider)
    times = 1
    if known is not None:
        ended = known["paused_until"]
        if ended is None or ended > now:
            return None
        if now - ended < PAUSES_FORGOTTEN_AFTER:
            times = known["times"] + 1
    row = services.row(connection, service_id)
    if row is None:
        return None
    if times >= PAUSES_BEFORE_FREEZE:
        until = None
    text = reason[:_TEXT_LIMIT]
    pauses.put(connection, service_id, provider, until=until, reason=text, times=times)
    return HealthChange("provider_paused", service_id, row["name"], text, until=until, provider=provider)


def provider_pauses(
    connection: Connection, now: datetime
) -> dict[tuple[int, str], tuple[datetime | None, str]]:
    """(service id, provider) -> (end of the pause or None, reason), for all pauses in force."""
    return {
        (row["sender_service_id"], row["provider"]): (row["paused_until"], row["reason"] or "")
        for row in pauses.in_force(connection, now)
    }


_RESTS = frozenset({Action.COOL_DOWN, Action.SLOW_DOWN, Action.NEXT_QUOTA_DAY})
_SAID_ABOUT_SERVICE = _RESTS | {Action.FREEZE_SERVICE}


def _freeze(
    connection: Connection,
    service: Service,
    code: FreezeCode,
    reason: str,
    *,
    now: datetime,
    probe_at: datetime,
) -> HealthChange | None:
    """Freeze an active service; one frozen for errors may turn out, when probed, to have a worse reason."""
    until = probe_at if code == FreezeCode.ERRORS else None
    over = () if code == FreezeCode.ERRORS else (FreezeCode.ERRORS,)
    if services.freeze(connection, service.id, code, reason, now, probe_at=until, over=over):
        return HealthChange("frozen", service.id, service.name, reason, code, until)
    services.move_probe(connection, service.id, probe_at, now)
    return None


def _rest(
    connection: Connection, service: Service, verdict: Verdict, text: str, now: datetime
) -> HealthChange | None:
    until = now + (timedelta(seconds=verdict.wait_seconds) if verdict.wait_seconds > 0 else DEFAULT_REST)
    if verdict.action == Action.NEXT_QUOTA_DAY:
        until = next_quota_day_start(service, now)
    # Answers of messages that were under way when the rest began would prolong it by moments, each with a
    # write and a log line.
    enough = until - min((until - now) / 2, _WORTH_PROLONGING)
    if services.rest(connection, service.id, until, text, now, unless_after=enough):
        return HealthChange("cooling_down", service.id, service.name, text, until=until)
    return None
