"""From a template as written to its three compiled parts: subject, text, HTML.

:func:`read` takes a template apart and finds everything wrong with it; :func:`build` compiles what it read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from jinja2 import UndefinedError, nodes

from coldsend.composing import plain
from coldsend.composing.grammar import Usage, examine
from coldsend.composing.instrument import (
    Instrumented,
    instrument,
    language_of,
    text_footer,
)
from coldsend.composing.language import (
    HTML,
    TEXT,
    TOO_DEEP,
    Broken,
    Fault,
    Rendering,
    TooMuch,
    missing_name,
    parse,
)
from coldsend.composing.skeleton import Piece, Skeleton, Start, pieces, skeleton
from coldsend.composing.source import (
    MISSING_VARIABLE,
    TEMPLATE_ERROR,
    CannotCompose,
    Site,
    TemplateSource,
)
from coldsend.composing.variables import Vocabulary

SUBJECT, BODY, TEXT_BODY = "subject", "body", "text body"

_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*")
# Surrogates come from octets that are not UTF-8 on a command line.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_LOOP = re.compile(r"\{%[-+]?\s*for\b")


@dataclass(frozen=True, slots=True)
class PartFault:
    """A fault and the part of the template it is in."""

    part: str
    fault: Fault

    def __str__(self) -> str:
        line = f" line {self.fault.line}" if self.fault.line else ""
        return f"{self.part}{line}: {self.fault.message}"


@dataclass
class Reading:
    """A template taken apart. Where ``faults`` is empty it can be built.

    usage: what each part uses. text_source: of the text part, written or derived, without its footer.
    """

    template: TemplateSource
    vocabulary: Vocabulary
    usage: dict[str, Usage] = field(default_factory=dict)
    faults: list[PartFault] = field(default_factory=list)
    skeleton: Skeleton = field(default_factory=lambda: Skeleton("", ()))
    pieces: list[Piece] = field(default_factory=list)
    text_source: str = ""

    @property
    def names(self) -> set[str]:
        """Every variable used anywhere, dotted."""
        return set().union(*(usage.names for usage in self.usage.values()))

    @property
    def functions(self) -> set[str]:
        return set().union(*(usage.functions for usage in self.usage.values()))

    def always_prints(self, part: str, system: str) -> bool:
        """Whether a part prints this system variable for every recipient."""
        usage = self.usage.get(part, Usage())
        return any(self.vocabulary.is_system(name, system) for name in usage.always)

    def has_unsubscribe_link(self) -> bool:
        """Whether the HTML always shows a link to the unsubscribe page."""
        return self.always_prints(BODY, "unsubscribe_url") and any(
            self.vocabulary.is_system(name, "unsubscribe_url")
            for piece in self.pieces
            if isinstance(piece, Start) and piece.tag == "a"
            for code in self.skeleton.codes_in(piece.attributes.get("href", ""))
            for name in _IDENTIFIER.findall(code)
        )

    def footer_needs(self, part: str) -> tuple[bool, bool]:
        """What the standard footer must bring to a part: unsubscribe link, postal address."""
        has_link = (
            self.has_unsubscribe_link() if part == BODY else self.always_prints(part, "unsubscribe_url")
        )
        return not has_link, not self.always_prints(part, "postal_address")


def read(template: TemplateSource, vocabulary: Vocabulary) -> Reading:
    """Take a template apart; finds all faults, raises nothing."""
    reading = Reading(template, vocabulary)
    _read_subject(reading)
    _read_body(reading)
    _read_text(reading)
    return reading


def _read_subject(reading: Reading) -> None:
    subject = reading.template.subject
    if "\n" in subject or "\r" in subject:
        reading.faults.append(PartFault(SUBJECT, Fault(0, "the subject has a line break in it")))
    elif not subject.strip():
        reading.faults.append(PartFault(SUBJECT, Fault(0, "the subject is empty")))
    _examine(reading, SUBJECT, subject, html=False)


def _read_body(reading: Reading) -> None:
    if not _examine(reading, BODY, reading.template.body, html=True):
        return
    try:
        reading.skeleton = skeleton(reading.template.body)
    except Broken as broken:
        reading.faults.extend(PartFault(BODY, fault) for fault in broken.faults)
        return
    reading.pieces = pieces(reading.skeleton.text)
    for piece in reading.pieces:
        if isinstance(piece, Start) and piece.tag in {"a", "area"}:
            codes = reading.skeleton.codes_in(piece.attributes.get("href", ""))
            if any(_LOOP.match(code) for code in codes):
                line = reading.skeleton.line(piece.at)
                fault = Fault(line, "a loop cannot stand inside a link's address")
                reading.faults.append(PartFault(BODY, fault))


def _read_text(reading: Reading) -> None:
    written = reading.template.text_body
    if written is not None:
        reading.text_source = written.replace("\r\n", "\n").replace("\r", "\n")
        _examine(reading, TEXT_BODY, reading.text_source, html=False)
    elif not reading.faults:
        try:
            reading.text_source = plain.derive(reading.skeleton, reading.pieces)
            tree = parse(TEXT, reading.text_source)
        except Broken as broken:
            message = f"no text can be derived from the HTML: {broken}"
            fault = Fault(0, message, "write the text part yourself: --text-file FILE")
            reading.faults.append(PartFault(TEXT_BODY, fault))
        else:
            reading.usage[TEXT_BODY] = _used(tree, reading.vocabulary)


def _examine(reading: Reading, part: str, source: str, *, html: bool) -> bool:
    if found := _NO_TEXT.search(source):
        line = source.count("\n", 0, found.start()) + 1
        reading.faults.append(PartFault(part, Fault(line, f"{found.group()!a} is in it, which is no text")))
        return False
    try:
        usage = _used(parse(HTML if html else TEXT, source), reading.vocabulary)
    except Broken as broken:
        reading.faults.extend(PartFault(part, fault) for fault in broken.faults)
        return False
    reading.usage[part] = usage
    reading.faults.extend(PartFault(part, fault) for fault in usage.faults)
    return True


def _used(tree: nodes.Template, vocabulary: Vocabulary) -> Usage:
    try:
        return examine(tree, vocabulary)
    except RecursionError as error:
        raise Broken([Fault(0, TOO_DEEP)]) from error


@dataclass(frozen=True, slots=True)
class Parts:
    """The compiled parts of a template, and what its HTML asks of every recipient."""

    subject: Rendering
    text: Rendering
    html: Rendering
    instrumented: Instrumented


def build(reading: Reading, site: Site) -> Parts:
    """Compile a reading without faults; Broken where a part still cannot be compiled."""
    template, spaces = reading.template, reading.vocabulary.namespaces
    needs_link, needs_address = reading.footer_needs(BODY)
    instrumented = instrument(
        reading.skeleton, reading.pieces, site, needs_link=needs_link, needs_address=needs_address
    )
    needs_link, needs_address = reading.footer_needs(TEXT_BODY)
    footer = text_footer(language_of(reading.pieces), needs_link=needs_link, needs_address=needs_address)
    text = reading.text_source.rstrip("\n") + "\n" + footer

    def rendering(part: str, source: str) -> Rendering:
        environment = HTML if part == BODY else TEXT
        return Rendering(environment, source, spaces, f"template {template.name!r}, {part}")

    return Parts(
        subject=rendering(SUBJECT, template.subject.strip()),
        text=rendering(TEXT_BODY, text),
        html=rendering(BODY, instrumented.source),
        instrumented=instrumented,
    )


def rendered(part: Rendering, values: dict[str, Any]) -> str:
    """A part with these values; CannotCompose names the line where it cannot be rendered."""
    try:
        return part.render(values)
    except CannotCompose:
        raise
    except UndefinedError as error:
        line = part.line_of(error.__traceback__)
        name = missing_name(error)
        detail = f"{name} is missing: {part.label} line {line} gives no default for it"
        hint = f'write {{{{ {name} | default("..") }}}}, or give the contact a value'
        raise CannotCompose(MISSING_VARIABLE, detail, hint=hint) from error
    except TooMuch as error:
        raise CannotCompose(TEMPLATE_ERROR, f"{part.label} renders to too much text") from error
    except Exception as error:
        # A template must not stop a worker, whatever it does.
        line = part.line_of(error.__traceback__)
        raise CannotCompose(TEMPLATE_ERROR, f"{part.label} line {line}: {error}") from error
