"""What a part of a template consists of: text that all recipients share, and the things between.

An outline is a tree of items: text; a variable printed as it is (:class:`Printed`); something that has to be
worked out (``COMPUTED``: a filter, a comparison ..); a :class:`Choice` between lists of items (``{% if %}``).
What decides and what works out is left to Jinja, in a program without any of the text: it prints the number
of the branch taken for each choice and the result of each ``COMPUTED``, in the order of the items.

Parts with loops have no outline: their lines are not known beforehand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import nodes

from coldsend.composing.language import Program, Rendering


@dataclass(frozen=True, slots=True)
class Printed:
    """A variable, by its flat name, and the text that replaces it where it is missing, if there is one."""

    name: str
    default: str | None = None


class Computed:
    """Something only Jinja can tell."""


COMPUTED: Final = Computed()


@dataclass(frozen=True, slots=True)
class Choice:
    """An ``{% if %}``: the items of each branch; the last is that of ``{% else %}``, written or not."""

    branches: tuple[tuple[Item, ...], ...]


Item = str | Printed | Computed | Choice
Plain = str | Printed | Computed

Path = tuple[int, ...]


class _Loops(Exception):
    """The part has a loop in it."""


class Outline:
    """The items of one part, and the program that decides about them; None where nothing is to be decided."""

    def __init__(self, items: tuple[Item, ...], program: Program | None) -> None:
        self._items = items
        self._program = program

    @property
    def decides(self) -> bool:
        return self._program is not None

    def decide(self, values: dict[str, Any]) -> tuple[Path, list[str]]:
        """The branches taken for these values, and the results of what is computed along them."""
        if self._program is None:
            return (), []
        path: list[int] = []
        computed: list[str] = []
        _follow(self._items, self._program.run(values), path, computed)
        return tuple(path), computed

    def along(self, path: Path) -> list[Plain]:
        """The items without choices, in order, where these branches are taken."""
        return list(_along(self._items, iter(path)))

    def printed(self) -> Iterator[Printed]:
        """Everything that is printed as it is, in any branch."""
        return _printed(self._items)


def outline(rendering: Rendering, names: Collection[str]) -> Outline | None:
    """The outline of a part; ``names``: variables that may be printed as they are. None: it has none."""
    if rendering.counted:
        return None
    tree = rendering.tree()
    try:
        items, rest = _taken_apart(tree.body, names)
    except _Loops:
        return None
    if not rest:
        return Outline(items, None)
    tree.body = rest
    return Outline(items, Program(rendering.environment, tree, rendering.label))


def _taken_apart(
    found: Sequence[nodes.Node], names: Collection[str]
) -> tuple[tuple[Item, ...], list[nodes.Node]]:
    """Items, and the program without what they already say."""
    items: list[Item] = []
    rest: list[nodes.Node] = []
    for node in found:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                item = _item(child, names)
                items.append(item)
                if item is COMPUTED:
                    rest.append(nodes.Output([child], lineno=child.lineno))
        elif isinstance(node, nodes.If):
            choice, decision = _choice(node, names)
            items.append(choice)
            rest.append(decision)
        elif isinstance(node, nodes.Assign):
            rest.append(node)
        elif isinstance(node, nodes.FilterBlock):
            items.append(COMPUTED)
            rest.append(node)
        else:
            raise _Loops
    return tuple(items), rest


def _item(node: nodes.Expr, names: Collection[str]) -> Plain:
    if isinstance(node, nodes.TemplateData):
        return node.data
    if isinstance(node, nodes.Name) and node.name in names:
        return Printed(node.name)
    if isinstance(node, nodes.Filter) and node.name in {"default", "d"} and not node.kwargs:
        of, fallback = node.node, node.args[0] if node.args else nodes.Const("")
        constant = isinstance(fallback, nodes.Const) and isinstance(fallback.value, str)
        if isinstance(of, nodes.Name) and of.name in names and constant and len(node.args) <= 1:
            return Printed(of.name, fallback.value)  # type: ignore[attr-defined]
    return COMPUTED


def _choice(node: nodes.If, names: Collection[str]) -> tuple[Choice, nodes.If]:
    branches: list[tuple[Item, ...]] = []

    def branch(found: Sequence[nodes.Node]) -> list[nodes.Node]:
        items, rest = _taken_apart(found, names)
        number = nodes.Output([nodes.TemplateData(str(len(branches)))], lineno=node.lineno)
        branches.append(items)
        return [number, *rest]

    first = branch(node.body)
    others = [nodes.If(each.test, branch(each.body), [], [], lineno=each.lineno) for each in node.elif_]
    decision = nodes.If(node.test, first, others, branch(node.else_), lineno=node.lineno)
    return Choice(tuple(branches)), decision


def _follow(items: Sequence[Item], chunks: Iterator[str], path: list[int], computed: list[str]) -> None:
    for item in items:
        if isinstance(item, Choice):
            taken = int(next(chunks))
            path.append(taken)
            _follow(item.branches[taken], chunks, path, computed)
        elif item is COMPUTED:
            computed.append(next(chunks))


def _along(items: Sequence[Item], path: Iterator[int]) -> Iterator[Plain]:
    for item in items:
        if isinstance(item, Choice):
            yield from _along(item.branches[next(path)], path)
        else:
            yield item


def _printed(items: Sequence[Item]) -> Iterator[Printed]:
    for item in items:
        if isinstance(item, Choice):
            for branch in item.branches:
                yield from _printed(branch)
        elif isinstance(item, Printed):
            yield item
