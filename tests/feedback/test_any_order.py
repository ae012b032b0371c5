"""Any set of happenings, told in any order and any number of times, in batches or not, ends in one ledger.

The reference is an independent model of a few lines: the earliest time of each kind, the furthest status,
the strongest reason. The engine's own outcome is one of the happenings: it may be written before, between or
after them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldsend.database.engine import Database
from coldsend.database.tables import contacts, event_log, provider_pauses, suppressions, task_contacts
from coldsend.delivery.record import outcomes_of_rows
from coldsend.domain.feedback import Actor, Feedback, Kind
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.states import RowStatus
from coldsend.stores import ledger
from tests.feedback.happenings import DISABLED, FULL, LISTED, NOBODY, TRIED, Sent
from tests.planning.world import NOW

TOKEN = ledger.token_of(7, 1)
RANK = ["sent", "delivered", "bounced", "opened", "clicked", "replied", "unsubscribed", "complained"]
STEP = {
    Kind.DELIVERED: "delivered",
    Kind.BOUNCE: "bounced",
    Kind.OPEN: "opened",
    Kind.CLICK: "clicked",
    Kind.REPLY: "replied",
    Kind.UNSUBSCRIBE: "unsubscribed",
    Kind.COMPLAINT: "complained",
}
STRONGER = [None, "hard_bounce", "unsubscribe", "complaint"]
ROWS = 3

Happening = tuple[int, Feedback]
Telling = tuple[list[Happening], list[list[int | RowStatus]]]

happenings = st.builds(
    lambda row, kind, minute, actor, words, only, away: (
        row,
        Feedback(
            kind,
            TRIED + timedelta(minutes=minute),
            "web",
            actor=actor if kind in (Kind.OPEN, Kind.CLICK) else Actor.HUMAN,
            diagnostic=words if kind is Kind.BOUNCE else "",
            campaign_only=only,
            away_until=NOW + timedelta(days=away) if kind is Kind.AUTO_REPLY else None,
        ),
    ),
    st.integers(0, ROWS - 1),
    st.sampled_from(Kind),
    st.integers(0, 100),
    st.sampled_from(Actor),
    st.sampled_from([NOBODY, FULL, DISABLED, LISTED]),
    st.booleans(),
    st.integers(-1, 20),
)


@st.composite
def tellings(draw: st.DrawFn) -> Telling:
    """Happenings, and batches of their numbers: each at least once, in some order; the outcome among them."""
    found = draw(st.lists(happenings, min_size=1, max_size=8))
    numbers = list(range(len(found)))
    extra = draw(st.lists(st.sampled_from(numbers), max_size=6))
    told: list[int | RowStatus] = draw(st.permutations(numbers + extra))
    outcome = draw(st.sampled_from([RowStatus.SENT, RowStatus.UNKNOWN]))
    told.insert(draw(st.integers(0, len(told))), outcome)
    batches: list[list[int | RowStatus]] = [[]]
    for one in told:
        if isinstance(one, RowStatus) or not draw(st.booleans()):
            batches.append([])
        batches[-1].append(one)
        if isinstance(one, RowStatus):
            batches.append([])
    return found, [batch for batch in batches if batch]


def expected(found: list[Happening], outcome: RowStatus) -> dict[str, Any]:
    """What the ledger must hold."""
    rows = []
    for number in range(ROWS):
        mine = [item for row, item in found if row == number]
        times: dict[str, datetime] = {}
        for item in mine:
            step = STEP.get(item.kind)
            if step and item.actor is Actor.HUMAN:
                times[step] = min(item.at, times.get(step, item.at))
        known = outcome is RowStatus.SENT or bool(mine)
        status = max(times, key=RANK.index, default="sent") if known else "unknown"
        rows.append((status, times))
    every = [item for _row, item in found]
    reasons: dict[bool, str | None] = {}
    disabled = {row for row, item in found if item.diagnostic == DISABLED}
    full = {row for row, item in found if item.diagnostic == FULL}
    for item in every:
        hard = item.diagnostic == NOBODY
        reason = {Kind.UNSUBSCRIBE: "unsubscribe", Kind.COMPLAINT: "complaint"}.get(item.kind)
        reason = "hard_bounce" if hard else reason
        only = item.kind is Kind.UNSUBSCRIBE and item.campaign_only
        reasons[only] = max(reason, reasons.get(only), key=STRONGER.index)
    if len(disabled) > 1 or len(full) > 2:
        reasons[False] = max("hard_bounce", reasons.get(False), key=STRONGER.index)
    away = [item.away_until for item in every if item.away_until is not None and item.away_until > NOW]
    return {
        "rows": rows,
        "events": sorted(item.kind.value for item in every if item.kind in STEP),
        "suppressed": {only: reason for only, reason in reasons.items() if reason},
        "away_until": max(away, default=None),
        "successes": sum(status != "unknown" for status, _times in rows),
    }


def ledger_of(world: Sent, ids: list[int]) -> dict[str, Any]:
    rows = []
    for row_id in ids:
        row = world.row(task_contacts, row_id)
        times = {step: row[f"{step}_at"] for step in RANK[1:] if row[f"{step}_at"] is not None}
        rows.append((row["status"], times))
        assert (row["sent_at"] is None) is (row["status"] == "unknown")
    types = sorted(event["type"] for event in world.all(event_log))
    return {
        "rows": rows,
        "events": [kind for kind in types if not kind.startswith("send_api")],
        "suppressed": {row["campaign_id"] != 0: row["reason"] for row in world.all(suppressions)},
        "away_until": world.row(contacts, world.row(task_contacts, ids[0])["contact_id"])["away_until"],
        "successes": types.count("send_api_success"),
    }


class Told(Sent):
    """Three messages to one recipient that are being sent; each example begins with them anew."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        attempt = {"claim_token": TOKEN, "attempt_at": TRIED, "sent_at": None}
        [first] = self.sent(status="sending", **attempt)
        more = [self.again(first, self.begun(f"t{n}"), "sending", **attempt) for n in range(ROWS - 1)]
        self.ids = [first, *more]

    def begin(self) -> None:
        times: dict[str, Any] = dict.fromkeys((*(f"{step}_at" for step in RANK[1:]), "sent_at", "reason"))
        with self.database.begin() as connection:
            for table in (event_log, suppressions, provider_pauses):
                connection.execute(table.delete())
            connection.execute(task_contacts.update().values(status="sending", **times))
            connection.execute(contacts.update().values(away_until=None))


