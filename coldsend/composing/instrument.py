"""Prepare a template's HTML for sending: tracked links, open pixel, footer, a document around a fragment.

All of it happens once, in the template's source, without adding a line: lines in errors stay those of the
author. ``<a href="http(s)://..">`` goes through the click redirect, unless the tag carries
``data-no-track`` (which is taken out) or leads to the unsubscribe page. A link whose address is only known
per recipient is checked, and tracked, when it is rendered.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from urllib.parse import quote

from coldsend.composing.skeleton import MARKER, Piece, Skeleton, Start, attribute_spans
from coldsend.composing.source import Site

NO_TRACK = "data-no-track"

# "Unsubscribe" where the template names its language (<html lang="..">) and brings no footer of its own.
UNSUBSCRIBE = {
    "en": "Unsubscribe",
    "de": "Abmelden",
    "es": "Darse de baja",
    "fr": "Se désabonner",
    "he": "הסרה מרשימת התפוצה",
    "ar": "إلغاء الاشتراك",
    "ja": "配信停止",
    "ko": "수신 거부",
    "pt": "Cancelar inscrição",
    "ru": "Отписаться",
    "zh": "退订",
}
_RIGHT_TO_LEFT = {"he", "ar", "fa", "ur"}


@dataclass(frozen=True, slots=True)
class Instrumented:
    """source: the Jinja source to compile. targets: URLs behind ``_click_0``, ``_click_1`` .. in it.

    dynamic: it has links whose address is only known per recipient.
    """

    source: str
    targets: tuple[str, ...]
    dynamic: bool


def language_of(found: list[Piece]) -> str:
    """The language the template says it is in ("zh" of ``<html lang="zh-CN">``), else "en"."""
    for piece in found:
        if isinstance(piece, Start) and piece.tag == "html":
            named = piece.attributes.get("lang", "").split("-")[0].lower()
            return named if named in UNSUBSCRIBE or named in _RIGHT_TO_LEFT else "en"
    return "en"


def instrument(
    taken: Skeleton, found: list[Piece], site: Site, *, needs_link: bool, needs_address: bool
) -> Instrumented:
    """The source to compile. ``needs_link``, ``needs_address``: what the footer must bring."""
    targets: dict[str, int] = {}  # URL -> its number
    edits: list[tuple[int, int, str]] = []
    dynamic = False
    for piece in found:
        if isinstance(piece, Start) and piece.tag in {"a", "area"}:
            edits.extend(_without_mark(piece))
            edit, is_dynamic = _link_edit(piece, taken, site, targets)
            edits.extend(edit)
            dynamic = dynamic or is_dynamic
    tail = _footer(language_of(found), needs_link=needs_link, needs_address=needs_address)
    if site.track_opens:
        tail += _pixel(site.base_url)
    end = _end_of_body(taken.text)
    edits.append((end, end, tail))
    text = _edited(taken.text, edits)
    if not any(isinstance(piece, Start) and piece.tag in {"html", "body"} for piece in found):
        head = '<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>'
        text = f"{head}{text}</body></html>"
    return Instrumented(taken.restore(text).rstrip("\n") + "\n", tuple(targets), dynamic)


def _without_mark(tag: Start) -> list[tuple[int, int, str]]:
    return [
        (tag.at + span.start, tag.at + span.end, "")
        for name, span in attribute_spans(tag.raw)
        if name == NO_TRACK
    ]


def _link_edit(
    tag: Start, taken: Skeleton, site: Site, targets: dict[str, int]
) -> tuple[list[tuple[int, int, str]], bool]:
    """The change to one link's address, and whether it is known only per recipient."""
    span = next((span for name, span in attribute_spans(tag.raw) if name == "href"), None)
    address = tag.attributes.get("href", "").strip()
    if span is None or not address:
        return [], False
    start, end = tag.at + span.value_start, tag.at + span.value_end
    if MARKER.search(address):
        written = taken.text[start:end].strip("\"'")
        if NO_TRACK in tag.attributes:
            written = f"{{% filter _check_link %}}{written}{{% endfilter %}}"
        else:
            written = f"{{% filter _link %}}{written}{{% endfilter %}}"
        return [(start, end, f'"{written}"')], True
    if not site.track_clicks or NO_TRACK in tag.attributes or not is_web_address(address):
        return [], False
    token = f"{{{{ _click_{targets.setdefault(address, len(targets))} }}}}"
    return [(start, end, f'"{html.escape(site.base_url)}/c/{token}?u={quote(address, safe="")}"')], False


def is_web_address(address: str) -> bool:
    return address[:8].lower().startswith(("http://", "https://"))


def _footer(language: str, *, needs_link: bool, needs_address: bool) -> str:
    lines = []
    if needs_address:
        lines.append("{{ _postal_address }}")
    if needs_link:
        label = html.escape(UNSUBSCRIBE.get(language, UNSUBSCRIBE["en"]))
        # Mid-grey, and no colour behind it: legible on white and on the black of dark mode.
        lines.append(f'<a href="{{{{ _unsubscribe_url }}}}" style="color:#767676">{label}</a>')
    if not lines:
        return ""
    direction = ' dir="rtl"' if language in _RIGHT_TO_LEFT else ""
    style = "margin:32px 0 0;padding:16px 0 0;border-top:1px solid #999999;"
    style += "font:13px/20px Arial,Helvetica,sans-serif;color:#767676"
    return f'<div{direction} style="{style}">{"<br>".join(lines)}</div>'


def text_footer(language: str, *, needs_link: bool, needs_address: bool) -> str:
    """The same for the text part."""
    lines = ["{{ _postal_address }}\n"] if needs_address else []
    if needs_link:
        label = UNSUBSCRIBE.get(language, UNSUBSCRIBE["en"])
        lines.append(f"{label}: {{{{ _unsubscribe_url }}}}\n")
    return "\n" + "".join(lines) if lines else ""


def _pixel(base_url: str) -> str:
    """The open pixel: a background, and for Outlook on Windows, which has none, a picture.

    As a picture for everybody it would make short messages look like those that are nothing but a picture:
    SpamAssassin gives HTML of less than 3,200 octets with any <img> in it up to 2.8 points.
    """
    address = f"{html.escape(base_url)}/o/{{{{ _open }}}}.gif"
    picture = f'<!--[if mso]><img src="{address}" width="1" height="1" alt=""><![endif]-->'
    return f"<div style=\"width:1px;height:1px;background:url('{address}')\">{picture}</div>"


_BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)
_HTML_END = re.compile(r"</html\s*>\s*\Z", re.IGNORECASE)


def _end_of_body(text: str) -> int:
    """Where the footer goes: before the last ``</body>``, else before ``</html>``, else at the end."""
    ends = list(_BODY_END.finditer(text))
    if ends:
        return ends[-1].start()
    closing = _HTML_END.search(text)
    return closing.start() if closing else len(text.rstrip())


def _edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    parts: list[str] = []
    position = 0
    for start, end, new in sorted(edits):
        parts += [text[position:start], new]
        position = end
    return "".join([*parts, text[position:]])
