"""What becomes of the rows of a dead process: settled by its journal, or unknown, never sent again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from coldsend import clock
from coldsend.database.engine import Database
from coldsend.database.tables import sender_quota, task_contacts, tasks, workers
from coldsend.delivery import journal as journals
from coldsend.delivery.journal import Journal
from coldsend.delivery.rescue import Rescuer
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.states import RowStatus
from coldsend.stores import events, ledger, quota, row_outcomes
from coldsend.stores import workers as worker_rows
from tests.planning.world import NOW, World

LEASE = 60.0


class Dead(World):
    """A worker that had four rows in ``sending`` and is gone: its journal is closed, its lock free."""

    def __init__(self, database: Database, state_dir: Path, *, host: str | None = None) -> None:
        super().__init__(database)
        self.state_dir = state_dir
        self.service_id = self.service()
        campaign = self.campaign(status="active")
        self.task_id = self.task(campaign, status="sending", actual_start_time=NOW)
        self.worker_id = database.run(
            lambda c: worker_rows.register(
                c,
                kind="sender",
                host="h",
                host_id=host or journals.host_id(state_dir),
                pid=1,
                now=NOW,
                lease_seconds=LEASE,
            )
        )
        self.token = ledger.token_of(self.worker_id, 1)
        self.ids = self.rows(
            self.task_id,
            "sending",
            4,
            claim_token=self.token,
            sender_service_id=self.service_id,
            attempt_at=NOW,
            event_tracking_uid=None,
        )
        self.insert(sender_quota, sender_service_id=self.service_id, quota_day=NOW.date(), used=4)
        self.rescuer = Rescuer(database, state_dir, LEASE, own_id=0)

    def journal(self) -> Journal:
        return Journal(self.state_dir, self.worker_id, NOW)

    def answered(self, row: int, status: RowStatus = RowStatus.SENT) -> RowOutcome:
        at = NOW + timedelta(seconds=1)
        return RowOutcome(row, self.token, self.service_id, status, at, message_id="<m@x>", attempt_at=NOW)

    def states(self) -> list[str]:
        return [self.row(task_contacts, row)["status"] for row in self.ids]


@pytest.fixture
def dead(database: Database, tmp_path: Path) -> Dead:
    return Dead(database, tmp_path)


def test_each_row_is_settled_by_what_the_journal_says(dead: Dead) -> None:
    journal = dead.journal()
    for row in dead.ids[:3]:
        journal.dot(row, dead.token)
    journal.outcome(dead.answered(dead.ids[0]))
    journal.outcome(dead.answered(dead.ids[1], RowStatus.FAILED_TO_SEND))
    journal.close(remove=False)
    assert dead.rescuer.rescue_own_host() == 1
    assert dead.states() == ["sent", "failed_to_send", "unknown", "pending"]
    assert dead.row(task_contacts, dead.ids[0])["sent_at"] == NOW + timedelta(seconds=1)
    assert dead.row(workers, dead.worker_id)["stopped_at"] is not None
    assert not list((dead.state_dir / "journal").glob("worker-*")), "its files are not needed any more"


def test_a_row_that_was_never_sent_costs_nothing(dead: Dead) -> None:
    dead.journal().close(remove=False)
    dead.rescuer.rescue_own_host()
    assert dead.states() == ["pending"] * 4
    with dead.database.read() as connection:
        assert quota.used(connection, dead.service_id, NOW.date()) == 0
        assert events.latest(connection, 10) == [], "nothing was tried"


def test_a_journaled_answer_is_late_proof_for_an_unknown_row_and_for_no_other(dead: Dead) -> None:
    journal = dead.journal()
    for row in dead.ids:
        journal.dot(row, dead.token)
        journal.outcome(dead.answered(row))
    journal.close(remove=False)
    dead.change(task_contacts, dead.ids[0], status="unknown")
    dead.change(task_contacts, dead.ids[1], status="pending", claim_token=None)
    dead.change(task_contacts, dead.ids[2], status="skipped")
    assert dead.rescuer.rescue_own_host() == 1
    assert dead.states() == ["sent", "pending", "skipped", "sent"]


def test_rescue_writes_the_events_of_journaled_answers(dead: Dead) -> None:
    journal = dead.journal()
    journal.dot(dead.ids[0], dead.token)
    journal.outcome(dead.answered(dead.ids[0]))
    journal.close(remove=False)
    dead.rescuer.rescue_own_host()
    with dead.database.read() as connection:
        assert [row["type"] for row in events.latest(connection, 10)] == ["send_api_try", "send_api_success"]


def test_a_living_process_is_left_alone(dead: Dead) -> None:
    journal = dead.journal()
    assert dead.rescuer.rescue_own_host() == 0
    assert dead.states() == ["sending"] * 4
    journal.close(remove=True)


def test_rescuing_twice_changes_nothing(dead: Dead) -> None:
    dead.journal().close(remove=False)
    assert dead.rescuer.rescue_own_host() == 1
    assert dead.rescuer.rescue_own_host() == 0


def test_a_corrupt_journal_makes_rows_unknown_and_never_pending(dead: Dead) -> None:
    journal = dead.journal()
    journal.dot(dead.ids[0], dead.token)
    journal.outcome(dead.answered(dead.ids[0]))
    journal.close(remove=False)
    with journals.journal_path(dead.state_dir, dead.worker_id, NOW).open("ab") as file:
        file.write(b"D 1")
    dead.rescuer.rescue_own_host()
    assert dead.states() == ["sent", "unknown", "unknown", "unknown"]


def test_a_missing_journal_makes_rows_unknown(dead: Dead) -> None:
    dead.journal().close(remove=False)
    journals.journal_path(dead.state_dir, dead.worker_id, NOW).unlink()
    dead.rescuer.rescue_own_host()
    assert dead.states() == ["unknown"] * 4


def test_a_process_of_another_host_is_given_up_after_a_lease_of_silence_and_not_before(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Dead(database, tmp_path, host="elsewhere")
    steady = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: steady)
    assert dead.rescuer.rescue_own_host() == 0
    assert dead.rescuer.rescue_silent() == 0, "its heartbeat is old, but we have only begun to watch"
    for _ in range(3):
        steady += LEASE / 3 - 1
        assert dead.rescuer.rescue_silent() == 0
    steady += 4
    assert dead.rescuer.rescue_silent() == 1
    assert dead.states() == ["unknown"] * 4


def test_nobody_is_given_up_because_the_database_was_away(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Dead(database, tmp_path, host="elsewhere")
    steady = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: steady)
    dead.rescuer.rescue_silent()
    steady += 10 * LEASE  # nobody could look, and nobody could beat
    assert dead.rescuer.rescue_silent() == 0
    steady += LEASE / 2
    assert dead.rescuer.rescue_silent() == 0
    assert dead.states() == ["sending"] * 4


def test_the_watcher_never_gives_itself_up(dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    dead.rescuer.own_id = dead.worker_id
    steady = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: steady)
    for _ in range(10):
        assert dead.rescuer.rescue_silent() == 0
        steady += LEASE / 3
    assert dead.row(workers, dead.worker_id)["stopped_at"] is None


def test_signing_off_leaves_nothing_in_sending(dead: Dead) -> None:
    journal = dead.journal()
    for row in dead.ids[:2]:
        journal.dot(row, dead.token)
    journal.outcome(dead.answered(dead.ids[0]))
    dead.rescuer.own_id = dead.worker_id
    dead.rescuer.sign_off(journal.memory())
    assert dead.states() == ["sent", "unknown", "pending", "pending"]
    assert dead.row(workers, dead.worker_id)["stopped_at"] is not None
    journal.close(remove=True)


def test_rows_of_a_process_that_is_gone_for_good_become_unknown(dead: Dead) -> None:
    assert dead.rescuer.rescue_orphans() == 0
    dead.change(workers, dead.worker_id, stopped_at=NOW)
    assert dead.rescuer.rescue_orphans() == 1
    assert dead.states() == ["unknown"] * 4
    assert dead.rescuer.rescue_orphans() == 0


def test_a_row_that_keeps_its_service_keeps_it_through_a_rescue(dead: Dead) -> None:
    dead.change(task_contacts, dead.ids[0], reason="keeps_service")
    dead.journal().close(remove=False)
    dead.rescuer.rescue_own_host()
    assert dead.row(task_contacts, dead.ids[0])["sender_service_id"] == dead.service_id
    assert dead.row(task_contacts, dead.ids[1])["sender_service_id"] is None


def test_after_another_boot_only_answers_count(dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = dead.journal()
    journal.dot(dead.ids[0], dead.token)
    journal.outcome(dead.answered(dead.ids[0]))
    journal.close(remove=False)
    monkeypatch.setattr(journals, "boot_id", lambda: "another")
    dead.rescuer.rescue_own_host()
    assert dead.states() == ["sent", "unknown", "unknown", "unknown"]


def test_a_heartbeat_keeps_a_process_alive_whatever_the_clocks_say(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Dead(database, tmp_path, host="elsewhere")
    steady = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: steady)
    for beat in range(5):
        steady += LEASE / 2
        # Its clock is years behind ours; what counts is that the heartbeat moves.
        at = NOW - timedelta(days=1000) + timedelta(seconds=beat)
        database.run(lambda c, at=at: worker_rows.beat(c, dead.worker_id, at, LEASE, {}))
        assert dead.rescuer.rescue_silent() == 0
    assert dead.states() == ["sending"] * 4


def test_a_hanging_process_of_this_host_is_given_up_and_its_own_outcomes_still_count(
    dead: Dead, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = dead.journal()  # it lives: it holds its lock
    steady = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: steady)
    for _ in range(3):
        assert dead.rescuer.rescue_silent() == 0
        steady += LEASE / 3 + 1
    assert dead.rescuer.rescue_silent() == 1
    assert dead.states() == ["unknown"] * 4
    with dead.database.begin() as connection:
        assert row_outcomes.record(connection, [dead.answered(dead.ids[0])], late=True) == 1
    assert dead.states()[0] == "sent"
    journal.close(remove=True)


def given_up(dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its journal cannot be read now (its host is away): every row becomes unknown."""
    dead.rescuer.own_id = -1
    with monkeypatch.context() as patched:
        patched.setattr(journals, "open_dead", lambda *_: None)
        steady = [clock.monotonic()]
        patched.setattr(clock, "monotonic", lambda: steady[0])
        for _ in range(4):
            dead.rescuer.rescue_silent()
            steady[0] += LEASE / 3 + 1
    assert dead.states() == ["unknown"] * 4


