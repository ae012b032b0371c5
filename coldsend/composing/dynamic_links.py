"""Links whose address is only known per recipient: checked, and sent through the click redirect."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup, escape

from coldsend.composing.instrument import is_web_address
from coldsend.composing.source import TEMPLATE_ERROR, CannotCompose, Site
from coldsend.composing.tokens import Kind, Tokens

_SCHEME = re.compile(r"(?:https?://[^\s/]|mailto:[^\s]|tel:[+\d]|sms:[+\d]|#)[^\s]*", re.IGNORECASE)


@dataclass(slots=True)
class DynamicLink:
    """Makes the links of one recipient, as the compiled template calls it."""

    template: str
    site: Site
    tokens: Tokens
    row_id: int
    unsubscribe_url: str

    def __call__(self, address: str, *, track: bool) -> Markup:
        """The address as it stands in HTML, tracked where it may be; CannotCompose where it leads nowhere."""
        url = html.unescape(address).strip()
        if not _SCHEME.fullmatch(url):
            raise CannotCompose(
                TEMPLATE_ERROR,
                f"a link of template {self.template!r} leads to {url[:80]!r} for this recipient: it must "
                "begin with https://, mailto: or tel:",
            )
        if track and self.site.track_clicks and is_web_address(url) and url != self.unsubscribe_url:
            token = self.tokens.issue(Kind.CLICK, self.row_id, url)
            url = f"{self.site.base_url}/c/{token}?u={quote(url, safe='')}"
        return escape(url)
