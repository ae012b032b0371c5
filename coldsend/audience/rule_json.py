"""The JSON form of recipient rules, checked key by key.

Everything that is wrong is told with its place, a path such as ``all[1].not.tag``, and with what is allowed
there. The meaning of each form stands in ``domain/rule.py``.
"""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from coldsend.domain import address, rule
from coldsend.domain.rule import All, AnyOf, Domain, Email, Event, Everyone, Field, Leaf, Not, Rule, Sent, Tag
from coldsend.errors import InvalidInput, NotFound, Refused

# "campaign/task" -> tasks.id; NotFound or InvalidInput where there is no such task
TaskResolver: TypeAlias = Callable[[str], int]
Path: TypeAlias = tuple[str | int, ...]

TEXT_LIMIT = 1000
TAG_LIMIT = 100
NAME_LIMIT = 100
MAX_DAYS = 36_500
LARGEST = 1e15
# The keys that say what kind a rule is, with the others each kind takes: True where it must be there.
KINDS: Mapping[str, Mapping[str, bool]] = {
    "everyone": {},
    "all": {},
    "any": {},
    "not": {},
    "tag": {},
    "email": {},
    "domain": {},
    "field": {"op": True, "value": True},
    "event": {"task": False, "within_days": False},
    "sent": {},
}


