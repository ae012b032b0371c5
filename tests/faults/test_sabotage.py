"""The protocol is broken on purpose, in a copy of the package, and the fault suite must notice.

A sabotage replaces exact text; where that text is not there any more the test fails and says so. It names the
fault test that is run against the copy, and what that test must complain of.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.servers, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("coldsend", "schema", "templates_examples", "tests", "pyproject.toml", "coldsend.toml.example")
TWICE = "recipients got it twice"
TURN = "coldsend/delivery/turn.py"
WORKER = "coldsend/delivery/worker.py"
COMMIT = "tests/faults/test_database_commit.py::test_cut_at_commit"
UNLIMITED = {"coldsend/stores/quota.py": ((", _of.used + n <= limit).values(", ").values("),)}


@dataclass(frozen=True)
class Sabotage:
    """changes: file -> (text, what stands there instead)..; found_by: a test; complaint: what it must say."""

    changes: Mapping[str, tuple[tuple[str, str], ...]]
    found_by: str
    complaint: str


SABOTAGES = {
    "rows whose final dot went out are sent again": Sabotage(
        {
            "coldsend/delivery/rescue.py": (
                ("    if key in memory.dots or not memory.intact:\n", "    if not memory.intact:\n"),
            )
        },
        "tests/faults/test_database_sqlite.py"
        "::test_everything_killed_at_once_and_the_write_ahead_log_torn",
        TWICE,
    ),
    "messages are sent inside the transaction": Sabotage(
        {
            TURN: (
                (
                    "                    claims = claimed.claims\n",
                    "                    claims = claimed.claims\n"
                    "                    send_now(claims)\n",
                ),
                ("REPEATS = 20\n", "REPEATS = 20\nsend_now = None\n"),
            ),
            WORKER: (
                (
                    "        self._wake = asyncio.Event()\n",
                    "        self._wake = asyncio.Event()\n"
                    "        from coldsend.delivery import turn\n"
                    "        loop = asyncio.get_running_loop()\n"
                    "        def early(claims):\n"
                    "            loop.call_soon_threadsafe(lambda: [self._lanes.put(c) for c in claims])\n"
                    "        turn.send_now = early\n",
                ),
                ("        for claim in taken.claims:\n            self._lanes.put(claim)\n", ""),
            ),
        },
        f"{COMMIT}[never executed]",
        TWICE,
    ),
    "a lost COMMIT is taken for done": Sabotage(
        {
            TURN: (
                (
                    "                self._doubtful.append(doubt)\n            raise\n",
                    "                done = [(r.outcome.row_id, r.outcome.token) for r in results]\n"
                    "                return Taken(claims, done)\n"
                    "            raise\n",
                ),
            )
        },
        f"{COMMIT}[never executed]",
        TWICE,
    ),
    "an intent takes rows that are not pending any more": Sabotage(
        {
            "coldsend/stores/ledger.py": (
                (
                    "(bulk.among(rows.id, row_ids), rows.status == RowStatus.PENDING.value, *guards)",
                    "(bulk.among(rows.id, row_ids), *guards)",
                ),
            )
        },
        "tests/faults/test_guards.py"
        "::test_of_two_senders_that_have_chosen_the_same_rows_each_row_has_one",
        TWICE,
    ),
    "an outcome is written whoever's the row is": Sabotage(
        {"coldsend/stores/row_outcomes.py": (('= "t.claim_token = v.claim_token AND "\n', '= ""\n'),)},
        "tests/faults/test_guards.py"
        "::test_an_answer_from_before_counts_for_nothing_once_a_person_has_decided",
        TWICE,
    ),
    "a throttled service is claimed for by whoever wants to": Sabotage(
        {
            "coldsend/stores/ledger.py": (
                ("    if owner is not None:\n        guards", "    if False:\n        guards"),
            )
        },
        "tests/stores/test_ledger.py::test_only_the_owner_claims_for_a_throttled_service",
        "world.intend(rows, owner=8) == 0",
    ),
    "more is reserved than the quota has": Sabotage(
        UNLIMITED,
        "tests/stores/test_quota.py::test_a_day_grants_what_is_asked_for_until_its_limit",
        "[4, 4, 4, 4] == [4, 4, 2, 0]",
    ),
    # The same where it hurts: on a slow machine each look at the quota may come in time all the same.
    "two senders reserve more than the quota has": Sabotage(
        UNLIMITED,
        "tests/faults/test_guards.py::test_two_senders_never_exceed_a_quota",
        "its quota is 60",
    ),
}  # fmt: skip


# Noticed only when nothing moves for a while, or like others that are quicker to notice: `make soak`.
LONG = {
    "rows whose final dot went out are sent again",
    "a lost COMMIT is taken for done",
    "an outcome is written whoever's the row is",
    "messages are sent inside the transaction",
    "an intent takes rows that are not pending any more",
    "two senders reserve more than the quota has",
}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The project once more, tests included: what is run there imports nothing of the original."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)  # with what is compiled: processes start so much sooner
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def run(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", test],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(folder), "FAULTS_STALLED": "10"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.timeout(700)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] * (name in LONG)) for name in SABOTAGES]
)
def test_the_suite_notices_that(copied: Path, name: str) -> None:
    sabotage = SABOTAGES[name]
    for file, replacements in sabotage.changes.items():
        text = (copied / file).read_text()
        for before, after in replacements:
            assert text.count(before) == 1, f"{file} has changed: where is now {before!r}?"
            text = text.replace(before, after)
        (copied / file).write_text(text)
    done = run(copied, sabotage.found_by)
    assert done.returncode == 1, f"nobody noticed, or it did not run:\n{done.stdout[-3000:]}{done.stderr}"
    assert sabotage.complaint in done.stdout, done.stdout[-4000:]
