"""The scheduler's jobs: who leads, and that two of them do no harm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coldsend.daemon.jobs import Jobs
from coldsend.database.engine import Database
from coldsend.database.tables import sender_quota, sender_services, tasks, workers
from coldsend.planning import lifecycle
from tests.planning.test_experiments import Lab
from tests.planning.world import NOW, SETTINGS, World


def jobs(database: Database, folder: Path) -> Jobs:
    made = Jobs(replace(SETTINGS, state_dir=folder), database, lambda: False)
    made.register()
    return made


def test_one_scheduler_leads_and_its_end_lets_the_other_lead(database: Database, tmp_path: Path) -> None:
    one, two = jobs(database, tmp_path), jobs(database, tmp_path)
    assert (one.leads, two.leads) == (True, False)
    one.sign_off()
    two.lead()
    assert two.leads
    two.sign_off()


def test_only_the_leader_plans(database: Database, tmp_path: Path) -> None:
    world = World(database)
    task = world.task(world.campaign(status="active"), status="scheduled")
    world.contacts(3)
    one, two = jobs(database, tmp_path), jobs(database, tmp_path)
    two.plan()
    assert world.row(tasks, task)["status"] == "scheduled"
    one.plan()
    assert world.statuses(task) == {"pending": 3}
    one.sign_off()
    two.sign_off()


def test_a_scheduler_that_was_killed_is_signed_off_by_the_next(database: Database, tmp_path: Path) -> None:
    world = World(database)
    killed = jobs(database, tmp_path)
    killed._presence.close(remove=False)  # what the kernel does for a process that dies
    other = jobs(database, tmp_path)
    assert world.row(workers, killed.worker_id)["stopped_at"] is not None
    assert other.leads, "the lead of the dead one is free at once"
    other.sign_off()


def test_a_scheduler_that_was_declared_dead_comes_back(database: Database, tmp_path: Path) -> None:
    world = World(database)
    one = jobs(database, tmp_path)
    first = one.worker_id
    world.change(workers, first, stopped_at=NOW)
    one.lead()
    assert one.worker_id != first
    assert one.leads
    assert world.row(workers, one.worker_id)["stopped_at"] is None
    one.sign_off()
    assert not list((tmp_path / "journal").glob("worker-*"))


def test_the_quota_job_brings_the_mirror_up_to_date(database: Database, tmp_path: Path) -> None:
    world = World(database)
    service = world.service(used_today=77)
    one = jobs(database, tmp_path)
    one.roll_quota()
    assert world.row(sender_services, service)["used_today"] == 0
    world.insert(sender_quota, sender_service_id=service, quota_day=NOW.date(), used=5)
    one.sign_off()


def test_only_the_leader_judges_experiments(database: Database, tmp_path: Path) -> None:
    lab = Lab(World(database))
    one, two = jobs(database, tmp_path), jobs(database, tmp_path)
    two.judge_experiments()
    assert lab.experiment.look_after is None
    {name: job for name, _seconds, job in one.table()}["judge"]()
    assert lab.experiment.look_after is not None
    one.sign_off()
    two.sign_off()


def test_a_job_that_fails_is_logged_once_and_tried_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = jobs(database, tmp_path)

    def away(*_: object) -> None:
        raise OSError("the disk is gone")

    table = {name: job for name, _seconds, job in one.table()}
    with monkeypatch.context() as patched:
        patched.setattr(lifecycle, "activate_due", away)
        table["plan"]()
    table["plan"]()
    assert one.planned_once
    one.sign_off()