class RuleProblem(ValueError):
    """What is wrong with a rule, and where in its JSON form."""

    def __init__(self, path: Path, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.hint = hint


def document(text: str) -> Any:
    """The JSON document in ``text``; RuleProblem where it is not JSON or says a key twice."""
    try:
        return json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise RuleProblem((), f"is not JSON: {error.msg} at {where}", "strings need double quotes") from error
    except RecursionError as error:
        raise RuleProblem((), _too_deep()) from error


def parse(given: Any, resolve_task: TaskResolver | None = None) -> Rule:
    """The rule in a JSON document; RuleProblem with the place of the first thing that is wrong.

    resolve_task: when given, every task the rule names must be known to it.
    """
    return _Reader(resolve_task).rule(given, ())


def shown(path: Path) -> str:
    """A path as people read it: ``all[1].not.tag``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


class _Reader:
    def __init__(self, resolve_task: TaskResolver | None) -> None:
        self._resolve_task = resolve_task
        self._conditions = 0
        self._values = 0
        self._depth = 0

    def rule(self, given: Any, path: Path) -> Rule:
        kind = _kind(given, path)
        inner, at = given[kind], (*path, kind)
        if kind not in {"all", "any", "not"}:
            return self._leaf(kind, given, path)
        self._depth += 1
        if self._depth > rule.MAX_DEPTH:
            raise RuleProblem(path, _too_deep())
        made: Rule
        if kind == "not":
            made = Not(self.rule(inner, at))
        else:
            parts = tuple(self.rule(part, (*at, n)) for n, part in enumerate(_filled_list(inner, at, kind)))
            made = All(parts) if kind == "all" else AnyOf(parts)
        self._depth -= 1
        return made

    def _leaf(self, kind: str, given: Mapping[str, Any], path: Path) -> Leaf:
        self._conditions += 1
        if self._conditions > rule.MAX_CONDITIONS:
            raise RuleProblem(path, f"is one condition too many: a rule has at most {rule.MAX_CONDITIONS}")
        inner, at = given[kind], (*path, kind)
        match kind:
            case "everyone":
                if inner is not True:
                    raise RuleProblem(at, f"must be true, not {_brief(inner)}")
                return Everyone()
            case "tag":
                return Tag(_text(inner, at, TAG_LIMIT, spaces_around=False))
            case "email":
                return Email(self._addresses(inner, at))
            case "domain":
                return Domain(_domain(inner, at))
            case "field":
                return self._field(given, path)
            case "event":
                return self._event(given, path)
            case _:
                return Sent(self._task(inner, at))

    def _addresses(self, given: Any, path: Path) -> tuple[str, ...]:
        listed = _filled_list(given, path, "email")
        self._count_values(listed, path)
        for n, one in enumerate(listed):
            text = _text(one, (*path, n), TEXT_LIMIT)
            try:
                address.parse(text)
            except InvalidInput as error:
                raise RuleProblem((*path, n), error.message, error.hint) from error
        return tuple(listed)

    def _field(self, given: Mapping[str, Any], path: Path) -> Field:
        name = _field_name(given["field"], (*path, "field"))
        op, at = given["op"], (*path, "value")
        if op not in rule.FIELD_OPERATORS:
            hint = f"allowed: {', '.join(rule.FIELD_OPERATORS)}"
            raise RuleProblem((*path, "op"), f"is no operator: {_brief(op)}", hint)
        value = given["value"]
        if op == "set":
            if not isinstance(value, bool):
                raise RuleProblem(at, f"must be true or false with op 'set', not {_brief(value)}")
        elif op == "in":
            listed = _filled_list(value, at, "in")
            self._count_values(listed, at)
            value = tuple(_text_or_number(one, (*at, n)) for n, one in enumerate(listed))
        elif op == "contains":
            value = _text(value, at, TEXT_LIMIT)
        else:
            value = _text_or_number(value, at)
        return Field(name, op, value)

    def _event(self, given: Mapping[str, Any], path: Path) -> Event:
        allowed = {kind.value: kind for kind in rule.EVENTS}
        name = given["event"]
        if not isinstance(name, str) or name not in allowed:
            message, hint = f"is no event: {_brief(name)}", f"allowed: {', '.join(allowed)}"
            raise RuleProblem((*path, "event"), message, hint)
        task = self._task(given["task"], (*path, "task")) if "task" in given else None
        days = given.get("within_days")
        if "within_days" in given:
            at = (*path, "within_days")
            days = _number(days, at)
            if not 0 < days <= MAX_DAYS:
                raise RuleProblem(at, f"must be more than 0 and at most {MAX_DAYS} days, not {days:g}")
        return Event(allowed[name], task, days)

    def _task(self, given: Any, path: Path) -> str:
        text = _text(given, path, TEXT_LIMIT)
        if self._resolve_task is not None:
            try:
                self._resolve_task(text)
            except (NotFound, Refused) as error:
                raise RuleProblem(path, error.message, error.hint) from error
        return text

    def _count_values(self, listed: list[Any], path: Path) -> None:
        self._values += len(listed)
        if self._values > rule.MAX_VALUES:
            raise RuleProblem(
                path,
                f"makes {self._values} listed values: a rule has at most {rule.MAX_VALUES}",
                "give the contacts a tag instead: coldsend contact import FILE.csv --tag TAG",
            )


def _kind(given: Any, path: Path) -> str:
    """Which kind of rule an object is; RuleProblem unless it has one kind and only keys of that kind."""
    if not isinstance(given, dict):
        message = f'must be an object such as {{"tag": "vip"}}, not {_brief(given)}'
        raise RuleProblem(path, message, f"a rule has one of the keys {', '.join(KINDS)}")
    kinds: list[str] = [key for key in given if key in KINDS]
    if len(kinds) > 1:
        message = f"has both {kinds[0]!r} and {kinds[1]!r}: it must be one of them"
        raise RuleProblem(path, message, 'join them: {"all": [{..}, {..}]}')
    if not kinds:
        unknown = next(iter(given), None)
        message = "is an empty object" if unknown is None else f"has an unknown key {_brief(unknown)}"
        raise RuleProblem(path, message, _nearest(unknown, KINDS))
    kind = kinds[0]
    takes = KINDS[kind]
    for key in given:
        if key != kind and key not in takes:
            allowed = f"beside {kind!r} goes {' and '.join(map(repr, takes))}" if takes else ""
            hint = allowed or f"{kind!r} stands alone in its object"
            raise RuleProblem((*path, key), f"is an unknown key of {kind!r}", hint)
    for key, needed in takes.items():
        if needed and key not in given:
            example = '{"field": "country", "op": "eq", "value": "DE"}'
            raise RuleProblem(path, f"lacks {key!r} beside {kind!r}", f"for example: {example}")
    return kind


def _filled_list(given: Any, path: Path, kind: str) -> list[Any]:
    if not isinstance(given, list):
        raise RuleProblem(path, f"must be a list, not {_brief(given)}")
    if not given:
        everyone = 'to reach every contact, say so: {"everyone": true}' if kind == "all" else ""
        raise RuleProblem(path, "is an empty list", everyone)
    return given


def _text(given: Any, path: Path, limit: int, *, spaces_around: bool = True) -> str:
    if not isinstance(given, str):
        raise RuleProblem(path, f"must be text, not {_brief(given)}")
    if not given.strip():
        raise RuleProblem(path, "is empty", 'to ask whether a field is there: "op": "set"')
    if len(given) > limit:
        raise RuleProblem(path, f"has {len(given)} characters: at most {limit} are possible")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in given):
        raise RuleProblem(path, "has a control character, a line break or half a surrogate pair in it")
    if not spaces_around and given != given.strip():
        raise RuleProblem(path, f"has spaces around it: {_brief(given)}", f"write {given.strip()!r}")
    return given


def _number(given: Any, path: Path) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise RuleProblem(path, f"must be a number, not {_brief(given)}")
    if not abs(given) <= LARGEST:  # also for NaN
        raise RuleProblem(path, "is too large a number: at most 1e15 either way")
    return given


def _text_or_number(given: Any, path: Path) -> str | float:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return _number(given, path)
    if not isinstance(given, str):
        raise RuleProblem(path, f"must be text or a number, not {_brief(given)}")
    return _text(given, path, TEXT_LIMIT)


def _field_name(given: Any, path: Path) -> str:
    name = _text(given, path, NAME_LIMIT)
    if not name.isidentifier():
        hint = "a field's name has letters, digits and underscores and does not begin with a digit"
        raise RuleProblem(path, f"is no field name: {_brief(name)}", hint)
    if name in {"tag", "tags"}:
        raise RuleProblem(
            path,
            f"is not a field: {_brief(name)}",
            'tags have a condition of their own: tag:vip, in JSON {"tag": "vip"}',
        )
    return name


def _domain(given: Any, path: Path) -> str:
    text = _text(given, path, TEXT_LIMIT)
    try:
        address.parse_domain(text)
    except InvalidInput as error:
        raise RuleProblem(path, error.message, "for example: acme.com") from error
    return text


def _brief(value: Any) -> str:
    """A value as the message shows it: JSON, cut short."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _nearest(key: Any, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(key), list(allowed), n=1)
    known = f"a rule has one of the keys {', '.join(allowed)}"
    return f"did you mean {near[0]!r}? {known}" if near else known


def _too_deep() -> str:
    return f"is nested too deep: at most {rule.MAX_DEPTH} of all, any and not around one another"


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            hint = 'to join conditions: {"all": [{..}, {..}]}'
            raise RuleProblem((), f"has the key {_brief(key)} twice in one object", hint)
        seen[key] = value
    return seen


def _no_constant(name: str) -> Any:
    raise RuleProblem((), f"has {name} in it, which is not a JSON number")