def written(world: Sent, ids: list[int], status: RowStatus) -> None:
    """The engine's own outcome of all rows: accepted, or nobody knows."""
    outcomes = [
        RowOutcome(row_id, TOKEN, world.service_id, status, NOW, attempt_at=TRIED, message_id="<m@x>")
        for row_id in ids
    ]
    world.database.run(lambda connection: outcomes_of_rows(connection, outcomes, {}, check=True))


def tell(world: Told, telling: Telling) -> None:
    found, batches = telling
    world.begin()
    items = [
        replace(item, row_id=world.ids[row], key=str(number)) for number, (row, item) in enumerate(found)
    ]
    outcome = RowStatus.SENT
    for batch in batches:
        if isinstance(batch[0], RowStatus):
            outcome = batch[0]
            written(world, world.ids, outcome)
        else:
            world.apply(*(items[number] for number in batch if not isinstance(number, RowStatus)))
    assert ledger_of(world, world.ids) == expected(found, outcome)


any_order = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def here(sqlite_url: str) -> Iterator[Told]:
    database = Database(sqlite_url)
    yield Told(database)
    database.dispose()


@pytest.fixture
def there(mariadb_url: str) -> Iterator[Told]:
    database = Database(mariadb_url)
    yield Told(database)
    database.dispose()


@pytest.mark.slow
@settings(any_order, max_examples=120)
@given(tellings())
def test_the_ledger_is_the_same_whatever_is_told_when(here: Told, telling: Telling) -> None:
    tell(here, telling)


@settings(any_order, max_examples=10)
@given(tellings())
def test_so_it_is_on_a_server(there: Told, telling: Telling) -> None:
    tell(there, telling)
