"""What is wrong, or could be better, with a template: everything at once, before anything is sent.

Errors refuse `template add` and `campaign start`; warnings are shown. Whether a recipient's data suffice is
another matter: that is found when a message is composed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence

from coldsend.composing import headers, markup
from coldsend.composing.build import BODY, SUBJECT, TEXT_BODY, PartFault, Reading, build, read
from coldsend.composing.language import Broken, Fault
from coldsend.composing.source import Site, TemplateSource, Variable
from coldsend.composing.variables import CONTACT_COLUMNS, Vocabulary
from coldsend.domain.finding import Finding
from coldsend.domain.states import VariableSource

SUBJECT_LONG, SUBJECT_TOO_LONG = 78, 200
BODY_LARGE, BODY_TOO_LARGE = 100_000, 1_000_000  # bytes; Gmail cuts messages off at 102 KB

_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_ANY_SITE = Site("https://example.com", "-", bytes(32))


def problems(
    template: TemplateSource, variables: Sequence[Variable], fields: Collection[str] | None = None
) -> list[Finding]:
    """All findings, errors first. ``fields``: custom fields contacts have, where that is known."""
    return look(template, variables, fields)[0]


def look(
    template: TemplateSource, variables: Sequence[Variable], fields: Collection[str] | None = None
) -> tuple[list[Finding], list[str]]:
    """All findings, errors first, and what coldsend will add, which is no fault. ``fields``: custom fields
    contacts have, where that is known."""
    errors: list[PartFault] = []
    warnings: list[PartFault] = []
    _sizes(template, errors, warnings)
    if errors:  # it may be no text for people at all: reading it would take minutes
        return [_finding("error", template, item) for item in errors], []
    reading = read(template, Vocabulary(variables))
    errors += reading.faults
    for check in (_subject, _html, _text):
        check(reading, errors, warnings)
    if not errors:
        _compiled(reading, errors)
    if fields is not None:
        warnings.extend(_unknown_fields(reading, fields))
    found = [
        *(_finding("error", template, item) for item in errors),
        *(_finding("warning", template, item) for item in warnings),
    ]
    return found, [] if errors else _notes(reading)


def _notes(reading: Reading) -> list[str]:
    """What coldsend will add to a template without errors."""
    added = []
    link, address = reading.footer_needs(BODY)
    text_link, text_address = reading.footer_needs(TEXT_BODY)
    if link or text_link:
        added.append("an unsubscribe link")
    if address or text_address:
        added.append("the postal address")
    if not added:
        return []
    names = "{{ unsubscribe_url }} and {{ postal_address }}"
    return [f"a footer with {' and '.join(added)} is added; to place them yourself use {names}"]


def _finding(severity: str, template: TemplateSource, item: PartFault) -> Finding:
    line = f", line {item.fault.line}" if item.fault.line else ""
    subject = f"template {template.name!r}, {item.part}{line}"
    return Finding(
        "error" if severity == "error" else "warning", subject, item.fault.message, item.fault.hint
    )


def _subject(reading: Reading, errors: list[PartFault], warnings: list[PartFault]) -> None:
    subject = reading.template.subject
    length = len(_CODE.sub("", subject).strip())
    if length > SUBJECT_TOO_LONG:
        message = f"the subject has {length} characters without its variables, at most {SUBJECT_TOO_LONG}"
        errors.append(PartFault(SUBJECT, Fault(0, message)))
    elif length > SUBJECT_LONG:
        message = f"the subject has {length} characters; mail programs show 40 to {SUBJECT_LONG}"
        warnings.append(PartFault(SUBJECT, Fault(0, message)))
    if re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]", subject):
        errors.append(
            PartFault(SUBJECT, Fault(0, "the subject has a tab or another control character in it"))
        )
    if found := headers.reply_mark(subject):
        message = f"{found!r} says that this answers a message, and it does not"
        errors.append(
            PartFault(SUBJECT, Fault(0, message, "begin the subject with what the message is about"))
        )


def _sizes(template: TemplateSource, errors: list[PartFault], warnings: list[PartFault]) -> None:
    for part, content in ((BODY, template.body), (TEXT_BODY, template.text_body or "")):
        size = len(content.encode("utf-8", "replace"))
        if size > BODY_TOO_LARGE:
            message = f"it has {size:,} bytes, at most {BODY_TOO_LARGE:,}"
            errors.append(PartFault(part, Fault(0, message)))
        elif size > BODY_LARGE:
            message = f"it has {size:,} bytes: Gmail cuts messages off at 102 KB, unsubscribe link and all"
            warnings.append(PartFault(part, Fault(0, message)))


def _html(reading: Reading, errors: list[PartFault], warnings: list[PartFault]) -> None:
    if not reading.template.body.strip():
        errors.append(PartFault(BODY, Fault(0, "the body is empty")))
    for remark in markup.remarks(reading.skeleton, reading.pieces):
        (errors if remark.fatal else warnings).append(PartFault(BODY, remark.fault))


def _text(reading: Reading, errors: list[PartFault], warnings: list[PartFault]) -> None:
    if reading.faults or reading.text_source.strip():
        return
    hint = "write one: --text-file FILE" if reading.template.text_body is None else ""
    where = "derived from the HTML " if reading.template.text_body is None else ""
    errors.append(PartFault(TEXT_BODY, Fault(0, f"the text part {where}is empty", hint)))


def _compiled(reading: Reading, errors: list[PartFault]) -> None:
    """What only shows when the parts are put together: an {% if %} that begins in a link, for example."""
    try:
        build(reading, _ANY_SITE)
    except Broken as broken:
        hint = "keep {% if %} .. {% endif %} wholly inside an attribute, or wholly outside"
        errors.extend(PartFault(BODY, Fault(f.line, f.message, f.hint or hint)) for f in broken.faults)


def _unknown_fields(reading: Reading, fields: Collection[str]) -> list[PartFault]:
    known = {*CONTACT_COLUMNS, *fields}
    found = []
    for name in sorted(reading.names):
        origin = reading.vocabulary.origin(name)
        if (
            origin is None
            or origin.source != VariableSource.CONTACT_FIELD
            or origin.details["field"] in known
        ):
            continue
        near = difflib.get_close_matches(origin.details["field"], known, n=1)
        hint = (
            f"did you mean contact.{near[0]}?"
            if near
            else "recipients without it are skipped, unless a default is given"
        )
        part = next(part for part, usage in reading.usage.items() if name in usage.names)
        message = f"none of the contacts added last has a field {origin.details['field']!r}"
        found.append(PartFault(part, Fault(0, message, hint)))
    return found
