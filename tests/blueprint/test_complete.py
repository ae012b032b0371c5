"""Nothing that can be set is forgotten: by an export, by the keys, or by what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.blueprint import toml_text
from coldsend.blueprint.applying import World
from coldsend.blueprint.kind import Kind
from coldsend.blueprint.kinds import KINDS, TASKS
from coldsend.blueprint.mistakes import Mistaken
from coldsend.blueprint.reading import read
from coldsend.database.tables import metadata
from coldsend.domain.experiment import as_json, planned
from tests.architecture.commands import COMMANDS
from tests.blueprint.files import WHOLE, apply, exported, mistakes
from tests.blueprint.test_apply import everything

# What a file says nothing of: who and when, how things stand, and secrets.
NOT_IN_A_FILE = {
    "*": {"id", "created_by", "created_at", "updated_at"},
    "sender_services": {
        "credentials",
        "webhook_secret",
        "used_today",
        "health_status",
        "frozen_code",
        "frozen_reason",
        "cool_down_until",
        "cool_down_reason",
        "last_error_at",
        "last_error",
        "consecutive_errors",
    },
    "campaigns": {"status", "status_reason", "resumed_at"},
    "tasks": {
        "status",
        "status_reason",
        "actual_start_time",
        "actual_end_time",
        "summary_stats",
        "expand_cursor",
        "expand_to",
        "expanded_at",
        "expanded_count",
        "template_ids",
        "enrolled_to",
    },
}

# Another value for each of the other columns, of the row of this id, in an order in which each shows.
ANOTHER: dict[str, tuple[int, dict[str, Any]]] = {
    "sender_services": (
        1,
        {
            "name": "other",
            "type": "console",
            "settings": {"host": "other.example.com", "port": 25, "tls": "none"},
            "from_name": "Ben",
            "from_email": "ben@example.com",
            "daily_quota": 7,
            "throttle_sec": 7,
            "time_zone": "Asia/Tokyo",
            "max_consecutive_errors": 77,
            "ramp": {"start": 1, "step": 2, "since": "2027-01-01"},
            "hourly_quota": 7,
            "domain_quota": 7,
            "jitter_sec": 7,
            "spread_hours": 7,
        },
    ),
    "email_variables": (
        1,
        {
            "variable_key": "other",
            "display_name": "Other",
            "source_details": {"field": "company"},
            "source_type": "CONTACT_TAG",
            "description": "Other",
        },
    ),
    "templates": (2, {"name": "other", "subject": "Other", "body": "<p>Other</p>", "text_body": "Other"}),
    "template_sets": (2, {"name": "other"}),
    "template_set_items": (3, {"template_set_id": 1, "template_id": 1, "order": None, "weight": 7}),
    "campaigns": (
        1,
        {
            "name": "other",
            "start_time": None,
            "time_zone": None,
            "send_window": None,
            "holidays": None,
            "spread": True,
            "stop_on_reply": False,
            "stop_domain_on_reply": False,
            "followups_first": False,
            "new_per_day": None,
        },
    ),
    "tasks": (
        2,
        {
            "campaign_id": None,
            "name": "other",
            "plan_time": datetime(2028, 1, 1, tzinfo=UTC),
            "recipient_rule": {"tag": "other"},
            "template_set_id": 1,
            "follows_days": 7,
            "follows_business_days": True,
            "follows_condition": ["no click"],
            "follows_task_id": None,
            "experiment": as_json(planned("clicks", None, None, None, auto=False)),
        },
    ),
}

# Not a value by itself: the place of a row among others (a test of its own), and what a task belongs to.
PLACES = {
    ("template_set_items", "order"),
    ("tasks", "campaign_id"),
    ("template_set_items", "template_set_id"),
}


def settings_of(table: str) -> set[str]:
    unset = NOT_IN_A_FILE["*"] | NOT_IN_A_FILE.get(table, set())
    return {column.name for column in metadata.tables[table].columns} - unset


@pytest.mark.parametrize("table", ANOTHER)
def test_every_column_is_a_setting_or_known_not_to_be_one(table: str) -> None:
    assert settings_of(table) == ANOTHER[table][1].keys(), "what a new column is must be said above"


@pytest.mark.costly
@pytest.mark.parametrize("table", ANOTHER)
def test_an_export_tells_every_setting(whole: World, table: str) -> None:
    before, found = exported(whole), metadata.tables[table]
    row_id, values = ANOTHER[table]
    for column in values:
        if (table, column) in PLACES:
            continue
        with whole.database.begin() as connection:
            changed = sa.update(found).where(found.c.id == row_id).values({column: values[column]})
            connection.execute(changed)
        after = exported(whole)
        assert after != before, column
        before = after


# Where an option and its key are called differently; "": an export has no such thing.
CALLED = {
    "service": {"webhook_secret_stdin": "", "password_stdin": "login", "token_stdin": "token_env"}
    | {"password_prompt": "login"},
    "campaign": {"window": "send_window"},
    "task": {"service": "services", "min_sample": "experiment", "wait_hours": "experiment"}
    | {"confidence": "experiment", "auto": "experiment"},
    "template": {"no_text": "text", "name": ""},
    "template-set": {"template": "templates"},
    "variable": {"source": "field", "details": "field"},
}
KIND_OF = {kind.noun.replace(" ", "-"): kind for kind in KINDS}


@pytest.mark.parametrize("noun", KIND_OF)
def test_whatever_an_option_sets_is_a_key(noun: str) -> None:
    keys = {key.name for key in KIND_OF[noun].keys}
    for name, command in COMMANDS.items():
        words = name.split()
        if words[0] != noun or words[-1] not in ("add", "create", "update"):
            continue
        for param in command.params:
            if param.param_type_name != "option" or param.name == "help":
                continue
            option = next(one for one in param.opts if one.startswith("--")).removeprefix("--")
            key = CALLED.get(noun, {}).get(option.replace("-", "_"), option.replace("-", "_"))
            assert not key or key in keys, f"{' '.join(words)} --{option}"


def section(kind: Kind) -> str:
    """The header of something that WHOLE has."""
    names = {"services": "main", "variables": "first_name", "templates": "second", "campaigns": "spring"}
    if kind is TASKS:
        return "[campaigns.spring.tasks.second]"
    return toml_text.header(kind.section, names.get(kind.section, "seconds"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.section)
def test_a_value_of_the_wrong_kind_is_told_for_every_key(kind: Kind) -> None:
    for key in kind.keys:
        (mistake,) = read(f"\n{section(kind)}\n{key.name} = [[1]]\n", "f", Path("/nowhere")).mistakes
        assert (mistake.line, mistake.where) == (3, f"{section(kind)} {key.name}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.section)
def test_a_mistake_in_any_section_leaves_everything_as_it_was(sqlite_world: World, kind: Kind) -> None:
    before = everything(sqlite_world)
    text = WHOLE.replace(section(kind), f"{section(kind)}\nstrange = 1", 1)
    with pytest.raises(Mistaken) as caught:
        apply(sqlite_world, text)
    (mistake,) = caught.value.mistakes
    line = text[: text.index("strange")].count("\n") + 1
    assert (mistake.line, mistake.where) == (line, f"{section(kind)} strange")
    assert f"setup.toml:{line} {section(kind)} strange: there is no such key" in caught.value.message
    assert everything(sqlite_world) == before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.section)
def test_a_name_that_is_given_twice_is_told_with_its_line(sqlite_world: World, kind: Kind) -> None:
    text = f"{WHOLE}\n{section(kind)}\n"
    (mistake,) = mistakes(sqlite_world, text)
    assert mistake.line == text.count("\n")
    assert mistake.message.startswith("is not TOML: ")
