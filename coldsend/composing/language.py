"""The template language: a small, safe part of Jinja2, checked when compiled and bounded when rendered.

Allowed: ``{{ variable | filter }}``, ``~``, comparisons, ``and or not in``, inline ``if``; ``{% if %}``,
``{% for %}`` over ``contact.tags`` or a written list (two levels deep at most), ``{% set name = .. %}``,
``{% filter %}``, ``{% raw %}``, comments. Everything else (calls, attributes, arithmetic, macros, includes)
is refused by node type, so that no template can hang or exhaust a worker; the sandbox is a second net.

``contact.nickname`` is compiled as one name: a template's variables are known exactly before it runs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from types import CodeType, TracebackType
from typing import Any

from jinja2 import TemplateSyntaxError, UndefinedError, nodes, pass_context
from jinja2.environment import Template
from jinja2.filters import FILTERS
from jinja2.runtime import Context, Undefined, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.visitor import NodeTransformer

MAX_OUTPUT = 2_000_000  # characters of one rendered part
TOO_DEEP = "expressions are nested too deeply"
LARGE_SOURCE = 100_000  # a shorter template without loops cannot render to much more than itself

# Placeholders of this and other tools: in a finished message they are a mistake, wherever they came from.
PLACEHOLDER = re.compile(r"\{\{|\{%|%\}|\[\[[^\[\]]*\]\]|\*\|[^|*]+\|\*|%%\w+%%|<<\w+>>")

# What no value of a recipient may contain where a template uses it.
UNFIT = re.compile(f"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]|{PLACEHOLDER.pattern}")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a template. ``line`` 0: no line in particular."""

    line: int
    message: str
    hint: str = ""


class Broken(Exception):
    """A part cannot be compiled; carries every fault found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = list(faults)


class TooMuch(Exception):
    """A rendering grew beyond its limit."""


class Missing(Undefined):
    """A variable this recipient has no value for: as strict as StrictUndefined, but it may be tested."""

    __slots__ = ()
    __str__ = __iter__ = __len__ = Undefined._fail_with_undefined_error
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return other == "" or isinstance(other, Undefined)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __contains__(self, _item: object) -> bool:
        return False


def _default(value: Any, fallback: Any = "") -> Any:
    return fallback if isinstance(value, Undefined) or value in ("", None) else value


def _concatenated(parts: list[Any]) -> str:
    return _bounded(str_join(_fitting(parts)))


def _concatenated_html(parts: list[Any]) -> str:
    return _bounded(markup_join(_fitting(parts)))


def _joined(parts: Any, between: str = "") -> str:
    texts = [str(part) for part in parts]
    return between.join(_fitting(texts, len(str(between))))


def _url_encoded(value: Any) -> str:
    return _bounded(FILTERS["urlencode"](value))


def _fitting(parts: list[Any], between: int = 0) -> list[Any]:
    """``parts``, unless they make too long a text: found out before the memory for it is taken."""
    size = sum(len(part) for part in parts if isinstance(part, str)) + between * len(parts)
    if size > MAX_OUTPUT:
        raise TooMuch
    return parts


def _bounded(text: str) -> str:
    if len(text) > MAX_OUTPUT:
        raise TooMuch
    return text


_DATE_PATTERN = re.compile(r"(?:%-?[dmjyYBbAa]|[^%\n])*")


def _date_format(value: Any, pattern: str) -> str:
    if isinstance(value, Undefined):
        return str(value)
    if not isinstance(value, date):
        raise TypeError(f"date_format formats dates, not {value!r}")
    if not _DATE_PATTERN.fullmatch(pattern):
        raise ValueError(f"date_format knows %d %m %y %Y %B %b %A %a %j, not {pattern!r}")
    return value.strftime(pattern)


def _same(value: Any) -> Any:
    return value


@pass_context
def _link(context: Context, value: str) -> Any:
    """A link known only now: checked, and sent through the click redirect."""
    return context.parent["_link"](value, track=True)


@pass_context
def _check_link(context: Context, value: str) -> Any:
    return context.parent["_link"](value, track=False)


_KEPT_FILTERS = ("upper", "lower", "title", "capitalize", "trim", "truncate", "length", "first")
_FILTERS: dict[str, Any] = {
    **{name: FILTERS[name] for name in (*_KEPT_FILTERS, "last", "escape", "e")},
    "default": _default,
    "d": _default,
    "join": _joined,
    "urlencode": _url_encoded,
    "date_format": _date_format,
    "_link": _link,
    "_check_link": _check_link,
}
_TESTS = {name: TESTS[name] for name in ("defined", "undefined", "in", "eq", "equalto", "ne")}
_LOOP_ATTRIBUTES = frozenset({"index", "index0", "first", "last", "length"})


def _environment(*, html: bool) -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        autoescape=html,
        undefined=Missing,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        cache_size=0,
    )
    made.globals.clear()
    # Escaping belongs to HTML: a text derived from it keeps the filter in its source and ignores it.
    unescaped = {} if html else {"escape": _same, "e": _same}
    made.filters = {**_FILTERS, "_concat": _concatenated_html if html else _concatenated, **unescaped}
    made.tests = dict(_TESTS)
    return made


HTML = _environment(html=True)
TEXT = _environment(html=False)

FILTER_NAMES = sorted(name for name in _FILTERS if not name.startswith("_"))
TEST_NAMES = sorted(_TESTS)
LOOP_ATTRIBUTES = _LOOP_ATTRIBUTES


def parse(environment: ImmutableSandboxedEnvironment, source: str) -> nodes.Template:
    """The syntax tree; Broken with the line where the syntax is wrong."""
    try:
        return environment.parse(source)
    except TemplateSyntaxError as error:
        raise Broken([Fault(error.lineno, error.message or "syntax error", _syntax_hint(error))]) from error
    except RecursionError as error:
        raise Broken([Fault(0, TOO_DEEP)]) from error


def _syntax_hint(error: TemplateSyntaxError) -> str:
    message = error.message or ""
    if "end of comment" in message:
        return "'{#' begins a comment: in a style sheet write '{ #' with a space"
    if "No filter named" in message:
        return f"filters: {', '.join(FILTER_NAMES)}"
    return "write {{ like.this }} or {% if like.this %} .. {% endif %}"


def near(name: str, known: Iterable[str], what: str) -> str:
    """A hint that names the nearest of ``known``, or all of them."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {found[0]}?" if found else f"{what}: {', '.join(sorted(known))}"


