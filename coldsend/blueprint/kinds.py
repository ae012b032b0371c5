"""All kinds of things a file can describe, in the order they are made: each needs only those before it."""

from __future__ import annotations

from coldsend.blueprint.campaigns import Campaigns
from coldsend.blueprint.kind import Kind
from coldsend.blueprint.services import Services
from coldsend.blueprint.tasks import Tasks
from coldsend.blueprint.template_sets import TemplateSets
from coldsend.blueprint.templates import Templates
from coldsend.blueprint.variables import Variables

CAMPAIGNS = Campaigns()
TASKS = Tasks()

KINDS: tuple[Kind, ...] = (Services(), Variables(), Templates(), TemplateSets(), CAMPAIGNS, TASKS)
