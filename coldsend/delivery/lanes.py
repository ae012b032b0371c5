"""The open lanes of a worker: which services it sends through, and how many rows each wants now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from coldsend import clock, logbook
from coldsend.channels import registry
from coldsend.composing.dkim import Signer
from coldsend.composing.load import open_signer
from coldsend.composing.source import CannotCompose
from coldsend.config.secrets import KeyRing, service_owner
from coldsend.config.settings import Settings
from coldsend.database.engine import Connection, Database
from coldsend.delivery import trial
from coldsend.delivery.attempt import Attempter, Claim, Result
from coldsend.delivery.claim import sendable
from coldsend.delivery.composers import Composers
from coldsend.delivery.lane import Lane
from coldsend.delivery.view import View
from coldsend.domain import dkim
from coldsend.domain import outcome as outcomes
from coldsend.domain.dkim import DkimKey
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.service import Service
from coldsend.errors import ColdsendError
from coldsend.pacing import services as health
from coldsend.stores import dkim_keys, leases, services

# With the seconds that channels take to say goodbye to a server that hangs, and a last turn at the database,
# this must stay under the ten seconds in which a process ends.
UNUSABLE_REST = timedelta(minutes=5)  # of a service that cannot be opened: credentials, files
DRAIN = timedelta(seconds=5)

# A gap in the database that is longer than throttle and `service test` together: the clock has jumped.
LONGEST_TEST = trial.WAIT_SECONDS + trial.DEADLINE_SECONDS


@dataclass(frozen=True, slots=True)
class Opening:
    """What a lane was opened with; when it changes, the lane is opened anew.

    gap: least seconds between two messages today, without jitter; a lane takes another one over as it is.
    """

    type: str
    settings: Mapping[str, Any]
    throttled: bool
    sealed: Mapping[str, Any] | None
    signs_with: tuple[DkimKey, ...] = ()
    gap: float = field(default=0.0, compare=False)


@dataclass
class Lanes:
    """Lanes by service id. Lives in the event loop; ``prepare`` runs in the database thread."""

    settings: Settings
    keys: KeyRing
    database: Database
    composers: Composers
    attempter: Attempter
    report: Callable[[Result], None]
    worker_id: int
    _lanes: dict[int, Lane] = field(default_factory=dict)
    _openings: dict[int, Opening] = field(default_factory=dict)
    _signers: dict[int, Signer | None] = field(default_factory=dict)
    _unusable: dict[int, tuple[Opening, float]] = field(default_factory=dict)  # not tried again until then
    _complaints: dict[int, str] = field(default_factory=dict)
    _closing: dict[asyncio.Task[None], Lane] = field(default_factory=dict)
    _last_answers: dict[int, float] = field(default_factory=dict)  # of closed lanes, on the steady clock

    def __iter__(self) -> Any:
        return iter(self._lanes.values())

    def wants(self, view: View, now: datetime) -> dict[int, int]:
        """service id -> rows to claim now."""
        wanted: dict[int, int] = {}
        for service_id, lane in self._lanes.items():
            want = lane.want()  # first, because it is cheap and most often 0
            facts = view.services.get(service_id)
            if want == 0 or facts is None or not sendable(facts, now):
                continue
            if lane.service.throttled and view.owners.get(service_id) != self.worker_id:
                continue
            wanted[service_id] = min(want, 1) if facts.service.health_status != "active" else want
        return wanted

    def fed_for(self) -> int:
        """How many results may come in before a lane can want rows again."""
        return min((lane.fed_for() for lane in self._lanes.values() if not lane.idle), default=1)

    def withdraw(self, view: View, now: datetime) -> None:
        """Give back rows whose service was stopped, or whose task may not use it any more."""
        for service_id, lane in self._lanes.items():
            if not lane.waiting:
                continue
            facts = view.services.get(service_id)
            if facts is None or not health.is_open(facts.service, now):
                lane.release_waiting("service_stopped")
            else:
                tasks = {task.id for task in view.tasks if service_id in task.services}
                lane.release_waiting("task_stopped", but_tasks=tasks)

    def busy(self) -> set[int]:
        """Services with rows in hand, those of lanes that are being closed included."""
        closing = {lane.service.id for lane in self._closing.values()}
        return closing | {service_id for service_id, lane in self._lanes.items() if not lane.idle}

    def opens_in(self) -> float:
        """Seconds until a lane that waits (throttle, back-off) may want rows again."""
        waits = [lane.opens_in() for lane in self._lanes.values() if lane.idle]
        return min((wait for wait in waits if wait > 0), default=1.0)

    def load_openings(self, connection: Connection, view: View) -> dict[int, tuple[Service, Opening]]:
        """What each service that is wanted would be opened with. Runs in the database thread."""
        found: dict[int, tuple[Service, Opening]] = {}
        sealed = services.sealed_credentials(connection)
        active = dkim_keys.active(connection)
        for service_id in view.wanted() & sealed.keys():
            facts = view.services[service_id]
            service = facts.service
            opening = Opening(
                service.type,
                service.settings,
                service.throttled,
                sealed[service_id],
                dkim.keys_for(service, active),
                _least_gap(facts),
            )
            found[service_id] = (service, opening)
        return found

    def own_throttled(
        self, connection: Connection, view: View, now: datetime, busy: Collection[int]
    ) -> dict[int, float]:
        """Take throttled services nobody owns, up to a fair share; service id -> seconds until it may send.

        busy: services whose last answer may not be in the database yet, so that their gap is not. Runs in the
        database thread, in a transaction.
        """
        throttled = [sid for sid in sorted(view.wanted()) if view.services[sid].service.throttled]
        mine = [sid for sid in throttled if view.owners.get(sid) == self.worker_id]
        for service_id, owner in view.owners.items():
            if owner == self.worker_id and service_id not in throttled and service_id not in busy:
                leases.release_sender(connection, service_id, self.worker_id)
        others = set(view.senders) - {self.worker_id}
        share = -(-len(throttled) // max(1, len(view.senders)))
        for service_id in throttled:
            if len(mine) >= share:
                break
            if service_id in mine or view.owners.get(service_id) in others:
                continue
            gap = _least_gap(view.services[service_id])
            if leases.take_sender(connection, service_id, self.worker_id, now, gap):
                mine.append(service_id)
        gaps = leases.sender_leases_all(connection)
        return {
            sid: self._gap(connection, view.services[sid], gaps[sid]["next_send_at"], now) for sid in mine
        }

    def _gap(
        self, connection: Connection, facts: ServiceFacts, ends: datetime | None, now: datetime
    ) -> float:
        """Seconds until a service that is ours may send.

        An end too far ahead was written before the clock was set back, or by a host whose clock is wrong: the
        gap begins anew, and is written so, or it would begin anew each time somebody looks.
        """
        seconds = (ends - now).total_seconds() if ends is not None else 0.0
        gap, service = _least_gap(facts), facts.service
        # Yesterday's gap may have been longer: a ramp allowed less then, to be spread over the same hours.
        longest = max(gap, (service.spread_hours or 0.0) * 3600) + service.jitter_sec
        if seconds > longest + LONGEST_TEST:
            seconds = gap
            begun_anew = now + timedelta(seconds=seconds)
            leases.set_next_send(connection, service.id, self.worker_id, begun_anew)
        return seconds

    def arrange(self, openings: Mapping[int, tuple[Service, Opening]], gaps: Mapping[int, float]) -> None:
        """Open lanes that are wanted and missing, close those that are not wanted or have changed.

        A lane is not opened while an earlier one of its service still has messages under way.
        """
        for service_id in list(self._lanes):
            wanted = openings.get(service_id)
            if wanted is None:
                if self._lanes[service_id].idle:
                    self._close(service_id)
            elif wanted[1] != self._openings[service_id]:
                self._close(service_id)
            else:
                self._lanes[service_id].service = wanted[0]
                self._lanes[service_id].gap = wanted[1].gap
        closing = {lane.service.id for lane in self._closing.values()}
        for service_id, (service, opening) in openings.items():
            if service_id in self._lanes or service_id in closing:
                continue
            failed, until = self._unusable.get(service_id, (None, 0.0))
            if failed != opening or clock.monotonic() >= until:
                self._open(service, opening)
        for service_id, seconds in gaps.items():
            if service_id in self._lanes and self._lanes[service_id].idle:
                self._lanes[service_id].hold_until(clock.monotonic() + seconds)

    def _open(self, service: Service, opening: Opening) -> None:
        try:
            credentials = self.keys.open(opening.sealed, service_owner(service.id)) if opening.sealed else {}
            # Never unsigned where there is a key: receivers would take such mail for forged.
            signer = open_signer(opening.signs_with, self.keys, self.settings.dkim.expire_days)
            channel = registry.open_channel(service, credentials, self.settings)
        except ColdsendError as error:
            self._unusable[service.id] = (opening, clock.monotonic() + UNUSABLE_REST.total_seconds())
            self._complaints[service.id] = f"{error.message} {error.hint}".strip()
            logbook.service_unusable(service.name, service.id, self._complaints[service.id])
            return
        self._unusable.pop(service.id, None)
        last_answer = self._last_answers.get(service.id, float("-inf"))
        self._lanes[service.id] = Lane(
            service, channel, self.attempter, self.report, last_answer, opening.gap
        )
        self._openings[service.id] = opening
        self._signers[service.id] = signer

    def _close(self, service_id: int) -> None:
        lane = self._lanes.pop(service_id)
        del self._openings[service_id], self._signers[service_id]
        task = asyncio.create_task(lane.close(DRAIN))
        self._closing[task] = lane
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        lane = self._closing.pop(task)
        self._last_answers[lane.service.id] = lane.last_answer
        if not task.cancelled() and (error := task.exception()):
            logbook.unexpected_error(f"closing service {lane.service.name!r}", error)

    def take_complaints(self) -> dict[int, str]:
        """service id -> why it could not be opened, since this was asked last."""
        complaints, self._complaints = self._complaints, {}
        return complaints

    def put(self, claim: Claim) -> None:
        """Hand a committed claim to its lane; a row whose lane closed meanwhile is given back."""
        lane = self._lanes.get(claim.row.service_id)
        if lane is None:
            self.report(Result(claim, outcomes.released(claim.attempt, clock.now(), "service_closed")))
            return
        composer = self.composers.get(claim.row.template_id, lane.service, self._signers[lane.service.id])
        if composer is None:
            self.report(Result(claim, outcomes.released(claim.attempt, clock.now(), "template_not_read")))
            return
        if isinstance(composer, str):
            given_back = outcomes.released(claim.attempt, clock.now(), "template_error")
            self.report(Result(claim, given_back, broken=composer))
            return
        if claim.thread is None or claim.thread.subject is not None or self._has_subject(claim, lane):
            lane.put(claim, composer)

    def _has_subject(self, claim: Claim, lane: Lane) -> bool:
        """Whether the subject of a thread whose first message never noted it could be rendered once more.

        Else the row is reported: given back where the template was not read, skipped where it cannot be.
        """
        signer = self._signers[lane.service.id]
        try:
            subject = self.composers.first_subject(claim, lane.service, signer)
        except CannotCompose as error:
            skipped = outcomes.skipped(claim.attempt, clock.now(), error.reason, error.detail)
            self.report(Result(claim, skipped, render_error=True))
            return False
        if subject is None:
            self.report(Result(claim, outcomes.released(claim.attempt, clock.now(), "template_not_read")))
            return False
        assert claim.thread is not None
        claim.thread = replace(claim.thread, subject=subject)
        return True

    async def close(self) -> None:
        """Close all lanes; everything they held is reported."""
        for service_id in list(self._lanes):
            self._close(service_id)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def summary(self) -> dict[str, Any]:
        """For the heartbeat: services in use, rows held, rows a second."""
        return {
            "services": sorted(lane.service.name for lane in self._lanes.values()),
            "held": sum(lane.waiting + lane.in_flight for lane in self._lanes.values()),
            "rate": round(sum(lane.rate for lane in self._lanes.values()), 3),
        }


def _least_gap(facts: ServiceFacts) -> float:
    return facts.service.gap(facts.limit_today)


def rest_unusable(connection: Connection, complaints: Mapping[int, str], now: datetime) -> None:
    """Services that could not be opened rest, with the reason: ``why`` shows it.

    They come back by themselves, or are mended.
    """
    for service_id, reason in complaints.items():
        until, unless_after = now + UNUSABLE_REST, now + UNUSABLE_REST / 2
        services.rest(connection, service_id, until, reason, now, unless_after=unless_after)
