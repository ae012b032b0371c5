"""The readable form of recipient rules, and how it becomes the JSON form.

    tag:vip and not opened:spring/intro and (country = "DE" or has(company))

    rule       = and-list { "or" and-list }          and-list = unary { "and" unary }
    unary      = "not" unary | "(" rule ")" | condition
    condition  = "everyone" | "tag:" value | "domain:" value | "email:" value {"," value}
               | "sent:" task | event [":" task] ["within" number ("day" | "days")]
               | "has(" field ")" | "lacks(" field ")"
               | field ("=" | "!=" | ">" | "<" | "contains") value | field "in" "(" value {"," value} ")"
    event      = opened | clicked | replied | bounced | unsubscribed | complained | delivered
    value      = a word, or "text" or 'text' where a backslash keeps the character after it

A word that is a JSON number (30, -1.5, not 007) after = != > < or within ``in (..)`` is a number. A field
whose name is a word of this language is written in quotes. Words are the same in capitals; values are not.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

from coldsend.audience.rule_json import Path
from coldsend.domain.rule import All, AnyOf, Domain, Email, Event, Everyone, Field, Not, Rule, Sent, Tag
from coldsend.domain.states import EventType

MAX_PARENTHESES = 50

EVENT_WORDS = {
    "opened": EventType.OPEN,
    "clicked": EventType.CLICK,
    "replied": EventType.REPLY,
    "bounced": EventType.BOUNCE,
    "unsubscribed": EventType.UNSUBSCRIBE,
    "complained": EventType.COMPLAINT,
    "delivered": EventType.DELIVERED,
}
OPERATORS = {"=": "eq", "!=": "ne", ">": "gt", "<": "lt", "contains": "contains", "in": "in"}
PREFIXES = ("tag", "domain", "email", "sent", *EVENT_WORDS)
RESERVED = {"and", "or", "not", "in", "contains", "within", "has", "lacks", "everyone", *EVENT_WORDS}

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\W\d]\w*")
_SYMBOL = re.compile(r"[=!<>]+")
_BARE = re.compile(r"[^\s(),\"'][^\s(),]*")
_QUOTED = re.compile(r"""(["'])((?:\\.|(?!\1|\\).)*)\1""", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN = re.compile(r"[\w@./+:-]+")


class TextProblem(ValueError):
    """What is wrong with a rule's text, and at which character (from 0)."""

    def __init__(self, offset: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message
        self.hint = hint


class Parsed:
    """A rule's JSON form as the text says it (not yet checked), and where each part began."""

    def __init__(self, text: str) -> None:
        parser = _Parser(text)
        self.document = parser.whole()
        self._nodes = parser.nodes
        self._values = parser.values

    def offset(self, path: Path) -> int:
        """Where the innermost part on this path of the JSON form stands in the text."""
        node: Any = self.document
        found = self._nodes[id(node)]
        for step in path:
            found = self._values.get((id(node), step), found)
            if not isinstance(node, dict | list) or (isinstance(node, dict) and step not in node):
                break
            node = node[step]  # type: ignore[index]
            found = self._nodes.get(id(node), found)
        return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open = 0
        self.nodes: dict[int, int] = {}  # id of an object of the JSON form -> where it began
        self.values: dict[tuple[int, str | int], int] = {}  # id of an object or list, and key or place in it

    def whole(self) -> dict[str, Any]:
        made = self._list_of("or", "any")
        if self._at < len(self._text):
            raise self._expected("'and', 'or' or the end")
        return made

    def _list_of(self, joint: str, key: str) -> dict[str, Any]:
        """Parts joined by ``or``, each a list of parts joined by ``and``."""
        self._skip_space()
        began = self._at
        parts = [self._part(joint)]
        while self._take_keyword(joint):
            parts.append(self._part(joint))
        return parts[0] if len(parts) == 1 else self._node({key: parts}, began)

    def _part(self, joint: str) -> dict[str, Any]:
        return self._list_of("and", "all") if joint == "or" else self._unary()

    def _unary(self) -> dict[str, Any]:
        self._skip_space()
        began = self._at
        if self._take_keyword("not"):
            self._deeper(began)
            made = self._node({"not": self._unary()}, began)
        elif self._take("("):
            self._deeper(began)
            made = self._list_of("or", "any")
            if not self._take(")"):
                raise self._expected(f"')' for the '(' at column {began + 1}")
        else:
            return self._condition()
        self._open -= 1
        return made

    def _deeper(self, began: int) -> None:
        self._open += 1
        if self._open > MAX_PARENTHESES:
            raise TextProblem(began, f"is nested too deep: at most {MAX_PARENTHESES} levels")

    def _condition(self) -> dict[str, Any]:
        began = self._at
        quoted = _QUOTED.match(self._text, began)
        if quoted:
            self._at = quoted.end()
            return self._comparison(_unescaped(quoted), began)
        match = _WORD.match(self._text, began)
        if match is None or match.group().lower() in {"and", "or"}:
            raise self._expected("a condition such as tag:vip or country = DE")
        self._at, word = match.end(), match.group()
        known = word.lower()
        if self._text.startswith(":", self._at):
            return self._prefixed(known, began)
        if self._operator_ahead():
            return self._comparison(word, began)
        if known == "everyone":
            return self._node({"everyone": True}, began)
        if known in EVENT_WORDS:
            return self._event(known, None, began)
        if known in {"has", "lacks"} and self._take("("):
            name, at = self._value(number=False)
            if not self._take(")"):
                raise self._expected("')' after the field's name")
            return self._node({"field": name, "op": "set", "value": known == "has"}, began, field=at)
        return self._comparison(word, began)

    def _prefixed(self, prefix: str, began: int) -> dict[str, Any]:
        if prefix not in PREFIXES:
            near = difflib.get_close_matches(prefix, PREFIXES, n=1)
            hint = f"did you mean {near[0]}:? " if near else ""
            hint += f"allowed: {', '.join(f'{known}:' for known in PREFIXES)}"
            raise TextProblem(began, f"'{prefix}:' is unknown", hint)
        self._at += 1
        if prefix == "email":
            return self._node({"email": self._values(number=False)}, began)
        value, at = self._value(number=False)
        if prefix in EVENT_WORDS:
            return self._event(prefix, (value, at), began)
        return self._node({prefix: value}, began, **{prefix: at})

    def _event(self, word: str, task: tuple[Any, int] | None, began: int) -> dict[str, Any]:
        made: dict[str, Any] = {"event": EVENT_WORDS[word].value}
        places = {}
        if task is not None:
            made["task"], places["task"] = task
        if self._take_keyword("within"):
            made["within_days"], places["within_days"] = self._value(number=True)
            if not (self._take_keyword("days") or self._take_keyword("day")):
                raise self._expected("'days': within 7 days")
        return self._node(made, began, **places)

    def _comparison(self, field: str, began: int) -> dict[str, Any]:
        self._skip_space()
        match = _SYMBOL.match(self._text, self._at) or _WORD.match(self._text, self._at)
        operator = match.group().lower() if match else ""
        if match is None or operator not in OPERATORS:
            hint = f"with a colon: {field.lower()}:NAME" if field.lower() in PREFIXES else ""
            raise self._expected(f"one of {', '.join(OPERATORS)} after the field {field!r}", hint)
        self._at = match.end()
        made: dict[str, Any] = {"field": field, "op": OPERATORS[operator]}
        if operator != "in":
            made["value"], at = self._value(number=operator != "contains")
            return self._node(made, began, value=at)
        if not self._take("("):
            raise self._expected("'(': country in (DE, AT)")
        made["value"] = self._values(number=True)
        if not self._take(")"):
            raise self._expected("',' or ')'")
        return self._node(made, began)

    def _operator_ahead(self) -> bool:
        self._skip_space()
        word = _WORD.match(self._text, self._at)
        ahead = word.group().lower() if word else self._text[self._at : self._at + 1]
        return ahead in {"in", "contains", "=", "!", "<", ">"}

    def _values(self, *, number: bool) -> list[Any]:
        """Values with commas between them."""
        found = [self._value(number=number)]
        while self._take(","):
            found.append(self._value(number=number))
        made = [value for value, _ in found]
        self.values.update({(id(made), n): at for n, (_, at) in enumerate(found)})
        return made

    def _value(self, *, number: bool) -> tuple[Any, int]:
        """A value, and where it began."""
        self._skip_space()
        began = self._at
        quoted = _QUOTED.match(self._text, began)
        if quoted:
            self._at = quoted.end()
            return _unescaped(quoted), began
        if self._text.startswith(('"', "'"), self._at):
            raise TextProblem(self._at, "this quotation mark is never closed")
        bare = _BARE.match(self._text, self._at)
        if bare is None:
            raise self._expected("a value")
        if bare.group().lower() in {"and", "or", "not"}:
            raise self._expected(f'a value (in quotes if it is meant: "{bare.group()}")')
        self._at, text = bare.end(), bare.group()
        return (json.loads(text) if number and _NUMBER.fullmatch(text) else text), began

    def _take(self, symbol: str) -> bool:
        self._skip_space()
        if not self._text.startswith(symbol, self._at):
            return False
        self._at += len(symbol)
        self._skip_space()
        return True

    def _take_keyword(self, keyword: str) -> bool:
        self._skip_space()
        word = _WORD.match(self._text, self._at)
        if word is None or word.group().lower() != keyword:
            return False
        self._at = word.end()
        self._skip_space()
        return True

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _node(self, made: dict[str, Any], began: int, **places: int) -> dict[str, Any]:
        """An object of the JSON form; ``places``: where the values of its keys began."""
        self.nodes[id(made)] = began
        self.values.update({(id(made), key): at for key, at in places.items()})
        return made

    def _expected(self, what: str, hint: str = "") -> TextProblem:
        rest = self._text[self._at :].split(maxsplit=1)
        found = f"not {rest[0][:40]!r}" if rest else "but the rule ends"
        return TextProblem(self._at, f"expected {what}, {found}", hint)


def _unescaped(quoted: re.Match[str]) -> str:
    return re.sub(r"\\(.)", r"\1", quoted.group(2), flags=re.DOTALL)


def to_text(rule: Rule) -> str:
    """The rule in its readable form; reading it gives the same rule, lists of one part opened."""
    match rule:
        case All(parts) | AnyOf(parts):
            if len(parts) == 1:
                return to_text(parts[0])
            return (" and " if isinstance(rule, All) else " or ").join(map(_grouped, parts))
        case Not(part):
            return f"not {_grouped(part)}"
        case Everyone():
            return "everyone"
        case Tag(tag):
            return f"tag:{_value_text(tag)}"
        case Email(addresses):
            return f"email:{','.join(map(_value_text, addresses))}"
        case Domain(domain):
            return f"domain:{_value_text(domain)}"
        case Event(kind, task, within_days):
            word = next(word for word, event in EVENT_WORDS.items() if event == kind)
            named = word if task is None else f"{word}:{_value_text(task)}"
            return named if within_days is None else f"{named} within {json.dumps(within_days)} days"
        case Sent(task):
            return f"sent:{_value_text(task)}"
        case Field():
            return _field_text(rule)


def _grouped(part: Rule) -> str:
    while isinstance(part, All | AnyOf) and len(part.parts) == 1:
        part = part.parts[0]
    return f"({to_text(part)})" if isinstance(part, All | AnyOf) else to_text(part)


def _field_text(field: Field) -> str:
    name = _quote(field.name) if field.name.lower() in RESERVED else field.name
    if field.op == "set":
        return f"{'has' if field.value else 'lacks'}({name})"
    symbol = next(symbol for symbol, op in OPERATORS.items() if op == field.op)
    if isinstance(field.value, tuple):
        return f"{name} in ({', '.join(map(_operand_text, field.value))})"
    if field.op == "contains":
        return f"{name} contains {_value_text(str(field.value))}"
    return f"{name} {symbol} {_operand_text(field.value)}"


def _operand_text(value: str | float) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    return _quote(value) if _NUMBER.fullmatch(value) else _value_text(value)


def _value_text(value: str) -> str:
    bare = _PLAIN.fullmatch(value) and value.lower() not in {"and", "or", "not"}
    return value if bare else _quote(value)


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
