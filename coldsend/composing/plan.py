"""How the messages of a template are made quickly: its lines encoded beforehand, values put in.

A plan gives the very same message as rendering the template and encoding what comes out. It is faster because
it does once what would be done for each message. Whatever is out of the ordinary it leaves alone: where
:meth:`Plan.fill` gives None, the message is to be rendered, and that finds what is wrong, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.runtime import Undefined
from markupsafe import escape

from coldsend.composing import mime
from coldsend.composing.build import Parts
from coldsend.composing.language import UNFIT
from coldsend.composing.layout import Atom, Layout, NoLayout, Token, Value
from coldsend.composing.outline import Outline, Path, Printed, outline

MOST_LAYOUTS = 64  # of one part: a template with many choices must not fill the memory

# A value with none of these is fit to be used, has no line break, and is the same in HTML; and the same in
# quoted-printable as long as it is ASCII.
_REMARKABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff{%\\[*<>&\"'=]").search

_STRAIGHT: tuple[Path, list[str]] = ((), [])  # no choices, nothing to compute

Known = Mapping[str, Sequence[str | Token]]


Filled = tuple[str, str, str]  # the subject as it reads, text and HTML part encoded


class _Part:
    """One part: its outline, and a layout for each way through it that a recipient took so far."""

    def __init__(
        self, taken: Outline, transfer: str, known: Known, places: Mapping[Printed, int], *, html: bool
    ) -> None:
        """transfer: the encoding, "" for none. known: what does not depend on a recipient's values."""
        self.outline = taken
        self._transfer = transfer
        self._known = {name: [_escaped(atom) if html else atom for atom in known[name]] for name in known}
        self._places = places
        self._html = html
        self._layouts: dict[Path, Layout | None] = {}

    def written(self, value: str) -> str:
        """A value as it stands in this part, encoded; it must have no line break."""
        return self._encoded(str(escape(value)) if self._html else value)

    def _encoded(self, text: str) -> str:
        return mime.quoted(text) if self._transfer == mime.QUOTED_PRINTABLE else text

    def fill(self, written: list[str], absent: set[int], tokens: str, values: dict[str, Any]) -> str | None:
        """The part for the values ``written`` like this; None where it has to be rendered."""
        path, computed = self.outline.decide(values) if self.outline.decides else _STRAIGHT
        layout = self._layouts.get(path) or self._layout(path)
        if layout is None or (absent and not absent.isdisjoint(layout.values)):
            return None
        if computed:
            if any("\n" in text for text in computed):
                return None
            written = written + [self._encoded(text) for text in computed]
        return layout.fill(tokens, written)

    def _layout(self, path: Path) -> Layout | None:
        if path not in self._layouts and len(self._layouts) < MOST_LAYOUTS:
            self._layouts[path] = self._laid_out(path)
        return self._layouts.get(path)

    def _laid_out(self, path: Path) -> Layout | None:
        atoms: list[Atom] = []
        size = len(self._places)
        for item in self.outline.along(path):
            if isinstance(item, str):
                atoms.append(item)
            elif not isinstance(item, Printed):
                atoms.append(Value(size))  # results stand behind the values that are printed as they are
                size += 1
            elif item.name in self._known:
                atoms += self._known[item.name]
            else:
                atoms.append(Value(self._places[item]))
        try:
            return Layout(atoms, self._transfer, size)
        except NoLayout:
            return None


def _escaped(atom: str | Token) -> str | Token:
    return str(escape(atom)) if isinstance(atom, str) else atom


class Plan:
    """What there is of a template's messages before a recipient is known.

    slots: what :meth:`fill` needs, in order. decides: it needs all variables, too.
    """

    def __init__(
        self, outlines: Sequence[Outline], transfers: tuple[str, str], known: Known, wanted: set[str]
    ) -> None:
        printed = {each for found in outlines for each in found.printed() if each.name not in known}
        self.slots = sorted(printed, key=lambda each: (each.name, each.default or ""))
        places = {each: place for place, each in enumerate(self.slots)}
        self._subject, self._text, self._html = (
            _Part(found, transfer, known, places, html=html)
            for found, transfer, html in zip(outlines, ("", *transfers), (False, False, True), strict=True)
        )
        self._alike = transfers[0] == transfers[1]
        self._defaults = [self._forms(each.default) for each in self.slots]
        # A value that is only looked at has to be fit as well.
        unseen = wanted - {each.name for each in self.slots}
        self.decides = bool(unseen) or any(found.decides for found in outlines)

    def fill(self, found: list[Any], tokens: str, values: dict[str, Any]) -> Filled | None:
        """The message's parts, or None. found: the values of ``slots``; values: all, if it ``decides``.

        Takes ``found`` for itself."""
        plain, text = found, found.copy()
        html = text if self._alike else found.copy()
        absent: set[int] = set()
        for place, value in enumerate(found):
            if value.__class__ is str and value and not _REMARKABLE(value) and not value.isspace():
                if not value.isascii():
                    text[place] = self._text.written(value)
                    html[place] = text[place] if self._alike else self._html.written(value)
                continue
            missing = value is None or isinstance(value, Undefined) or not str(value).strip()
            forms = self._defaults[place] if missing else self._forms(str(value))
            if forms is None:
                if not (missing and self.decides):
                    return None
                absent.add(place)  # nothing is wrong where a branch that is not taken would print it
                forms = ("", "", "")
            if html is text:
                html = text.copy()
            plain[place], text[place], html[place] = forms
        try:
            subject = self._subject.fill(plain, absent, tokens, values)
            text_part = self._text.fill(text, absent, tokens, values)
            html_part = self._html.fill(html, absent, tokens, values)
        except Exception:
            # Rendering will come upon it as well, and say in which line of the template.
            return None
        if subject is None or text_part is None or html_part is None:
            return None
        return subject, text_part, html_part

    def _forms(self, value: str | None) -> tuple[str, str, str] | None:
        """A value as it stands in subject, text and HTML; None where it cannot be used as it is."""
        if value is None or "\n" in value or UNFIT.search(value):
            return None
        return value, self._text.written(value), self._html.written(value)


def plan(parts: Parts, transfers: tuple[str, str], known: Known, wanted: set[str]) -> Plan | None:
    """The plan of a template; None where it has loops.

    transfers: encodings of text and HTML. known: variables that need no value of the recipient. wanted: the
    others. All by their flat names.
    """
    names = known.keys() | wanted
    outlines = [outline(part, names) for part in (parts.subject, parts.text, parts.html)]
    complete = [found for found in outlines if found is not None]
    return Plan(complete, transfers, known, wanted) if len(complete) == len(outlines) else None
