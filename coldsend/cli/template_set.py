"""``coldsend template-set``: templates that are sent in turn."""

from __future__ import annotations

from shlex import quote
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.cli import advice
from coldsend.cli.context import current
from coldsend.cli.noun import changes, noun, reads
from coldsend.composing import template_sets as use
from coldsend.composing.template_sets import TemplateSet
from coldsend.stores import template_sets

app = noun("Sets of templates that a task's recipients get in turn.")

Set = Annotated[str, typer.Argument(metavar="SET", help="Name or id of the template set.")]
Named = Annotated[list[str] | None, typer.Argument(metavar="TEMPLATE..", help="Names or ids of templates.")]
Option = Annotated[
    list[str] | None, typer.Option("--template", metavar="TEMPLATE", help="The same, as an option.")
]
Weighted = Annotated[
    list[str] | None,
    typer.Argument(metavar="TEMPLATE[=WEIGHT]..", help="Names or ids of templates; the weight is 1."),
]
WeightedOption = Annotated[
    list[str] | None, typer.Option("--template", metavar="TEMPLATE[=WEIGHT]", help="The same, as an option.")
]


@changes(
    app,
    "coldsend template-set create intros --template intro-a --template intro-b",
    "coldsend template-set create intros --template intro-a=3 --template intro-b=1",
)
def create(
    name: Annotated[str, typer.Argument(help="Name of the new set.")],
    templates: Weighted = None,
    template: WeightedOption = None,
) -> None:
    """Create a set; recipients get its templates in turn, in this order.

    A weight says how many turns a template takes in a round: of every four recipients, intro-a=3 intro-b=1
    gives three the first and one the second.
    """
    run, now = current(), clock.now()
    actor, wanted = run.actor, _both(templates, template)
    made = run.database.run(lambda connection: use.create(connection, actor, name, wanted, now))
    run.out.done(f"template set {made.name!r} created: {_listed(made)}", _document(made))
    if not made.items:
        advice.next_step(run, f"add templates: coldsend template-set add {quote(made.name)} TEMPLATE..")


@reads(app, "coldsend template-set list", name="list")
def list_sets() -> None:
    """List template sets: an operator's own, or all of them for admins."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        rows = template_sets.listed(connection, None if actor.is_admin else actor.id)
        held = {
            row["id"]: TemplateSet(row["id"], row["name"], template_sets.items(connection, row["id"]))
            for row in rows
        }
    columns = {
        "id": "ID#",
        "name": "SET",
        "templates": "TEMPLATES",
        "created_by": "BY",
        "updated_at": "CHANGED (UTC)",
    }
    document = [
        {**{key: row[key] for key in columns if key in row}, **_contents(held[row["id"]])} for row in rows
    ]
    run.out.table(
        [{**row, "templates": _listed(held[row["id"]])} for row in rows],
        columns,
        empty="no template sets yet: coldsend template-set create NAME --template TEMPLATE",
        document=document,
    )


@reads(app, "coldsend template-set show intros")
def show(name: Set) -> None:
    """Show the templates of a set in the order they are sent."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        found = use.owned(connection, actor, name)
        tasks = template_sets.tasks_with(connection, found.id)
    total = sum(found.weights.values())
    rows = [
        {
            "place": place,
            "id": item["template_id"],
            "name": item["name"],
            "subject": item["subject"],
            "weight": item["weight"],
            "share": f"{100 * item['weight'] / total:.0f} %",
        }
        for place, item in enumerate(found.items, start=1)
    ]
    columns = {"place": "PLACE#", "id": "ID#", "name": "TEMPLATE", "weight": "WEIGHT#", "share": "SHARE#"}
    columns |= {"subject": "SUBJECT"}
    document = {"id": found.id, "name": found.name, "templates": rows, "tasks": tasks}
    run.out.table(rows, columns, empty=f"template set {found.name!r} is empty", document=document)


@changes(app, "coldsend template-set add intros intro-c", "coldsend template-set add intros intro-c=2")
def add(name: Set, templates: Weighted = None, template: WeightedOption = None) -> None:
    """Add templates at the end of a set that no open task uses."""
    run, now = current(), clock.now()
    actor, wanted = run.actor, _both(templates, template)
    found = run.database.run(lambda connection: use.add(connection, actor, name, wanted, now))
    run.out.done(f"template set {found.name!r} now holds {_listed(found)}", _document(found))


@changes(
    app,
    "coldsend template-set remove intros intro-c",
    "coldsend template-set remove intros",
)
def remove(name: Set, templates: Named = None, template: Option = None) -> None:
    """Take templates out of a set, or remove the whole set where none is named. Templates themselves stay."""
    run, now = current(), clock.now()
    actor, wanted = run.actor, _both(templates, template)
    if wanted:
        found = run.database.run(lambda connection: use.take_out(connection, actor, name, wanted, now))
        run.out.done(f"template set {found.name!r} now holds {_listed(found)}", _document(found))
        return
    with run.database.read() as connection:
        found = use.owned(connection, actor, name)
    run.out.confirm(f"Remove template set {found.name!r}?")
    found = run.database.run(lambda connection: use.remove(connection, actor, name))
    run.out.done(f"template set {found.name!r} removed", {"id": found.id, "name": found.name})


@changes(app, "coldsend template-set reorder intros intro-b intro-a")
def reorder(name: Set, templates: Named = None, template: Option = None) -> None:
    """Change the order of a set: name all of its templates as they shall follow each other."""
    run, now = current(), clock.now()
    actor, wanted = run.actor, _both(templates, template)
    found = run.database.run(lambda connection: use.reorder(connection, actor, name, wanted, now))
    run.out.done(f"template set {found.name!r} now holds {_listed(found)}", _document(found))


@changes(app, "coldsend template-set weight intros intro-a=3 intro-b=1")
def weight(name: Set, templates: Weighted = None, template: WeightedOption = None) -> None:
    """Change how many turns templates take in a round; those not named keep their weight."""
    run, now = current(), clock.now()
    actor, wanted = run.actor, _both(templates, template)
    found = run.database.run(lambda connection: use.weigh(connection, actor, name, wanted, now))
    run.out.done(f"template set {found.name!r} now holds {_listed(found)}", _document(found))


def _both(named: list[str] | None, options: list[str] | None) -> list[str]:
    return [*(named or ()), *(options or ())]


def _listed(found: TemplateSet) -> str:
    """Its templates, with their weights where these differ."""
    alike = len(set(found.weights.values())) < 2
    shown = found.names if alike else [f"{name}={weight}" for name, weight in found.weights.items()]
    return ", ".join(shown) or "nothing"


def _contents(found: TemplateSet) -> dict[str, Any]:
    return {"templates": found.names, "weights": found.weights}


def _document(found: TemplateSet) -> dict[str, Any]:
    return {"id": found.id, "name": found.name, **_contents(found)}