def test_a_host_that_comes_back_settles_what_was_given_up(
    dead: Dead, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = dead.journal()
    for row in dead.ids[:3]:
        journal.dot(row, dead.token)
    journal.outcome(dead.answered(dead.ids[0]))
    journal.outcome(dead.answered(dead.ids[1], RowStatus.FAILED_TO_SEND))
    journal.close(remove=False)
    given_up(dead, monkeypatch)
    dead.rescuer.rescue_own_host()
    assert dead.states() == ["sent", "failed_to_send", "unknown", "pending"], "only a dot is in doubt"
    assert not list((dead.state_dir / "journal").glob("worker-*"))
    with dead.database.read() as connection:
        assert quota.used(connection, dead.service_id, NOW.date()) == 3


def test_after_another_boot_a_late_journal_returns_nothing_to_pending(
    dead: Dead, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead.journal().close(remove=False)
    given_up(dead, monkeypatch)
    monkeypatch.setattr(journals, "boot_id", lambda: "another")
    dead.rescuer.rescue_own_host()
    assert dead.states() == ["unknown"] * 4


def test_what_a_process_itself_left_in_doubt_is_never_taken_for_unsent(dead: Dead) -> None:
    journal = dead.journal()
    dead.change(task_contacts, dead.ids[0], status="unknown", reason="no_final_answer")
    journal.close(remove=False)
    dead.rescuer.rescue_own_host()
    assert dead.states() == ["unknown", "pending", "pending", "pending"]


def test_a_late_journal_does_not_reopen_a_task_that_has_ended(
    dead: Dead, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead.journal().close(remove=False)
    given_up(dead, monkeypatch)
    dead.change(tasks, dead.task_id, status="finished", actual_end_time=NOW)
    dead.rescuer.rescue_own_host()
    assert dead.states() == ["unknown"] * 4, "nobody works on it: a person decides"


def test_a_journal_of_another_installation_in_the_same_folder_is_left_alone(
    dead: Dead, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Journal(dead.state_dir, dead.worker_id, NOW + timedelta(seconds=1))
    other.dot(dead.ids[0], dead.token)
    other.outcome(dead.answered(dead.ids[0]))
    other.close(remove=False)
    given_up(dead, monkeypatch)
    dead.rescuer.rescue_own_host()
    assert dead.states() == ["unknown"] * 4
    assert len(list((dead.state_dir / "journal").glob("worker-*"))) == 2
