"""The text part derived from a template's HTML, once, with the template's Jinja parts kept in place.

Reads the HTML in order and never moves anything, so that an ``{% if %}`` still stands around what it stood
around. Links read ``text (address)``, lists get dashes or numbers, images their alternative text; style
sheets, titles and hidden elements are left out.
"""

from __future__ import annotations

import re

from coldsend.composing.language import Broken, Fault
from coldsend.composing.skeleton import MARKER, Data, End, Piece, Skeleton, Start

_SILENT = {"head", "style", "script", "title", "template", "noscript"}
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre", "hr"}
_LINES = {
    *("div", "tr", "li", "dt", "dd", "section", "article", "header", "footer", "main", "address", "center"),
    *("figure", "figcaption", "body", "html", "nav", "aside", "fieldset", "form", "caption"),
}
VOID = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track"),
    "wbr",
}
DEEPEST = 10  # levels that lists are indented by
_HIDDEN = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)
_OPENING = re.compile(r"\{[{%#]")
_SPACES = re.compile(r"[ \t\n\r\f]+")


def derive(taken: Skeleton, found: list[Piece]) -> str:
    """The Jinja source of the text part."""
    writer = _Writer()
    for piece in found:
        if isinstance(piece, Data):
            writer.data(piece.text, taken)
        elif isinstance(piece, Start):
            writer.start(piece)
        else:
            writer.end(piece)
    text = taken.restore(writer.text())
    return text.strip("\n") + "\n"


def _as_text_code(code: str) -> str:
    """A Jinja part without whitespace control: lines are laid out here, not by the HTML around it."""
    if not code.startswith("{%") or "raw" in code[:12]:
        return code
    opened = "{%" + code[2:].lstrip("-+")
    # +%}: the line break that follows is wanted, though it is not in HTML.
    return opened.rstrip()[:-2].rstrip("-+") + "+%}"


class _Writer:
    def __init__(self) -> None:
        self._out: list[str] = []
        self._breaks = 2  # line breaks at the end of what is written
        self._wanted = 0  # line breaks owed before the next text
        self._space = False  # a space owed before the next text
        self._silent: list[str] = []  # elements open since the first one that is not shown
        self._links: list[tuple[str, int]] = []
        self._lists: list[int | None] = []  # next number of each open list; None: dashes

    def text(self) -> str:
        return "".join(self._out)

    def data(self, text: str, taken: Skeleton) -> None:
        if self._silent:
            return
        at = 0
        for found in MARKER.finditer(text):
            self._words(text[at : found.start()])
            code = taken.codes[int(found.group(1))]
            if code.startswith("{{"):
                self._put(found.group())
            elif not code.startswith("{#"):
                self._flush()
                self._out.append(_as_text_code(code))
            at = found.end()
        self._words(text[at:])

    def _words(self, text: str) -> None:
        if _OPENING.search(text):
            raise Broken([Fault(0, "the HTML spells '{{', '{%' or '{#' with character references")])
        text = _SPACES.sub(" ", text)
        if text.startswith(" "):
            self._space = True
        if text.strip(" "):
            self._put(text.strip(" "))
            self._space = text.endswith(" ")

    def _put(self, text: str) -> None:
        self._flush()
        self._out.append(text)
        self._breaks = 0

    def _flush(self) -> None:
        """Write the line breaks or the space owed."""
        missing = self._wanted - self._breaks
        if missing > 0:
            self._out.append("\n" * missing)
            self._breaks = self._wanted
        elif self._space and not self._breaks:
            self._out.append(" ")
        self._wanted, self._space = 0, False

    def _break(self, lines: int) -> None:
        self._wanted = max(self._wanted, lines)

    def start(self, piece: Start) -> None:
        if self._silent or piece.tag in _SILENT or _HIDDEN.search(piece.attributes.get("style", "")):
            if piece.tag not in VOID and not piece.closed:
                self._silent.append(piece.tag)
            return
        tag = piece.tag
        if tag == "br":
            self._wanted = max(self._wanted, min(self._breaks, 1)) + 1
            self._space = False
        elif tag == "img":
            self._words(f" {piece.attributes.get('alt', '')} ")
        elif tag in {"td", "th"}:
            self._space = True
        elif tag == "a":
            self._links.append((piece.attributes.get("href", "").strip(), len(self._out)))
        elif tag in {"ul", "ol"}:
            self._break(1 if self._lists else 2)
            self._lists.append(1 if tag == "ol" else None)
        elif tag == "li":
            self._item()
        else:
            self._block(tag)

    def _block(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._break(2)
        elif tag in _LINES:
            self._break(1)

    def _item(self) -> None:
        self._break(1)
        number = self._lists[-1] if self._lists else None
        self._put("  " * min(len(self._lists) - 1, DEEPEST) + ("- " if number is None else f"{number}. "))
        if self._lists and number is not None:
            self._lists[-1] = number + 1

    def end(self, piece: End) -> None:
        if self._silent:
            if piece.tag in self._silent:
                del self._silent[len(self._silent) - 1 - self._silent[::-1].index(piece.tag) :]
            return
        if piece.tag == "a" and self._links:
            self._link(*self._links.pop())
        elif piece.tag in {"ul", "ol"} and self._lists:
            self._lists.pop()
            self._break(1 if self._lists else 2)
        else:
            self._block(piece.tag)

    def _link(self, address: str, since: int) -> None:
        shown = self._since(since, len(address))
        bare = address.removeprefix("mailto:").removeprefix("tel:")
        if not address or address.startswith("#") or shown in {address, bare, bare.rstrip("/")}:
            return
        self._space = bool(shown)
        self._put(f"({bare})" if shown else bare)

    def _since(self, place: int, most: int) -> str:
        """What was written from there on, without spaces around it; not to its end where it is longer."""
        text = ""
        for at in range(place, len(self._out)):
            text = (text + self._out[at]).lstrip()
            if len(text.rstrip()) > most:
                break
        return text.strip()
