"""Files to apply, and a place to apply them in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coldsend.blueprint import applying, exporting
from coldsend.blueprint.applying import Outcome, World
from coldsend.blueprint.mistakes import Mistake, Mistaken
from coldsend.blueprint.reading import read
from coldsend.config.secrets import KEY_BYTES, KeyRing
from coldsend.database.engine import Database
from coldsend.domain.access import Actor
from coldsend.domain.states import Role
from coldsend.stores import users
from tests.planning.world import SETTINGS

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
KEYS = KeyRing([bytes(KEY_BYTES)])

WHOLE = '''
[services.main]
type = "smtp"
host = "smtp.example.com"
from = "Anna Smith <anna@example.com>"
daily_quota = 500
throttle_sec = 0.5

[services.dry]
type = "console"
from = "dry@example.com"
daily_quota = 10

[variables.first_name]
field = "nickname"

[templates.intro]
subject = "Hello {{ first_name }}"
body = """
<p>Dear {{ first_name }}, <a href="https://example.com">look</a></p>
"""

[templates.second]
subject = "Once more"
body = "<p>Second</p>"
text = "Second"

[template_sets.intros]
templates = ["intro", "second"]
weights = { intro = 3 }

[template_sets.seconds]
templates = ["second"]

[campaigns.spring]
start_at = 2027-04-01T09:00:00+02:00
time_zone = "Europe/Berlin"
send_window = ["mon-fri 09:00-17:00"]
holidays = ["recipient"]
new_per_day = 50

[campaigns.spring.tasks.intro]
template_set = "intros"
rule = "tag:lead and not opened:second"
services = ["main"]
experiment = { goal = "replies", min_sample = 50 }

[campaigns.spring.tasks.second]
template_set = "seconds"
after = "intro"
days = 3
if = ["no reply"]
'''


def world_on(
    database: Database, *, environ: dict[str, str] | None = None, actor: Actor | None = None
) -> World:
    """As admin, unless another actor is given; the admin is made where there is none."""
    with database.begin() as connection:
        if not users.listed(connection):
            users.add(connection, "admin", Role.ADMIN, NOW)
        admin = users.acting(connection, "admin")
    return World(database, actor or admin, SETTINGS, lambda: KEYS, environ or {}, NOW)


def apply(world: World, text: str, folder: Path = Path("/")) -> Outcome:
    """Apply a file as `coldsend apply --yes` does."""
    document = read(text, "setup.toml", folder)
    return applying.carry_out(world, document, applying.foresee(world, document))


def changed(world: World, text: str, folder: Path = Path("/")) -> list[tuple[str, str, str]]:
    """What applying would change: action, kind, name."""
    found = applying.foresee(world, read(text, "setup.toml", folder))
    return [(change.action, change.kind, change.name) for change in found.changes]


def mistakes(world: World, text: str, folder: Path = Path("/")) -> list[Mistake]:
    try:
        applying.foresee(world, read(text, "setup.toml", folder))
    except Mistaken as error:
        return error.mistakes
    return []


def exported(world: World, *campaigns: str, **options: Any) -> str:
    return exporting.export(world, campaigns, **options).text
