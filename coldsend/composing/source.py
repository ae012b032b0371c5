"""What composing works from: a template as written, the variables defined for it, and the site's facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coldsend.config.settings import Settings
from coldsend.domain.states import VariableSource
from coldsend.errors import Refused


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """A template as its author wrote it. ``text_body`` None: the text part is derived from the HTML."""

    id: int
    name: str
    subject: str
    body: str
    text_body: str | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """A row of ``email_variables``: ``key`` as templates write it, ``details`` as checked on entry."""

    key: str
    source: VariableSource
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """What all messages of an installation share. ``base_url``: where links lead, without a final slash."""

    base_url: str
    postal_address: str
    link_secret: bytes = field(repr=False)
    track_opens: bool = True
    track_clicks: bool = True


def site_of(settings: Settings, link_secret: bytes) -> Site:
    """The site as configured; ``link_secret`` is the signing key for "links"."""
    return Site(
        base_url=settings.web.base_url.rstrip("/"),
        postal_address=settings.postal_address,
        link_secret=link_secret,
        track_opens=settings.delivery.track_opens,
        track_clicks=settings.delivery.track_clicks,
    )


class CannotCompose(Refused):
    """One recipient's message cannot be made; nothing was sent.

    reason is a stable code (``missing_variable``, ``template_error``, ``bad_address``, ``bad_header``),
    detail a sentence that names template, variable and line.
    """

    code = "cannot_compose"

    def __init__(self, reason: str, detail: str, *, hint: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.reason = reason
        self.detail = detail


MISSING_VARIABLE = "missing_variable"
TEMPLATE_ERROR = "template_error"
BAD_ADDRESS = "bad_address"
BAD_HEADER = "bad_header"
