"""What `service release` does: who waits for a service that will not send again is freed for others."""

from __future__ import annotations

from shlex import quote

from coldsend.cli import advice
from coldsend.cli.advice import people
from coldsend.cli.context import Run
from coldsend.domain.states import HealthStatus
from coldsend.planning import releasing
from coldsend.planning.releasing import Found

SHOWN = 10


def release(run: Run, name: str, campaign: str | None) -> None:
    actor = run.actor
    found = releasing.find(run.database, actor, name, campaign)
    run.out.confirm(_question(found))
    released = releasing.release(run.database, actor, found)
    service = found.service.name
    document = {
        "service": service,
        "released": released,
        "tasks": [
            {"task": one.task, "recipients": one.recipients, "services": list(one.others)}
            for one in found.held
        ],
        "left": [{"task": one.task, "recipients": one.recipients} for one in found.stuck],
    }
    run.out.done(f"{people(released)} freed from service {service!r}", document)
    for one in found.stuck:
        left = f"left as they are: {people(one.recipients)} of {one.task!r}"
        advice.next_step(run, f"{left}, which may use no other service")


def _question(found: Found) -> str:
    service = found.service
    active = service.health_status == HealthStatus.ACTIVE
    shown = [
        f"  {one.task}: {one.recipients:,}, through {', '.join(map(repr, one.others))}" for one in found.held
    ]
    more = len(shown) - SHOWN
    if more > 0:
        shown[SHOWN:] = [f"  and those of {more:,} more tasks"]
    note = f"\nIt is not frozen: it may send to them yet (coldsend service show {quote(service.name)})."
    return (
        f"{people(found.recipients)} wait for service {service.name!r} and would be free for others, "
        "from another sender address:\n" + "\n".join(shown) + (note if active else "") + "\nFree them?"
    )
