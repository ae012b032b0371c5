"""Sequences at the intent: who must get no follow-up after all, and the thread that a follow-up answers.

Asked in the transaction that commits to sending, as consent is: a reply, a bounce or an operator's word that
came a moment ago counts. A campaign without follow-ups and without stops costs one small query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from coldsend.composing.threads import thread_of
from coldsend.delivery.attempt import Claim
from coldsend.domain import sequence
from coldsend.domain.sequence import Chain, Condition
from coldsend.domain.service import Service
from coldsend.domain.states import RowReason, StopReason
from coldsend.domain.suppression import keys_for
from coldsend.stores import chains, sequence_stops

_TOLD = {
    StopReason.REPLIED: "the recipient, or somebody else of the same domain, replied",
    StopReason.BOUNCED: "an earlier message of this campaign bounced",
    StopReason.MANUAL: "an operator stopped the sequence for this recipient",
}


@dataclass(frozen=True, slots=True)
class Sequel:
    """What was found about claims. stopped, unmet: row id -> (reason, what is told of it)."""

    stopped: Mapping[int, tuple[RowReason, str]] = field(default_factory=dict)
    unmet: Mapping[int, tuple[RowReason, str]] = field(default_factory=dict)


def look(connection: Connection, claims: Sequence[Claim], services: Mapping[int, Service]) -> Sequel:
    """Which claims a stop has ended, and whose conditions do not hold; gives the others their threads.

    services: all there are, by id.
    """
    if not claims:
        return Sequel()
    asked = chains.conditions(connection, {claim.row.task_id for claim in claims})
    following = [claim for claim in claims if claim.row.task_id in asked]
    earlier = chains.earlier(connection, [claim.row.id for claim in following])
    known = {row_id: sequence.chain_of(map(dict, messages)) for row_id, messages in earlier.items()}
    unmet = {}
    for claim in following:
        row_id = claim.row.id
        missed = sequence.unmet(asked[claim.row.task_id], known.get(row_id, Chain()))
        if missed is not None:
            unmet[row_id] = (RowReason.CONDITION, f"its condition does not hold: {missed}")
        elif row_id in earlier:
            claim.thread = thread_of(earlier[row_id], services)
    return Sequel(_stopped(connection, claims, asked, known), unmet)


def _stopped(
    connection: Connection,
    claims: Sequence[Claim],
    asked: Mapping[int, Sequence[Condition]],
    known: Mapping[int, Chain],
) -> dict[int, tuple[RowReason, str]]:
    """One query for each campaign that has any stop."""
    found: dict[int, tuple[RowReason, str]] = {}
    for campaign_id in sequence_stops.in_force(connection, {claim.campaign_id for claim in claims}):
        mine = [claim for claim in claims if claim.campaign_id == campaign_id]
        keys = {claim.row.id: keys_for(claim.row.email_key, claim.row.email_domain, None) for claim in mine}
        hits = sequence_stops.matching(
            connection, campaign_id, sorted({key for of_row in keys.values() for key in of_row})
        )
        for claim in mine:
            row = claim.row
            stops = [hits[key] for key in keys[row.id] if key in hits]
            stop = sequence.stop_that_ends(stops, asked.get(row.task_id, ()), known.get(row.id, Chain()))
            if stop is not None:
                found[row.id] = (sequence.row_reason(stop), _TOLD[stop])
    return found
