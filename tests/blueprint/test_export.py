"""Exporting: where it was made a file changes nothing; applied to an empty database it comes out the same."""

from __future__ import annotations

import contextlib
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldsend.blueprint import exporting
from coldsend.blueprint.applying import World
from coldsend.blueprint.kind import Stage
from coldsend.blueprint.kinds import CAMPAIGNS
from coldsend.config.secrets import service_owner
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import task_services
from coldsend.database.tables import tasks as task_table
from coldsend.domain import experiment, rule
from coldsend.domain.rotation import Turn
from coldsend.errors import NotAllowed, NotFound
from coldsend.stores import campaigns, services, tasks, template_sets, templates, variables
from tests.audience.rules import rules
from tests.blueprint.files import KEYS, NOW, WHOLE, apply, changed, exported, world_on
from tests.blueprint.test_apply import operator
from tests.conftest import Project

pytestmark = pytest.mark.costly

LETTERS = st.characters(exclude_categories=["C", "Z"], exclude_characters="/<>@&{}#=?")
NAMES = st.text(st.one_of(LETTERS, st.sampled_from("ab -.\"'[]")), min_size=1, max_size=8).map(
    lambda text: f"n{text.strip()}"
)
PLAIN = "allow_plaintext_auth"
PIECES = st.sampled_from(['"', '"""', "'", "\\", "\n", "\r\n", "\t", "[x]", "a = 1", "é", " b"])
TEXTS = st.lists(PIECES, max_size=8).map("".join)
MAYBE_TIME = st.none() | st.integers(0, 10**4).map(
    lambda number: NOW + timedelta(hours=number, microseconds=5)
)


