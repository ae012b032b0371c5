"""Compiled templates of a worker, one for each template and sender; loaded in the database thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from coldsend.composing.compose import Composer, composer
from coldsend.composing.dkim import Signer
from coldsend.composing.load import load_template, load_variables
from coldsend.composing.source import TEMPLATE_ERROR, CannotCompose, Site, TemplateSource, Variable
from coldsend.database.engine import Connection
from coldsend.delivery.attempt import Claim, recipient_of
from coldsend.domain.service import Service
from coldsend.errors import ColdsendError
from coldsend.stores import templates

MOST_TEMPLATES = 500  # held at once; bounds the memory of a process that runs for months


@dataclass
class Composers:
    """Templates of sending tasks cannot be edited; ``drop`` forgets those edited while a task was paused."""

    site: Site
    _sources: dict[int, TemplateSource] = field(default_factory=dict)
    _stamps: dict[int, datetime] = field(default_factory=dict)
    _variables: list[Variable] = field(default_factory=list)
    _compiled: dict[tuple[object, ...], Composer] = field(default_factory=dict)

    def missing(self, template_ids: Iterable[int]) -> set[int]:
        """Those of these templates that were not read yet."""
        return {template_id for template_id in template_ids if template_id not in self._sources}

    def load(self, connection: Connection, template_ids: Iterable[int]) -> None:
        """Read templates, and with them the variables as they are now."""
        wanted = sorted(template_ids)
        if len(self._sources) > MOST_TEMPLATES:
            self.drop(list(self._sources))  # those still in use are read again
        self._variables = load_variables(connection)
        self._stamps |= templates.stamps(connection, wanted)
        for template_id in wanted:
            self._sources[template_id] = load_template(connection, template_id)

    def edited(self, connection: Connection, known: Mapping[int, datetime]) -> set[int]:
        """Which of these templates have changed since: a paused task may be mended and resumed."""
        now = templates.stamps(connection, sorted(known))
        return {template_id for template_id, stamp in known.items() if now.get(template_id) != stamp}

    def known(self) -> dict[int, datetime]:
        """Templates read so far, and when they were last edited as of then."""
        return dict(self._stamps)

    def drop(self, template_ids: Iterable[int]) -> None:
        """Read these anew when they are needed next."""
        for template_id in template_ids:
            self._sources.pop(template_id, None)
            self._stamps.pop(template_id, None)
            for key in [key for key in self._compiled if key[0] == template_id]:
                del self._compiled[key]

    def get(self, template_id: int, service: Service, signer: Signer | None) -> Composer | str | None:
        """The composer of a template for a sender; a sentence if it is broken, None if it was not read."""
        key = (template_id, service.id, service.from_email, service.from_name, str(service.settings), signer)
        if key not in self._compiled:
            source = self._sources.get(template_id)
            if source is None:
                return None
            try:
                self._compiled[key] = composer(source, self._variables, service, self.site, signer)
            except ColdsendError as error:
                self.drop([template_id])  # it, or a variable, may have been mended when it is asked for again
                return error.message
        return self._compiled[key]

    def first_subject(self, claim: Claim, service: Service, signer: Signer | None) -> str | None:
        """The subject of the thread a claim answers, rendered once more from the template of its first
        message; None where that was not read. CannotCompose where it cannot be made again."""
        thread = claim.thread
        if thread is None or thread.template_id is None:
            return None
        first = self.get(thread.template_id, service, signer)
        if first is None:
            return None
        what = "the subject of the message it follows cannot be made again"
        if isinstance(first, str):
            raise CannotCompose(TEMPLATE_ERROR, f"{what}: {first}")
        row_id, _message_id = thread.earlier[0]
        try:
            return first.subject(replace(recipient_of(claim), row_id=row_id, thread=None), claim.attempt_at)
        except CannotCompose as error:
            raise CannotCompose(error.reason, f"{what}: {error.detail}", hint=error.hint) from error


def templates_of(claims: Iterable[Claim]) -> set[int]:
    """Those that claims are composed from, and those that the subjects of their threads come from."""
    wanted: set[int] = set()
    for claim in claims:
        wanted.add(claim.row.template_id)
        thread = claim.thread
        if thread is not None and thread.subject is None and thread.template_id is not None:
            wanted.add(thread.template_id)
    return wanted
