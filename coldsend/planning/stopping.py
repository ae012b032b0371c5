"""Ending a sequence by hand for an address or a whole domain, and letting it go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import quote

from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.engine import Database
from coldsend.domain import sequence, suppression
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.states import RowReason, StopReason, SuppressionScope
from coldsend.errors import InvalidInput, NotFound
from coldsend.stores import campaigns, ledger, sequence_stops, tasks
from coldsend.stores.sequence_stops import Stop

SKIP_CHUNK = 5_000  # rows one transaction skips


@dataclass(frozen=True, slots=True)
class Stopped:
    """What became of a stop. value: the address or domain. recipients: who waited and were skipped, or wait
    again. ended: of those that would wait again, how many stay as they are because their task has ended."""

    value: str
    recipients: int
    ended: int = 0


def stop(
    database: Database, actor: Actor, campaign: str, targets: Sequence[str], now: datetime
) -> list[Stopped]:
    """Send nothing more of a campaign to these addresses and domains; what waits is skipped. All or none.

    The stops hold once they are noted, for each intent asks for them. Who waits is skipped after that, some
    thousands a transaction: at a provider of mailboxes that may be half of a list.
    """
    wanted = [_target(text) for text in targets]
    source = f"cli:{actor.username}"

    def note(connection: Connection) -> list[int]:
        row = _owned(connection, actor, campaign)
        stops = [Stop(row["id"], key, value, StopReason.MANUAL, None, source) for key, value in wanted]
        sequence_stops.add(connection, stops, now)
        return [task["id"] for task in tasks.listed(connection, campaign_id=row["id"])]

    task_ids = database.run(note)
    return [Stopped(value, _skip(database, task_ids, key)) for key, value in wanted]


def _skip(database: Database, task_ids: Sequence[int], key: str) -> int:
    """Skip who waits, at an address or domain that is stopped; how many did."""

    def some(connection: Connection) -> int:
        return sequence_stops.skip_waiting(
            connection, task_ids, key, RowReason.STOPPED, contact_id=None, limit=SKIP_CHUNK
        )

    total = 0
    while skipped := database.run(some):
        total += skipped
    return total


def unstop(
    database: Database, actor: Actor, campaign: str, targets: Sequence[str], now: datetime
) -> list[Stopped]:
    """Lift stops, whatever made them: whoever was skipped for one waits again, where the task has not ended.

    NotFound, and nothing is changed, where one of them is not stopped.
    """
    wanted = [_target(text) for text in targets]

    def work(connection: Connection) -> list[Stopped]:
        row = _owned(connection, actor, campaign)
        every = tasks.listed(connection, campaign_id=row["id"])
        return [_lift(connection, row, every, key, value, now) for key, value in wanted]

    return database.run(work)


def _lift(
    connection: Connection,
    campaign: RowMapping,
    every: Sequence[RowMapping],
    key: str,
    value: str,
    now: datetime,
) -> Stopped:
    lifted = sequence_stops.remove(connection, campaign["id"], key)
    if lifted is None:
        raise NotFound(
            f"{value} is not stopped in campaign {campaign['name']!r}; nothing was changed",
            hint=f"see: coldsend campaign stops {quote(campaign['name'])}",
        )
    # Whatever ended them: a stop may have got a stronger reason since, and keeps but one.
    found = sequence_stops.stopped_rows(connection, [task["id"] for task in every], key)
    free = _not_stopped(connection, campaign["id"], every, found)
    # Rows are locked before their tasks, in the order in which late answers lock them.
    ledger.lock(connection, [row["id"] for row in free])
    still_open = {
        task_id
        for task_id in sorted({row["task_id"] for row in free})
        if tasks.hold_open(connection, task_id, now)
    }
    again = [row["id"] for row in free if row["task_id"] in still_open]
    revived = sequence_stops.revive(connection, again)
    return Stopped(value, revived, ended=len(free) - len(again))


def _not_stopped(
    connection: Connection, campaign_id: int, every: Sequence[RowMapping], found: Sequence[RowMapping]
) -> list[RowMapping]:
    """Those of these rows that no other stop, of their address or domain, still ends."""
    conditions = {task["id"]: sequence.read_conditions(task["follows_condition"] or ()) for task in every}
    keys = {row["id"]: suppression.keys_for(row["email_key"], row["email_domain"], None) for row in found}
    standing = sequence_stops.matching(
        connection, campaign_id, sorted({one for of_row in keys.values() for one in of_row})
    )

    def ends(row: RowMapping) -> bool:
        stops = [standing[one] for one in keys[row["id"]] if one in standing]
        return sequence.stop_that_ends_early(stops, conditions[row["task_id"]]) is not None

    return [row for row in found if not ends(row)]


def _target(text: str) -> tuple[str, str]:
    key, scope, value = suppression.target(text)
    if scope is SuppressionScope.HASHED or value is None:
        raise InvalidInput(f"{text[:80]!r} is neither an address nor a domain")
    return key, value


def _owned(connection: Connection, actor: Actor, given: str) -> RowMapping:
    row = campaigns.find(connection, given)
    require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
    return row