class Setup:
    """Draws a setup and writes it through the stores."""

    def __init__(self, draw: Callable[[Any], Any], connection: Connection) -> None:
        self.draw = draw
        self.connection = connection

    def names(self, least: int, most: int) -> list[str]:
        return list(self.draw(st.lists(NAMES, min_size=least, max_size=most, unique=True)))

    def some(self, ids: list[int], least: int = 0) -> list[int]:
        return list(self.draw(st.lists(st.sampled_from(ids), min_size=least, max_size=3, unique=True)))

    def write(self) -> None:
        service_ids = [self.service(name) for name in self.names(1, 3)]
        for number in range(self.draw(st.integers(0, 3))):
            self.variable(f"v{number}")
        template_ids = [self.template(name) for name in self.names(1, 3)]
        sets = [self.template_set(name, template_ids) for name in self.names(1, 3)]
        names = ["spring", *(name for name in self.names(0, 2) if name != "spring")]
        for name in names:
            self.campaign(name, sets, service_ids, ["intro", "second"] if name == "spring" else [])

    def service(self, name: str) -> int:
        kind, chosen = self.draw(st.sampled_from([
            ("smtp", {"host": "smtp.example.com", "tls": "starttls", "port": 2525, "connections": 3}),
            ("smtp", {"host": "::1", "tls": "none", "port": 25, "connections": 4}),
            ("smtp", {"host": "a.example", "tls": "none", "port": 1, "connections": 4, PLAIN: True}),
            ("console", {"folder": "/var/out", "connections": 1, "reply_to": "a+{token}@example.com"}),
            ("jiguang", {"api_url": "https://api.example.com", "connections": 4}),
        ]))  # fmt: skip
        values = {
            "name": name,
            "type": kind,
            "settings": chosen,
            "from_name": self.draw(st.none() | st.sampled_from(["Anna", '"Quoted"', 'O\\"b', "Ünal, X"])),
            "from_email": "anna@example.com",
            "daily_quota": self.draw(st.integers(0, 10**6)),
            "throttle_sec": self.draw(st.integers(0, 10_000)) / 1000,
            "time_zone": self.draw(st.sampled_from(["UTC", "Asia/Kolkata"])),
            "ramp": self.draw(st.sampled_from([None, {"start": 20, "step": 0, "since": "2027-01-01"}])),
            "hourly_quota": self.draw(st.none() | st.integers(1, 9)),
            "domain_quota": self.draw(st.none() | st.integers(1, 9)),
            "jitter_sec": self.draw(st.integers(0, 10_000)) / 1000,
            "spread_hours": self.draw(st.none() | st.integers(1, 2400).map(lambda number: number / 100)),
            "max_consecutive_errors": self.draw(st.integers(1, 9)),
        }
        service_id = services.add(self.connection, values, NOW)
        if kind == "jiguang" or (kind == "smtp" and self.draw(st.booleans())):
            sealed = KEYS.seal({"username": "u", "password": "geheim"}, service_owner(service_id))
            services.change(self.connection, service_id, {"credentials": sealed}, NOW)
        return service_id

    def variable(self, key: str) -> None:
        source, details = self.draw(st.sampled_from([
            ("CONTACT_FIELD", {"field": "company"}), ("CONTACT_TAG", {"tag": "vip"}),
            ("CONTACT_TAG", {"prefix": "city:"}), ("SYSTEM", {"name": "date"}),
        ]))  # fmt: skip
        values = {"variable_key": key, "display_name": self.draw(NAMES), "source_type": source}
        values |= {"source_details": details, "description": self.draw(st.none() | NAMES), "created_by": 1}
        variables.add(self.connection, values, NOW)

    def template(self, name: str) -> int:
        values = {"name": name, "subject": "About " + self.draw(NAMES), "created_by": 1}
        values |= {"body": f"<p>x{self.draw(TEXTS)}</p>{self.draw(TEXTS)}"}
        values |= {"text_body": self.draw(st.none() | TEXTS.map(lambda text: f"x{text}"))}
        return templates.add(self.connection, values, NOW)

    def template_set(self, name: str, template_ids: list[int]) -> tuple[int, int]:
        set_id = template_sets.add(self.connection, name, 1, NOW)
        chosen = self.some(template_ids)
        if chosen:
            turns = [Turn(one, self.draw(st.integers(1, 5))) for one in chosen]
            template_sets.append(self.connection, set_id, turns, NOW)
        return set_id, len(chosen)

    def campaign(
        self, name: str, sets: list[tuple[int, int]], service_ids: list[int], fixed: list[str]
    ) -> None:
        campaign_id = campaigns.insert(self.connection, name, self.draw(MAYBE_TIME), 1, NOW)
        flags = ("spread", "stop_on_reply", "stop_domain_on_reply", "followups_first")
        values = {flag: self.draw(st.booleans()) for flag in flags}
        values |= {
            "time_zone": self.draw(st.sampled_from([None, "Europe/Berlin"])),
            "send_window": self.draw(st.sampled_from([None, ["mon-fri 09:00-17:00"], ["sun 00:00-24:00"]])),
            "holidays": self.draw(st.sampled_from([None, ["recipient", "DE"], ["US-CA"]])),
            "new_per_day": self.draw(st.none() | st.integers(1, 100)),
        }
        campaigns.change(self.connection, campaign_id, values, NOW)
        made: list[int] = []
        for task in [*fixed, *(name for name in self.names(0, 3) if name not in fixed)]:
            made.append(self.task(campaign_id, task, sets, made))
        if len(made) > 1 and self.draw(st.booleans()):  # the first follows the last, which was made after it
            self.follow(made[0], made[-1])
            for other in made[1:]:
                self.follow(other, None)
        t = task_table.c  # follow-ups keep the service of the message before
        firsts = sa.select(t.id).where(t.campaign_id == campaign_id, t.follows_task_id.is_(None))
        for first in self.connection.execute(firsts.order_by(t.id)).scalars().all():
            rows = [{"task_id": first, "sender_service_id": one} for one in self.some(service_ids)]
            if rows:
                self.connection.execute(sa.insert(task_services), rows)

    def task(self, campaign_id: int, name: str, sets: list[tuple[int, int]], before: list[int]) -> int:
        set_id, size = self.draw(st.sampled_from(sets))
        compared = size > 1 and self.draw(st.booleans())
        goal = self.draw(st.sampled_from(experiment.Goal))
        asked = experiment.planned(goal, self.draw(st.none() | st.integers(10, 99)), None, 97.5, auto=False)
        values = {
            "campaign_id": campaign_id,
            "name": name,
            "plan_time": self.draw(MAYBE_TIME),
            "recipient_rule": rule.to_json(self.draw(rules)),
            "template_set_id": set_id,
            "experiment": experiment.as_json(asked) if compared else None,
            "created_by": 1,
        }
        task_id = tasks.insert(self.connection, values, [], NOW)
        if before and self.draw(st.booleans()):
            self.follow(task_id, self.draw(st.sampled_from(before)))
        return task_id

    def follow(self, task_id: int, before: int | None) -> None:
        values: dict[str, Any] = {"follows_task_id": before, "follows_days": 0, "follows_condition": None}
        if before is not None:
            conditions = st.sampled_from([None, ["no reply", "clicked"], ["replied:interested"]])
            values |= {
                "follows_days": self.draw(st.integers(1, 365)),
                "follows_condition": self.draw(conditions),
            }
        self.connection.execute(sa.update(task_table).where(task_table.c.id == task_id).values(**values))


@contextlib.contextmanager
def empty_world(migrated: Path, file: Path) -> Iterator[World]:
    shutil.copy(migrated, file)
    database = Database(f"sqlite:///{file}")
    try:
        yield world_on(database)
    finally:
        database.dispose()


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_setup_is_the_same_after_a_round_through_a_file(
    request: pytest.FixtureRequest, tmp_path: Path, data: st.DataObject
) -> None:
    migrated = request.getfixturevalue("_sqlite_migrated")
    with empty_world(migrated, tmp_path / "one.db") as one:
        with one.database.begin() as connection:
            Setup(data.draw, connection).write()
        text = exported(one)
        assert changed(one, text) == []
        assert "geheim" not in text
        with empty_world(migrated, tmp_path / "two.db") as two:
            apply(two, text)
            assert exported(two) == text


