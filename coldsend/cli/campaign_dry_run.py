"""``coldsend campaign dry-run``: what would go out, in files, and who would get nothing."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

from coldsend import clock
from coldsend.cli import advice
from coldsend.cli.context import Run
from coldsend.composing.source import site_of
from coldsend.domain.access import require_owner
from coldsend.errors import NotFound
from coldsend.planning import dry_run as use
from coldsend.planning.dry_run import TaskResult, Wanted
from coldsend.planning.dry_run_files import INDEX, Folder
from coldsend.stores import campaigns, signing_keys, tasks


def run_dry(run: Run, campaign: str, out: Path, limit: int | None, task: str | None) -> None:
    """Compose everything into ``out``, and tell what came of it."""
    actor, now = run.actor, clock.now()
    with run.database.read() as connection:
        row = campaigns.find(connection, campaign)
        require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
        wanted = Wanted(
            row,
            site_of(run.settings, signing_keys.load(connection, run.keys, "links")),
            run.keys,
            run.settings.dkim.expire_days,
            None if task is None else _task_id(connection, row, task),
            limit,
        )
        with Folder(out) as folder:
            results = use.run(connection, wanted, folder, now)
    _tell(run, out, results, folder, {"campaign": row["name"]})


def _task_id(connection: Any, campaign: Any, given: str) -> int:
    for row in tasks.listed(connection, campaign_id=campaign["id"]):
        if given in (row["name"], str(row["id"]), f"{campaign['name']}/{row['name']}"):
            return int(row["id"])
    raise NotFound(
        f"campaign {campaign['name']!r} has no task {given!r}",
        hint=f"see: coldsend campaign show {quote(campaign['name'])}",
    )


def _tell(run: Run, out: Path, results: list[TaskResult], folder: Folder, document: dict[str, Any]) -> None:
    rows = [
        {
            "task": result.task,
            "written": result.by_template.total(),
            "skipped": result.by_reason.total(),
            "by_template": dict(result.by_template),
            "by_service": dict(result.by_service),
            "by_reason": dict(result.by_reason),
        }
        for result in results
    ]
    totals = {key: sum(int(str(row[key])) for row in rows) for key in ("written", "skipped")}
    document |= {"out": out, "index": out / INDEX, **totals, "tasks": rows}
    if run.json:
        run.out.data({**document, "first_skipped": folder.first_skipped})
        return
    columns = {"task": "TASK", "written": "MESSAGES#", "skipped": "SKIPPED#", "why": "WHY SKIPPED"}
    columns |= {"through": "THROUGH"}
    shown = [
        {**row, "why": _counted(result.by_reason), "through": _counted(result.by_service)}
        for row, result in zip(rows, results, strict=True)
    ]
    run.out.table(shown, columns, empty="there is nothing to send")
    if folder.first_skipped:
        run.out.console.print()
        heads = {"email": "SKIPPED", "task": "TASK", "reason": "REASON", "detail": "DETAIL"}
        run.out.table(folder.first_skipped, heads, empty="")
    advice.next_step(
        run, f"nothing was sent; {totals['written']:,} messages are in {out}, all of it in {INDEX}"
    )


def _counted(counts: Any) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
