"""Names of links that were clicked, by the texts of their templates; each template is read once."""

from __future__ import annotations

from coldsend.database.engine import Connection
from coldsend.domain import links
from coldsend.stores import counting
from coldsend.stores.counting import Click


class LinkNames:
    """For one connection's time: what it was told of a template stays."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sources: dict[int, links.Source] = {}
        self._names: dict[tuple[int, str], str] = {}

    def of(self, click: Click) -> str:
        """The name of the link that a click was on."""
        key = (click.template_id, click.url)
        if key not in self._names:
            self._names[key] = links.label(click.url, self._source(click.template_id))
        return self._names[key]

    def _source(self, template_id: int) -> links.Source:
        if template_id not in self._sources:
            texts = counting.texts_of(self._connection, template_id)
            self._sources[template_id] = links.source(texts)
        return self._sources[template_id]
