"""The setups that ship can be applied, are sound, and can be started."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from coldsend.blueprint.applying import World
from coldsend.blueprint.kinds import KINDS
from coldsend.blueprint.reading import read
from coldsend.planning import campaigns
from tests.blueprint.files import NOW, SETTINGS, apply, changed

pytestmark = pytest.mark.costly

FOLDER = Path(__file__).parents[2] / "templates_examples"
SETUPS = sorted(FOLDER.glob("*.toml"))


def test_there_are_setups() -> None:
    assert len(SETUPS) >= 2


@pytest.mark.parametrize("file", SETUPS, ids=lambda file: file.stem)
def test_a_setup_is_applied_without_a_warning_and_its_campaign_starts(
    sqlite_world: World, file: Path
) -> None:
    text = file.read_text(encoding="utf-8")
    world = replace(sqlite_world, environ={"RETURNS_SMTP_PASSWORD": "x"})
    assert apply(world, text, FOLDER).warnings == []
    assert changed(world, text, FOLDER) == []
    for name in tomllib.loads(text)["campaigns"]:
        assert campaigns.start(world.database, world.actor, name, SETTINGS, NOW).tasks
    assert changed(world, text, FOLDER) == []


def test_a_key_that_is_taken_away_is_not_taken_away_again(sqlite_world: World) -> None:
    apply(sqlite_world, "\n".join(file.read_text(encoding="utf-8") for file in SETUPS), FOLDER)
    sections = {"services": ["returns"], "campaigns": ["returns"], "variables": ["first_name"]}
    cleared = "".join(
        f"[{kind.section}.{name}]\n" + "".join(f'{key.name} = ""\n' for key in kind.keys if key.clears)
        for kind in KINDS
        for name in sections.get(kind.section, ())
    )
    assert 'spread_hours = ""' in cleared
    apply(sqlite_world, cleared)
    assert changed(sqlite_world, cleared) == []


def test_every_key_has_a_place_in_the_documentation() -> None:
    page = (FOLDER.parent / "docs" / "apply.md").read_text(encoding="utf-8")
    for kind in KINDS:
        for key in kind.keys:
            assert f"| `{key.name}` | {key.shape} | {key.about}" in page, key.name


def test_names_of_keys_are_read_from_a_file_as_they_are_documented() -> None:
    for kind in KINDS:
        path = "campaigns.x.tasks.y" if kind.section == "tasks" else f"{kind.section}.x"
        for key in kind.keys:
            found = read(f"[{path}]\n{key.name} = []\n", "f", Path("/nowhere")).mistakes
            assert not any("no such key" in mistake.message for mistake in found), key.name
