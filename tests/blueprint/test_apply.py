"""Applying a file: what is created and changed, what is left alone, and what is refused."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.blueprint import applying
from coldsend.blueprint.applying import World
from coldsend.blueprint.mistakes import Mistaken
from coldsend.blueprint.reading import read
from coldsend.blueprint.tasks import Tasks
from coldsend.config.secrets import service_owner
from coldsend.database.tables import (
    campaigns,
    metadata,
    sender_services,
    tasks,
    templates,
)
from coldsend.domain.access import Actor
from coldsend.domain.states import CampaignStatus, FreezeCode, Role, TaskStatus
from coldsend.errors import WrongState
from coldsend.planning import campaigns as campaign_use
from coldsend.stores import access, services, users
from tests.blueprint.files import KEYS, NOW, SETTINGS, WHOLE, apply, changed, exported, mistakes
from tests.conftest import Project

pytestmark = pytest.mark.costly


def row(world: World, table: sa.Table, name: str) -> sa.RowMapping:
    with world.database.read() as connection:
        return connection.execute(sa.select(table).where(table.c.name == name)).mappings().one()


def put(world: World, table: sa.Table, name: str, **values: Any) -> None:
    with world.database.begin() as connection:
        connection.execute(sa.update(table).where(table.c.name == name).values(**values))


def everything(world: World) -> dict[str, list[Any]]:
    """All rows of all tables."""
    with world.database.read() as connection:
        return {table.name: list(connection.execute(sa.select(table))) for table in metadata.sorted_tables}


def operator(world: World, name: str = "olga") -> World:
    with world.database.begin() as connection:
        return replace(
            world, actor=Actor(users.add(connection, name, Role.OPERATOR, NOW), name, Role.OPERATOR)
        )


def test_two_that_are_applied_at_the_same_moment_make_one_setup(world: World) -> None:
    document = read(WHOLE, "setup.toml", Path("/"))
    shown = applying.foresee(world, document)
    both, found = threading.Barrier(2), []

    def work() -> None:
        both.wait(120)
        try:
            found.append(len(applying.carry_out(world, read(WHOLE, "f", Path("/")), shown).changes))
        except WrongState as error:
            found.append(error.message)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meanwhile = "the database was changed by somebody else meanwhile; nothing was applied"
    assert sorted(found, key=str) == [10, meanwhile]
    assert changed(world, WHOLE) == []


def test_what_a_database_would_not_take_is_a_mistake_of_the_file(world: World) -> None:
    text = f'{WHOLE}[variables.long]\nfield = "nickname"\ndescription = "{"d" * 70_000}"\n'
    (mistake,) = mistakes(world, text)
    assert mistake.message == "a description has at most 10,000 characters"


def test_a_whole_setup_is_created_and_a_second_time_nothing_is_changed(world: World) -> None:
    outcome = apply(world, WHOLE)
    assert [(change.action, change.kind, change.name) for change in outcome.changes] == [
        ("create", "service", "main"),
        ("create", "service", "dry"),
        ("create", "variable", "first_name"),
        ("create", "template", "intro"),
        ("create", "template", "second"),
        ("create", "template_set", "intros"),
        ("create", "template_set", "seconds"),
        ("create", "campaign", "spring"),
        ("create", "task", "spring/intro"),
        ("create", "task", "spring/second"),
    ]
    before = everything(world)
    again = apply(world, WHOLE)
    assert again.changes == []
    assert len(again.unchanged) == 10
    assert everything(world) == before


def test_to_foresee_changes_nothing(sqlite_world: World) -> None:
    before = everything(sqlite_world)
    assert len(changed(sqlite_world, WHOLE)) == 10
    assert everything(sqlite_world) == before


def test_only_what_differs_is_changed_and_told_from_what_to_what(world: World) -> None:
    apply(world, WHOLE)
    text = WHOLE.replace("daily_quota = 500", "daily_quota = 700").replace("days = 3", "days = 4")
    text = text.replace("weights = { intro = 3 }", "weights = { second = 2 }").replace(
        '"nickname"', '"company"'
    )
    text = text.replace('["mon-fri 09:00-17:00"]', '""').replace("tag:lead and", "tag:vip and")
    outcome = applying.foresee(world, read(text, "setup.toml", Path("/")))
    told = {
        change.name: [(d.key, d.before, d.after) for d in change.differences] for change in outcome.changes
    }
    assert told == {
        "main": [("daily_quota", "500", "700")],
        "first_name": [("field", '"nickname"', '"company"')],
        "intros": [("weights", "{ intro = 3 }", "{ second = 2 }")],
        "spring": [("send_window", '["mon-fri 09:00-17:00"]', "none")],
        "spring/intro": [("rule", '"tag:lead and not opened:second"', '"tag:vip and not opened:second"')],
        "spring/second": [("days", "3", "4")],
    }
    apply(world, text)
    assert changed(world, text) == []


def test_what_a_file_does_not_name_stays(whole: World) -> None:
    before = exported(whole)
    assert (
        changed(whole, "[services.main]\ndaily_quota = 500\n[campaigns.spring]\n[template_sets.intros]\n")
        == []
    )
    apply(whole, "[services.main]\ndaily_quota = 1\n")
    assert exported(whole) == before.replace("daily_quota = 500", "daily_quota = 1")


def test_templates_of_a_set_come_go_and_change_places(world: World) -> None:
    apply(world, WHOLE)
    apply(world, '[templates.third]\nsubject = "Third"\nbody = "<p>Third</p>"\n'
                 '[template_sets.intros]\ntemplates = ["third", "intro"]\n')  # fmt: skip
    assert 'templates = ["third", "intro"]\nweights = { intro = 3 }' in exported(world)


def test_keys_that_follow_from_others_are_told_too(whole: World) -> None:
    outcome = applying.foresee(whole, read('[services.main]\ntls = "implicit"', "f", Path("/")))
    (change,) = outcome.changes
    assert [(one.key, one.before, one.after) for one in change.differences] == [
        ("tls", '"starttls"', '"implicit"'),
        ("port", "587", "465"),
    ]


def test_names_and_ids_of_tasks_in_a_rule_are_the_same(whole: World) -> None:
    task_id = row(whole, tasks, "second")["id"]
    rule = {"all": [{"tag": "lead"}, {"not": {"event": "open", "task": str(task_id)}}]}
    put(whole, tasks, "intro", recipient_rule=rule)
    assert changed(whole, WHOLE) == []


def test_rules_may_be_text_json_or_a_table(whole: World) -> None:
    for form in ('\'{"tag": "x"}\'', '{ tag = "x" }', '"tag:x"'):
        apply(whole, f"[campaigns.spring.tasks.intro]\nrule = {form}")
        assert row(whole, tasks, "intro")["recipient_rule"] == {"tag": "x"}


def test_tasks_may_stand_before_what_they_follow_and_what_their_rules_name(sqlite_world: World) -> None:
    text = WHOLE[: WHOLE.index("[campaigns.spring.tasks.intro]")] + (
        '[campaigns.spring.tasks.last]\ntemplate_set = "seconds"\nafter = "first"\ndays = 2\n'
        'rule = "sent:autumn/x"\n'
        '[campaigns.spring.tasks.first]\ntemplate_set = "seconds"\nrule = "not sent:last"\n'
        '[campaigns.autumn.tasks.x]\ntemplate_set = "seconds"\nrule = "everyone"\n'
    )
    apply(sqlite_world, text)
    assert changed(sqlite_world, text) == []
    assert changed(sqlite_world, exported(sqlite_world)) == []


class TestLogins:
    SERVICE = (
        '[services.main]\ntype = "smtp"\nhost = "smtp.example.com"\nfrom = "a@example.com"\ndaily_quota = 5\n'
        'username = "anna"\npassword_env = "ANNA"\n'
    )

    def login(self, world: World) -> dict[str, Any]:
        found = row(world, sender_services, "main")
        return KEYS.open(found["credentials"], service_owner(found["id"]))

    def test_passwords_come_from_the_environment_and_are_compared_with_what_is_stored(
        self, sqlite_world: World
    ) -> None:
        sqlite_world = replace(sqlite_world, environ={"ANNA": "first"})
        apply(sqlite_world, self.SERVICE)
        assert self.login(sqlite_world) == {"username": "anna", "password": "first"}
        assert changed(sqlite_world, self.SERVICE) == []
        other = replace(sqlite_world, environ={"ANNA": "other"})
        (change,) = apply(other, self.SERVICE).changes
        assert "other" not in repr(change)
        assert [(one.key, one.after) for one in change.differences] == [("credentials", "new")]
        assert self.login(sqlite_world) == {"username": "anna", "password": "other"}

    def test_where_the_variable_is_not_set_a_stored_password_stays(self, sqlite_world: World) -> None:
        apply(replace(sqlite_world, environ={"ANNA": "first"}), self.SERVICE)
        outcome = apply(sqlite_world, self.SERVICE)
        assert outcome.changes == []
        assert [one.message for one in outcome.warnings] == ["ANNA is not set: its login stays as it is"]
        apply(sqlite_world, self.SERVICE.replace('"anna"', '"bert"'))
        assert self.login(sqlite_world) == {"username": "bert", "password": "first"}

    def test_a_service_whose_login_comes_later_is_frozen_until_then(self, sqlite_world: World) -> None:
        (change,) = apply(sqlite_world, self.SERVICE).changes
        assert "ANNA is not set here: frozen until its login is set" in change.notes[0]
        assert row(sqlite_world, sender_services, "main")["frozen_code"] == FreezeCode.CREDENTIALS
        assert changed(sqlite_world, self.SERVICE) == []
        assert changed(sqlite_world, exported(sqlite_world)) == []
        (change,) = apply(replace(sqlite_world, environ={"ANNA": "x"}), self.SERVICE).changes
        assert change.notes == ("thawed by its new login",)
        assert row(sqlite_world, sender_services, "main")["frozen_code"] is None

    def test_a_login_can_be_taken_away(self, sqlite_world: World) -> None:
        apply(replace(sqlite_world, environ={"ANNA": "first"}), self.SERVICE)
        apply(sqlite_world, "[services.main]\nlogin = false")
        assert row(sqlite_world, sender_services, "main")["credentials"] is None
        assert changed(sqlite_world, "[services.main]\nlogin = false") == []

    def test_a_service_without_a_login_does_not_get_one_from_nowhere(self, whole: World) -> None:
        (mistake,) = mistakes(whole, "[services.main]\nlogin = true")
        assert mistake.message == "it has no login, and none is given here"


class TestStates:
    """What a file asks for is refused where the single command would refuse it, and all of it at once."""

    def test_everything_that_may_not_be_changed_now_is_told_with_its_line(self, world: World) -> None:
        apply(world, WHOLE)
        put(world, campaigns, "spring", status=CampaignStatus.ACTIVE.value)
        put(world, tasks, "intro", status=TaskStatus.SENDING.value, actual_start_time=NOW)
        text = WHOLE.replace("Dear", "Hi").replace("2027-04-01", "2027-05-01").replace("tag:lead", "tag:x")
        text = text.replace('"nickname"', '"company"').replace("intro = 3", "intro = 2")
        before = everything(world)
        found = mistakes(world, text)
        lines = text.splitlines()
        assert [(lines[one.line - 1], re.split(r"[:,] ", one.message)[0]) for one in found] == [
            ("[variables.first_name]", "variable 'first_name' is used by template 'intro'"),
            (
                "[templates.intro]",
                "template 'intro' is in use by task 'spring/intro' and cannot be changed now",
            ),
            (
                "[template_sets.intros]",
                "template set 'intros' is in use by task 'spring/intro' and cannot be changed now",
            ),
            ("[campaigns.spring]", "campaign 'spring' is active"),
            ("[campaigns.spring.tasks.intro]", "task 'intro' is sending"),
        ]
        assert everything(world) == before

    def test_what_is_as_the_file_says_may_be_in_use(self, whole: World) -> None:
        put(whole, campaigns, "spring", status=CampaignStatus.ACTIVE.value)
        put(whole, tasks, "intro", status=TaskStatus.SENDING.value, actual_start_time=NOW)
        assert changed(whole, WHOLE) == []

    def test_a_task_in_a_running_campaign_is_scheduled_at_once_and_the_change_says_so(
        self, whole: World
    ) -> None:
        campaign_use.start(whole.database, whole.actor, "spring", SETTINGS, NOW)
        more = '[campaigns.spring.tasks.more]\ntemplate_set = "seconds"\nrule = "everyone"\n'
        (change,) = apply(whole, more).changes
        assert change.notes == ("its campaign has been started: it is scheduled at once",)
        assert row(whole, tasks, "more")["status"] == TaskStatus.SCHEDULED

    def test_a_scheduled_task_can_still_be_changed(self, world: World) -> None:
        apply(world, WHOLE)
        campaign_use.start(world.database, world.actor, "spring", SETTINGS, NOW)
        apply(world, '[campaigns.spring.tasks.intro]\nrule = "tag:later"\nservices = ["dry"]\n')
        assert row(world, tasks, "intro")["recipient_rule"] == {"tag": "later"}

    def test_a_task_cannot_be_made_to_follow_what_follows_it(self, whole: World) -> None:
        (mistake,) = mistakes(whole, '[campaigns.spring.tasks.intro]\nafter = "second"\ndays = 1\n')
        assert mistake.message == "a task cannot follow itself, nor a task that follows it"

    def test_a_service_keeps_its_type(self, whole: World) -> None:
        (mistake,) = mistakes(whole, '[services.dry]\ntype = "smtp"\n')
        assert "cannot become one of type smtp" in mistake.message


class TestAccess:
    def test_an_operator_creates_what_is_theirs_and_no_services(self, sqlite_world: World) -> None:
        olga = operator(sqlite_world)
        own = '[templates.own]\nsubject = "Hello"\nbody = "<p>Hello</p>"\n'
        apply(olga, own)
        assert row(olga, templates, "own")["created_by"] == olga.actor.id
        (mistake,) = mistakes(
            olga, '[services.new]\ntype = "console"\nfrom = "a@example.com"\ndaily_quota = 1\n'
        )
        assert "only admins may add sender services" in mistake.message

    def test_what_belongs_to_another_user_is_refused_even_where_nothing_would_change(
        self, whole: World
    ) -> None:
        olga = operator(whole)
        found = mistakes(
            olga, "[services.main]\n[templates.intro]\n[template_sets.intros]\n[campaigns.spring]\n"
        )
        assert [one.line for one in found] == [1, 2, 3, 4]
        assert all(re.search("belongs to another user|is not granted", one.message) for one in found)

    def test_a_granted_service_may_be_named_and_not_changed(self, whole: World) -> None:
        olga = operator(whole)
        with olga.database.begin() as connection:
            service = services.find(connection, "main")
            access.grant(connection, olga.actor.id, service["id"], NOW)
        assert changed(olga, "[services.main]\ndaily_quota = 500\n") == []
        (mistake,) = mistakes(olga, "[services.main]\ndaily_quota = 501\n")
        assert "only admins may change sender services" in mistake.message

    @pytest.mark.parametrize(
        "given",
        ['password_env = "RIGHT"', 'password_env = "WRONG"', 'username = "anna"', 'username = "bert"'],
    )
    def test_an_operator_learns_nothing_of_a_login_by_guessing_it(
        self, sqlite_world: World, given: str
    ) -> None:
        stored = replace(sqlite_world, environ={"ANNA": "first", "RIGHT": "first", "WRONG": "other"})
        apply(stored, TestLogins.SERVICE)
        olga = operator(stored)
        with olga.database.begin() as connection:
            access.grant(connection, olga.actor.id, services.find(connection, "main")["id"], NOW)
        (mistake,) = mistakes(olga, f"[services.main]\n{given}\n")
        assert mistake.message == "user 'olga' is an operator: only admins may give a service its login"
        assert changed(olga, '[services.main]\nlogin = true\npassword_env = "UNSET"\n') == []


class TestAllOrNothing:
    def test_a_failure_at_the_end_leaves_nothing(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        before = everything(world)
        document = read(WHOLE, "setup.toml", Path("/"))
        shown = applying.foresee(world, document)
        create = Tasks.create

        def fail(self: Tasks, stage: Any, entry: Any) -> Any:
            create(self, stage, entry)
            raise WrongState("no")

        monkeypatch.setattr(Tasks, "create", fail)
        with pytest.raises(Mistaken):
            applying.carry_out(world, document, shown)
        assert everything(world) == before

    def test_what_would_not_be_what_was_shown_is_not_done(self, world: World) -> None:
        apply(world, WHOLE)
        document = read("[services.main]\ndaily_quota = 7\n", "setup.toml", Path("/"))
        shown = applying.foresee(world, document)
        put(world, sender_services, "main", daily_quota=8)
        with pytest.raises(WrongState, match="changed by somebody else"):
            applying.carry_out(world, document, shown)
        assert row(world, sender_services, "main")["daily_quota"] == 8

    def test_kill_9_in_the_middle_leaves_the_old_state(self, project: Project) -> None:
        project.write("setup.toml", WHOLE)
        script = (
            "import os, signal, sys\n"
            "from coldsend.blueprint.tasks import Tasks\n"
            "from coldsend.cli.main import main\n"
            "create = Tasks.create\n"
            "def stop(*given):\n"
            "    made = create(*given)\n"
            "    if len(calls) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
            "    calls.append(1)\n"
            "    return made\n"
            "calls = []\n"  # twice to show, then in the middle of doing it
            "Tasks.create = stop\n"
            "main(['apply', 'setup.toml', '--yes'])\n"
        )
        process = subprocess.run([sys.executable, "-c", script], cwd=project.folder, check=False, timeout=240)
        assert process.returncode == -signal.SIGKILL
        with project.database.read() as connection:
            for table in (sender_services, templates, campaigns, tasks):
                assert connection.execute(sa.select(table)).first() is None
        assert len(project.json("apply", "setup.toml", "--yes")["changes"]) == 10
