"""Recipient rules as operators type them and as tasks store them.

:func:`read` takes either form, JSON or readable text (``audience/rule_text.py``); what is stored is JSON.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from coldsend.audience import rule_json
from coldsend.audience.rule_json import RuleProblem, TaskResolver
from coldsend.audience.rule_text import Parsed, TextProblem, to_text
from coldsend.domain.rule import Rule, to_json
from coldsend.errors import InvalidInput
from coldsend.stores import tasks

TEXT_LIMIT = 1_000_000
SHOWN_BEFORE, SHOWN_AFTER = 50, 40  # characters of the text around an error

__all__ = ["Rule", "TaskResolver", "load", "read", "task_resolver", "to_json", "to_text"]


def read(text: str, resolve_task: TaskResolver | None = None) -> Rule:
    """The rule in a text: JSON where it begins with a brace, else the readable form.

    InvalidInput names the place, as a path in JSON or a column in text. resolve_task: see
    :func:`task_resolver`; without it the tasks a rule names are not looked up.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > TEXT_LIMIT:
        raise InvalidInput(
            f"the recipient rule has {len(text)} characters: at most {TEXT_LIMIT} are possible"
        )
    if not text.strip():
        raise InvalidInput("the recipient rule is empty", hint="to reach every contact, say so: everyone")
    if text.lstrip()[0] in "{[":
        try:
            document = rule_json.document(text)
        except RuleProblem as problem:
            raise _at_path(problem) from problem
        return load(document, resolve_task)
    try:
        parsed = Parsed(text)
    except TextProblem as problem:
        raise _at_offset(text, problem.offset, problem.message, problem.hint) from problem
    try:
        return rule_json.parse(parsed.document, resolve_task)
    except RuleProblem as problem:
        raise _at_offset(text, parsed.offset(problem.path), problem.message, problem.hint) from problem


def load(document: Any, resolve_task: TaskResolver | None = None) -> Rule:
    """The rule in a JSON document, as ``tasks.recipient_rule`` holds it; InvalidInput with a path."""
    try:
        return rule_json.parse(document, resolve_task)
    except RuleProblem as problem:
        raise _at_path(problem) from problem


def task_resolver(connection: Connection, campaign_id: int | None = None) -> TaskResolver:
    """Looks up the tasks that rules name: ``campaign/task``, an id, or a task of the rule's own campaign.

    campaign_id: the campaign of the task the rule belongs to; a name without a slash is looked for there.
    """

    def resolve(given: str) -> int:
        bare = "/" not in given and not given.strip().isdecimal()
        named = f"{campaign_id}/{given}" if bare and campaign_id is not None else given
        return int(tasks.find(connection, named)["id"])

    return resolve


def _at_path(problem: RuleProblem) -> InvalidInput:
    place = f", at {rule_json.shown(problem.path)}" if problem.path else ""
    return InvalidInput(f"recipient rule{place}: {problem.message}", hint=problem.hint)


def _at_offset(text: str, offset: int, message: str, hint: str) -> InvalidInput:
    """The error with its column, the line it stands in, and a caret under the place."""
    line_start = text.rfind("\n", 0, offset) + 1
    line = text[line_start:].split("\n", 1)[0].rstrip()
    column = offset - line_start
    number = text.count("\n", 0, offset) + 1
    place = f"line {number}, column {column + 1}" if "\n" in text.strip() else f"column {column + 1}"
    start = max(0, column - SHOWN_BEFORE)
    # Whatever is not printable takes one column, so that the caret stands right.
    shown = "".join(c if c.isprintable() else " " for c in line[start : column + SHOWN_AFTER])
    caret = " " * (column - start) + "^"
    return InvalidInput(f"recipient rule, at {place}: {message}\n  {shown}\n  {caret}", hint=hint)