def test_a_setup_comes_back_from_its_own_export(world: World) -> None:
    apply(world, WHOLE)
    text = exported(world)
    assert changed(world, text) == []
    assert tomllib.loads(text)["campaigns"]["spring"]["tasks"]["second"] == {
        "template_set": "seconds",
        "rule": "everyone",
        "after": "intro",
        "days": 3,
        "business_days": False,
        "if": ["no reply"],
    }


def test_templates_can_be_files_beside_it(world: World, folder: Path) -> None:
    apply(world, WHOLE)
    apply(world, '[templates.odd]\nsubject = "Odd"\nbody = "<p>a\\r\\nb</p>"\n')
    apply(world, '[templates."..ä ."]\nsubject = "Dots"\nbody = "<p>a</p>"\n')
    made = exporting.export(world, (), "texts")
    assert {"texts/intro.html", "texts/second.html", "texts/second.txt"} <= made.files.keys()
    assert "texts/odd.html" not in made.files  # its line ends would not survive
    for path, content in made.files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8", newline="")
    assert changed(world, made.text, folder) == []


class TestChosenCampaigns:
    OTHER = (
        '[templates.other]\nsubject = "Other"\nbody = "<p>Other</p>"\n'
        '[template_sets.others]\ntemplates = ["other"]\n'
        '[campaigns.autumn.tasks.x]\ntemplate_set = "others"\nservices = ["dry"]\n'
        'rule = "sent:spring/intro"\n'
    )

    def test_a_campaign_comes_with_what_it_needs_and_nothing_else(self, world: World) -> None:
        apply(world, WHOLE + self.OTHER)
        found = tomllib.loads(exported(world, "autumn"))
        assert {section: list(names) for section, names in found.items()} == {
            "services": ["dry"],
            "templates": ["other"],
            "template_sets": ["others"],
            "campaigns": ["autumn"],
        }
        assert list(tomllib.loads(exported(world, "spring"))["variables"]) == ["first_name"]

    def test_tasks_of_other_campaigns_that_a_rule_names_are_told_of(self, sqlite_world: World) -> None:
        apply(sqlite_world, WHOLE + self.OTHER)
        (note,) = exporting.export(sqlite_world, ("autumn",)).notes
        assert note == "task 'autumn/x': its rule names 'spring/intro', which is not in the file"

    def test_a_campaign_that_is_not_there_is_not_exported(self, sqlite_world: World) -> None:
        with pytest.raises(NotFound):
            exported(sqlite_world, "winter")


def test_what_is_applied_meanwhile_is_in_it_whole_or_not_at_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = CAMPAIGNS.all

    def after_somebody_else(stage: Stage) -> Any:
        monkeypatch.undo()
        apply(world, WHOLE)
        return listed(stage)

    monkeypatch.setattr(CAMPAIGNS, "all", after_somebody_else)
    assert tomllib.loads(exporting.export(world).text) == {}


def test_an_operator_exports_what_is_theirs(whole: World) -> None:
    olga = operator(whole)
    assert list(tomllib.loads(exported(olga))) == ["variables"]  # they are shared
    with pytest.raises(NotAllowed):
        exported(olga, "spring")


def test_secrets_are_told_of_and_not_written(sqlite_world: World) -> None:
    world = replace(sqlite_world, environ={"PW": "geheim"})
    service = '[services.in]\ntype = "smtp"\nhost = "h.example"\nfrom = "a@example.com"\ndaily_quota = 1\n'
    apply(world, f'{WHOLE}{service}username = "anna"\npassword_env = "PW"\n')
    made = exporting.export(world)
    assert made.notes == ("service 'in': its login is set and is not in the file",)
    assert "geheim" not in made.text
    assert 'anna"' not in made.text
    assert "login = true\n# Its login is not in this file" in made.text


def test_the_command_writes_files_and_asks_before_it_writes_over_them(project: Project) -> None:
    project.write("setup.toml", WHOLE)
    project.run("apply", "setup.toml", "--yes")
    project.run("export", "--out", "out/copy.toml", "--bodies", "out/texts")
    assert (project.folder / "out" / "texts" / "intro.html").is_file()
    assert 'body_file = "texts/intro.html"' in (project.folder / "out" / "copy.toml").read_text()
    assert project.json("apply", "out/copy.toml")["changes"] == []
    assert project.run("export", "--out", "out/copy.toml", check=False).code == 2
    text = project.run("export", "spring").out
    assert project.json("apply", "-", stdin=text)["changes"] == []
    assert project.json("export", "spring")["text"] == text
