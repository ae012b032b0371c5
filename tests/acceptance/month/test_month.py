"""A month of sequences with real processes: by the SMTP server's record every rule holds for everybody.

One run is looked at from all sides, because it takes minutes: the rules, the plans made on its way, and the
proof that the checker misses nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coldsend import clock
from tests.acceptance.month import plans, sabotage
from tests.acceptance.month.checker import violations
from tests.acceptance.month.run import Month, Ran
from tests.acceptance.month.script import Kind, Script, month, undisturbed
from tests.acceptance.scenario import CLOCK, Scenario
from tests.conftest import Project

pytestmark = [pytest.mark.servers, pytest.mark.slow]

Play = Callable[[Project, Script], Ran]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Runs a script in a project; what it commands goes by the same clock as the processes."""

    def run(project: Project, script: Script) -> Ran:
        scenario = Scenario(project)
        monkeypatch.setenv(CLOCK, str(scenario.clock))
        clock.look_at_environment()
        return Month(scenario, script, tmp_path).run()

    yield run
    monkeypatch.undo()


def assert_flawless(ran: Ran) -> None:
    found = violations(ran.evidence)
    assert not found, "\n".join([f"{len(found)} violations", *found[:40]])


@pytest.mark.timeout(2400)
def test_every_rule_holds_in_a_month_and_the_checker_misses_no_sabotage(
    sqlite_project: Project, play: Play
) -> None:
    ran = play(sqlite_project, month())
    assert_flawless(ran)
    assert_eventful(ran)
    # What waits for the end of a stand may come a quarter of an hour later, and with it on the next day.
    assert_foreseen(ran, whole_days=7, part=0.05)
    assert_nothing_missed(ran)


@pytest.mark.timeout(1200)
def test_a_plan_foresees_what_nothing_disturbs_to_its_end(sqlite_project: Project, play: Play) -> None:
    ran = play(sqlite_project, undisturbed())
    assert_flawless(ran)
    everybody = len(ran.script.people)
    assert Counter(message.step for message in ran.messages) == {1: everybody, 2: everybody, 3: everybody}
    assert_foreseen(ran, whole_days=20)
    assert_foreseen_by_service(ran)
    last = max(message.at for message in ran.messages)
    for made_at, plan in ran.plans:
        assert plan["ends"][:10] == f"{last:%F}", (made_at, plan["ends"], last)
        assert plan["not_sent"] == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_rule_holds_in_a_month_on_mariadb(mariadb_url: str, tmp_path: Path, play: Play) -> None:
    project = Project(tmp_path, mariadb_url)
    ran = play(project, month(seed=50))
    project.database.dispose()
    assert_flawless(ran)


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_every_rule_holds_for_a_few_hundred_as_well(sqlite_project: Project, play: Play) -> None:
    assert_flawless(play(sqlite_project, month(people=300, seed=7)))


def assert_eventful(ran: Ran) -> None:
    """So much came back that each rule had something to hold against."""
    counted = Counter(one.what for one in ran.carried)
    assert all(counted[kind] >= 2 for kind in Kind), counted
    messages = Counter(message.step for message in ran.messages)
    assert messages[1] > 1800, messages
    assert messages[2] > 1400, messages
    assert messages[3] > 1000, messages
    assert max(message.at for message in ran.messages) - ran.script.begins >= plans.MONTH


def assert_foreseen(ran: Ran, whole_days: int, part: float = 0.0) -> None:
    """What went out on each day is what the plans had said, but for a part of it."""
    compared = 0
    for made_at, plan in ran.plans:
        found = plans.disagreements(ran.evidence, made_at, plan, ran.refused, part=part)
        assert not found, "\n".join([f"the plan of {made_at:%F %T}", *found])
        compared += sum(1 for _ in plans.days(ran.evidence, made_at, plan))
    assert compared >= whole_days, compared


def assert_foreseen_by_service(ran: Ran) -> None:
    """The ramps limit the first day: then no service has a choice."""
    made_at, plan = ran.plans[0]
    _day, planned, went, _refused = next(plans.days(ran.evidence, made_at, plan))
    assert planned == went
    assert planned == {sender.name: sender.ramp[0] for sender in ran.script.senders}


def assert_nothing_missed(ran: Ran) -> None:
    missed = {}
    for name, one in sabotage.deeds().items():
        found = violations(one.deed(ran.evidence), one.rule)
        if not any(one.words in words for words in found):
            missed[name] = found[:3]
    assert missed == {}
