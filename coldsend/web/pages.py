"""The pages people see: one form of page in several languages, without scripts, cookies or third parties.

The style stands in the page, and the Content-Security-Policy names its hash; nothing else is allowed.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from coldsend.web.wording import chosen, languages

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "page.css").read_text("utf-8").strip()
_TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    (_FOLDER / "page.html").read_text("utf-8")
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

# Of every answer of the web part that is no pixel and no redirect.
HEADERS = {
    "Cache-Control": "no-store, private",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


def language_of(request: Request) -> str:
    return chosen(request.query_params.get("lang", ""), request.headers.get("accept-language", ""))


def page(
    request: Request,
    name: str,
    *,
    status: int = 200,
    text: str = "",
    asks: bool = False,
    undo: str = "",
    sender: str = "",
) -> HTMLResponse:
    """A page. name: of its texts, as "done" of ``done_title``. text: key of its text where it is not
    NAME_text.

    asks: with the form that unsubscribes. undo: what the form that takes it back carries. sender: who writes.
    """
    language = language_of(request)
    texts = languages()[language]
    html = _TEMPLATE.render(
        language=language,
        languages=languages(),
        texts=texts,
        title=getattr(texts, f"{name}_title"),
        text=getattr(texts, text or f"{name}_text"),
        style=Markup(_STYLE),  # noqa: S704 - our own
        asks=asks,
        undo=undo,
        sender=sender,
        offers=request.method in {"GET", "HEAD"},  # else the language of an answer would lose the answer
    )
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    if status == 503:
        headers["Retry-After"] = "60"
    return HTMLResponse(html, status, {**HEADERS, **headers})
