"""The events of some tasks, counted: from the roll-ups, and what came in since then from the event log.

To be read in one snapshot, or a block that is counted in between would be missing or count twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from coldsend.analytics.reports.measures import measured
from coldsend.analytics.rollup import of_links
from coldsend.database.engine import Connection
from coldsend.domain import providers
from coldsend.domain.states import EventType
from coldsend.stores import counting, rollups
from coldsend.stores.rollups import Cell, Link

MANY = 2000  # domains of events that are not in the roll-ups yet, above which all domains are read


@dataclass(frozen=True, slots=True)
class Domains:
    """Events by recipient domain: of the largest ones, and of the mailbox providers that are known."""

    largest: dict[str, list[Cell]]
    providers: dict[str, list[Cell]]


def of_tasks(connection: Connection, task_ids: Collection[int]) -> list[Cell]:
    """All events of these tasks."""
    if not task_ids:
        return []
    after = rollups.position(connection)
    found = rollups.counted(connection, task_ids)
    for first, last in counting.blocks(connection, after):
        found += counting.cells(connection, first, last, task_ids)
    return found


def links_of(connection: Connection, task_ids: Collection[int]) -> list[Link]:
    """Clicks on links in messages of these tasks; a link may stand there twice, to be added up."""
    if not task_ids:
        return []
    after = rollups.position(connection)
    found = rollups.links(connection, task_ids)
    for first, last in counting.blocks(connection, after):
        found += of_links(connection, first, last, task_ids)
    return found


def domains_of(connection: Connection, task_ids: Collection[int], count: int) -> Domains:
    """The domains that most messages were accepted for, or refused, and the known providers."""
    if not task_ids:
        return Domains({}, {})
    later = _later(connection, task_ids)
    fresh = {cell.domain for cell in later}
    most = count + len(fresh) if len(fresh) <= MANY else 2**31
    names = fresh.union(rollups.largest_domains(connection, task_ids, most))
    known = rollups.of_domains(connection, task_ids, names | providers.DOMAINS, providers.BEGINNINGS)
    by_domain = {name: cells for name, cells in _by_domain(known + later).items() if _answered(cells)}
    largest = sorted(by_domain, key=lambda name: (-_answered(by_domain[name]), name))[:count]
    by_provider: dict[str, list[Cell]] = {}
    for name, cells in by_domain.items():
        provider = providers.provider_of(name)
        if provider in providers.NAMES:
            by_provider.setdefault(provider, []).extend(cells)
    return Domains({name: by_domain[name] for name in largest}, by_provider)


def of_domain(connection: Connection, task_ids: Collection[int], name: str) -> list[Cell]:
    """All events about recipients at a domain, or at a known provider's domains; by task."""
    if not task_ids:
        return []
    later = _later(connection, task_ids)
    if name not in providers.NAMES:
        known = rollups.of_domains(connection, task_ids, [name], by_task=True)
        return known + [cell for cell in later if cell.domain == name]
    known = rollups.of_domains(connection, task_ids, providers.DOMAINS, providers.BEGINNINGS, by_task=True)
    return [cell for cell in known + later if providers.provider_of(cell.domain) == name]


def _later(connection: Connection, task_ids: Collection[int]) -> list[Cell]:
    after = rollups.position(connection)
    found: list[Cell] = []
    for first, last in counting.blocks(connection, after):
        found += counting.cells(connection, first, last, task_ids, by_domain=True)
    return [cell for cell in found if cell.type != EventType.SEND_API_TRY.value]


def _by_domain(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.domain, []).append(cell)
    return found


def _answered(cells: Iterable[Cell]) -> int:
    """Messages that were accepted, or refused for good."""
    counts = measured(cells)
    return counts["sent"] + counts["refused_hard"] + counts["refused_soft"]