def flat_name(name: str) -> str:
    """``contact.nickname`` as the one identifier it is compiled to."""
    return name.replace(".", "__", 1)


def dotted(node: nodes.Node, namespaces: set[str]) -> str | None:
    """ "contact.nickname" for ``contact.nickname`` or ``contact["nickname"]``, else None."""
    if isinstance(node, nodes.Getattr) and _is_namespace(node.node, namespaces):
        return f"{node.node.name}.{node.attr}"  # type: ignore[attr-defined]
    if isinstance(node, nodes.Getitem) and _is_namespace(node.node, namespaces):
        key = node.arg
        if isinstance(key, nodes.Const) and isinstance(key.value, str):
            return f"{node.node.name}.{key.value}"  # type: ignore[attr-defined]
    return None


def _is_namespace(node: nodes.Node, namespaces: set[str]) -> bool:
    return isinstance(node, nodes.Name) and node.name in namespaces


class _Flatten(NodeTransformer):
    """Dotted names become single ones; ``~`` becomes a concatenation with a limit."""

    def __init__(self, namespaces: set[str]) -> None:
        self.namespaces = namespaces

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        return self._flattened(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        return self._flattened(node)

    def _flattened(self, node: nodes.Getattr | nodes.Getitem) -> nodes.Node:
        name = dotted(node, self.namespaces)
        if name is None:
            return self.generic_visit(node)
        return nodes.Name(flat_name(name), "load", lineno=node.lineno)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "_concat", [], [], None, None, lineno=node.lineno)


class Program:
    """A compiled syntax tree: gives the chunks of its output, one for each thing it prints."""

    def __init__(self, environment: ImmutableSandboxedEnvironment, tree: nodes.Template, label: str) -> None:
        try:
            code = environment.compile(tree, name=label, filename=label)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise Broken([Fault(0, "blocks are nested too deeply")]) from error
        self.statics = list(_strings(code))
        self._environment = environment
        self._label = label
        self._template = Template.from_code(environment, code, {})
        self._root = self._template.root_render_func

    def run(self, values: dict[str, Any]) -> Iterator[str]:
        return self._root(Context(self._environment, values, self._label, {}))

    def line_of(self, trace: TracebackType | None) -> int:
        """The template's line where an exception came from; 0 where it cannot be told."""
        line = 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self._label:
                line = self._template.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return line


class Rendering:
    """One compiled part of a template: gives its output for the values of a recipient."""

    def __init__(
        self, environment: ImmutableSandboxedEnvironment, source: str, namespaces: set[str], label: str
    ) -> None:
        self.environment = environment
        self.label = label
        self._source = source
        self._namespaces = namespaces
        tree = self.tree()
        # Where there is neither, what comes out is not much longer than the source and the values.
        self.counted = tree.find(nodes.For) is not None or len(source) > LARGE_SOURCE
        program = Program(environment, tree, label)
        self.statics = program.statics
        self.line_of = program.line_of
        self._run = program.run

    def tree(self) -> nodes.Template:
        """The syntax tree as it is compiled; a new one each time."""
        parsed = parse(self.environment, self._source)
        try:
            tree: nodes.Template = _Flatten(self._namespaces).visit(parsed)
        except RecursionError as error:
            raise Broken([Fault(0, TOO_DEEP)]) from error
        tree.set_environment(self.environment)
        return tree

    def render(self, values: dict[str, Any]) -> str:
        """The output; TooMuch where it is out of all proportion."""
        if not self.counted:
            return "".join(self._run(values))
        found: list[str] = []
        room = MAX_OUTPUT
        for chunk in self._run(values):
            found.append(chunk)
            room -= len(chunk)
            if room < 0:
                raise TooMuch
        return "".join(found)


def missing_name(error: UndefinedError) -> str:
    """The variable that a recipient lacks, as the template writes it."""
    message = error.message or ""
    return message.split("'")[1].replace("__", ".", 1) if message.count("'") >= 2 else message


def _strings(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _strings(constant)
