"""State machines: every state x event, every pair of row states, and the document that shows them."""

from __future__ import annotations

import itertools
from enum import StrEnum
from pathlib import Path

import pytest

from coldsend.domain.states import (
    CAMPAIGN_MOVES,
    CAMPAIGN_OPEN,
    ROW_MOVES,
    ROW_SENT,
    ROW_WAITING,
    TASK_ENDED,
    TASK_MOVES,
    CampaignEvent,
    CampaignStatus,
    RowStatus,
    TaskEvent,
    TaskStatus,
    campaign_after,
    task_after,
)
from coldsend.errors import WrongState

DOCUMENT = Path(__file__).parents[2] / "docs" / "state_machines.md"

# Written out by hand, not derived from the code: "-" is an illegal pair.
CAMPAIGNS = """
             start   pause   resume  cancel     tasks_ended  reopen
draft        active  -       -       cancelled  -            -
active       -       paused  -       cancelled  completed    -
paused       -       -       active  cancelled  -            -
completed    -       -       -       -          -            active
cancelled    -       -       -       -          -            -
"""
TASKS = """
           schedule   come_due  pause   resume     cancel    expand_again retry    rows_ended  planning_failed
draft      scheduled  -         -       -          cancelled -            -        -           -
scheduled  -          sending   paused  -          cancelled -            -        -           -
sending    -          -         paused  -          cancelled sending      sending  finished    failed
paused     -          -         -       scheduled  cancelled -            paused   -           -
finished   -          -         -       -          -         sending      sending  -           -
failed     -          -         -       -          -         -            -        -           -
cancelled  -          -         -       -          -         -            -        -           -
"""
# From (row) to (column); states that only feedback reaches are left out: nothing in the engine moves them.
ROWS = """
                pending  sending  sent  failed_to_send  unknown  skipped
pending         -        x        -     x               -        x
sending         x        -        x     x               x        x
sent            -        -        -     -               -        -
failed_to_send  x        -        -     -               -        -
unknown         x        -        x     x               -        -
skipped         x        -        -     -               -        -
"""


def table(text: str) -> dict[tuple[str, str], str]:
    head, *lines = text.strip("\n").splitlines()
    columns = head.split()
    return {
        (cells[0], column): cell
        for cells in map(str.split, lines)
        for column, cell in zip(columns, cells[1:], strict=True)
    }


CAMPAIGN_TABLE, TASK_TABLE, ROW_TABLE = table(CAMPAIGNS), table(TASKS), table(ROWS)


@pytest.mark.parametrize(("status", "event"), list(itertools.product(CampaignStatus, CampaignEvent)))
def test_a_campaign_moves_as_the_table_says_and_no_other_way(
    status: CampaignStatus, event: CampaignEvent
) -> None:
    expected = CAMPAIGN_TABLE[status, event]
    if expected == "-":
        with pytest.raises(WrongState, match=f"'spring' is {status}") as refusal:
            campaign_after(status, event, "spring")
        assert refusal.value.hint
    else:
        assert campaign_after(status, event, "spring") == expected


@pytest.mark.parametrize(("status", "event"), list(itertools.product(TaskStatus, TaskEvent)))
def test_a_task_moves_as_the_table_says_and_no_other_way(status: TaskStatus, event: TaskEvent) -> None:
    expected = TASK_TABLE[status, event]
    if expected == "-":
        with pytest.raises(WrongState, match=f"'intro' is {status}") as refusal:
            task_after(status, event, "intro")
        assert refusal.value.hint
    else:
        assert task_after(status, event, "intro") == expected


@pytest.mark.parametrize(("before", "after"), list(itertools.product(RowStatus, RowStatus)))
def test_a_row_moves_as_the_table_says_and_no_other_way(before: RowStatus, after: RowStatus) -> None:
    assert ((before, after) in ROW_MOVES) == (ROW_TABLE.get((before, after)) == "x")


def test_a_task_that_had_begun_resumes_sending() -> None:
    assert task_after(TaskStatus.PAUSED, TaskEvent.RESUME, "intro", started=True) == TaskStatus.SENDING
    assert task_after(TaskStatus.PAUSED, TaskEvent.RESUME, "intro", started=False) == TaskStatus.SCHEDULED


def test_a_refusal_names_the_commands_that_are_possible_now() -> None:
    with pytest.raises(WrongState) as refusal:
        campaign_after(CampaignStatus.PAUSED, CampaignEvent.PAUSE, "spring")
    assert refusal.value.hint == "possible now: coldsend campaign resume, coldsend campaign cancel"


def test_what_never_happens_by_hand_is_not_offered() -> None:
    with pytest.raises(WrongState) as refusal:
        task_after(TaskStatus.FINISHED, TaskEvent.PAUSE, "intro")
    assert refusal.value.hint == "possible now: coldsend task expand, coldsend task retry"


def test_nothing_leads_out_of_a_sent_row_but_feedback() -> None:
    assert not [move for move in ROW_MOVES if move[0] in ROW_SENT]


def test_every_row_can_come_to_an_end() -> None:
    reachable = {after for before, after in ROW_MOVES if before in ROW_WAITING} - ROW_WAITING
    assert reachable == {RowStatus.SENT, RowStatus.FAILED_TO_SEND, RowStatus.UNKNOWN, RowStatus.SKIPPED}


def test_open_campaigns_are_those_that_can_still_be_cancelled() -> None:
    assert {s for s, event in CAMPAIGN_MOVES if event == CampaignEvent.CANCEL} == CAMPAIGN_OPEN


def test_ended_tasks_are_those_that_cannot_be_cancelled() -> None:
    cancellable = {s for s, event in TASK_MOVES if event == TaskEvent.CANCEL}
    assert cancellable == set(TaskStatus) - TASK_ENDED


def markdown(states: type[StrEnum], events: type[StrEnum], moves: dict[tuple[str, str], str]) -> str:
    lines = ["| | " + " | ".join(events) + " |", "|---" * (len(events) + 1) + "|"]
    for state in states:
        cells = [str(moves.get((state, event), "")) for event in events]
        lines.append(f"| **{state}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rows_markdown() -> str:
    states = [s for s in RowStatus if any(s in move for move in ROW_MOVES)]
    lines = ["| from, to | " + " | ".join(states) + " |", "|---" * (len(states) + 1) + "|"]
    for before in states:
        cells = ["yes" if (before, after) in ROW_MOVES else "" for after in states]
        lines.append(f"| **{before}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param(markdown(CampaignStatus, CampaignEvent, dict(CAMPAIGN_MOVES)), id="campaigns"),
        pytest.param(markdown(TaskStatus, TaskEvent, dict(TASK_MOVES)), id="tasks"),
        pytest.param(rows_markdown(), id="rows"),
    ],
)
def test_the_document_shows_the_table_of_the_code(expected: str) -> None:
    assert expected in DOCUMENT.read_text(encoding="utf-8"), f"docs/state_machines.md lacks:\n{expected}"
