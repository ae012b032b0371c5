"""What a template may say: walks its syntax tree before anything is compiled or run.

Finds every construct outside the language (``language.py`` lists what is in it), every unknown variable and
every leftover placeholder, each with its line; and tells which variables a part uses, and which of them it
prints whatever the recipient.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jinja2 import nodes

from coldsend.composing.language import (
    FILTER_NAMES,
    LOOP_ATTRIBUTES,
    PLACEHOLDER,
    TEST_NAMES,
    Fault,
    dotted,
    flat_name,
    near,
)
from coldsend.composing.variables import FUNCTIONS, Vocabulary

MAX_LOOP_DEPTH = 2
MAX_LIST = 100

_PLAIN = (
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Concat,
    nodes.If,
    nodes.CondExpr,
    nodes.Keyword,
    nodes.Neg,
)
_REFUSED: dict[type[nodes.Node], str] = {
    nodes.Macro: "macros",
    nodes.CallBlock: "call blocks",
    nodes.Include: "includes",
    nodes.Import: "imports",
    nodes.FromImport: "imports",
    nodes.Extends: "template inheritance",
    nodes.Block: "template inheritance",
    nodes.AssignBlock: "{% set %} blocks (write {% set name = .. %})",
    nodes.With: "{% with %} blocks",
    nodes.ScopedEvalContextModifier: "{% autoescape %} blocks (values are always escaped in HTML)",
    nodes.BinExpr: "calculations",
    nodes.Slice: "slices",
    nodes.Dict: "dictionaries",
    nodes.NSRef: "namespaces",
}


@dataclass
class Usage:
    """What a part of a template uses.

    names: dotted variable names. always: those printed for every recipient. tags: whether ``tag(..)`` or
    ``tag_value(..)`` are called. faults: all that is wrong.
    """

    names: set[str] = field(default_factory=set)
    always: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)


def examine(tree: nodes.Template, vocabulary: Vocabulary) -> Usage:
    """Check one part of a template against the language and the vocabulary."""
    walk = _Walk(vocabulary, _assigned(tree))
    for node in tree.body:
        walk.visit(node, loops=0, always=True)
    return walk.usage


def _assigned(tree: nodes.Template) -> set[str]:
    targets: list[nodes.Node] = [node.target for node in tree.find_all(nodes.Assign)]
    targets += [node.target for node in tree.find_all(nodes.For)]
    return {target.name for target in targets if isinstance(target, nodes.Name)}


class _Walk:
    def __init__(self, vocabulary: Vocabulary, assigned: set[str]) -> None:
        self.vocabulary = vocabulary
        self.assigned = assigned
        self.usage = Usage()

    def fault(self, node: nodes.Node, message: str, hint: str = "") -> None:
        self.usage.faults.append(Fault(node.lineno, message, hint))

    def visit(self, node: nodes.Node, loops: int, always: bool) -> None:
        """Check ``node`` and all below it. ``always``: it is rendered for every recipient."""
        name = dotted(node, self.vocabulary.namespaces)
        if name is not None:
            self._variable(node, name, always)
            return
        special = getattr(self, f"_{type(node).__name__.lower()}", None)
        if special is not None:
            special(node, loops, always)
        elif isinstance(node, _PLAIN):
            inside = always and not isinstance(node, nodes.If | nodes.CondExpr | nodes.And | nodes.Or)
            self._below(node, loops, inside)
        else:
            self._refuse(node)

    def _below(self, node: nodes.Node, loops: int, always: bool) -> None:
        for child in node.iter_child_nodes():
            self.visit(child, loops, always)

    def _refuse(self, node: nodes.Node) -> None:
        what = next((text for kind, text in _REFUSED.items() if isinstance(node, kind)), None)
        what = what or f"{type(node).__name__} expressions"
        self.fault(node, f"templates have no {what}", "keep to variables, filters, {% if %} and {% for %}")

    def _variable(self, node: nodes.Node, name: str, always: bool) -> None:
        if self.vocabulary.origin(name) is None:
            self.fault(node, f"there is no variable {name!r}", self.vocabulary.nearest(name))
        elif not flat_name(name).isidentifier():
            self.fault(node, f"{name!r} cannot be used in a template", "rename the field: letters, digits, _")
        else:
            self.usage.names.add(name)
            if always:
                self.usage.always.add(name)

    def _name(self, node: nodes.Name, _loops: int, always: bool) -> None:
        if node.name in self.assigned:
            return
        if node.name in self.vocabulary.namespaces and self.vocabulary.origin(node.name) is None:
            self.fault(node, f"{node.name!r} alone is no variable", f"write {{{{ {node.name}.email }}}}")
        else:
            self._variable(node, node.name, always)

    def _output(self, node: nodes.Output, loops: int, always: bool) -> None:
        for child in node.nodes:
            self._one_value(child)
        self._below(node, loops, always)

    def _one_value(self, node: nodes.Node) -> None:
        if dotted(node, self.vocabulary.namespaces) == "contact.tags":
            self.fault(node, "contact.tags is a list", 'write {{ contact.tags | join(", ") }}')

    def _templatedata(self, node: nodes.TemplateData, _loops: int, _always: bool) -> None:
        for found in PLACEHOLDER.finditer(node.data):
            line = node.lineno + node.data.count("\n", 0, found.start())
            self.usage.faults.append(
                Fault(line, f"{found.group()!r} is left as it is", "variables are written {{ contact.name }}")
            )

    def _const(self, node: nodes.Const, _loops: int, _always: bool) -> None:
        if node.value is None:
            self.fault(node, "templates have no 'none'", "test with: {% if contact.name %} or 'is defined'")
        elif isinstance(node.value, str) and PLACEHOLDER.search(node.value):
            self.fault(node, f"{node.value!r} would be left in the message as it is")

    def _filter(self, node: nodes.Filter, loops: int, always: bool) -> None:
        if node.name not in FILTER_NAMES:
            self.fault(node, f"there is no filter {node.name!r}", near(node.name, FILTER_NAMES, "filters"))
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self.fault(node, "filters take no * or ** arguments")
        self._below(node, loops, always)

    def _test(self, node: nodes.Test, loops: int, always: bool) -> None:
        if node.name not in TEST_NAMES:
            self.fault(node, f"there is no test {node.name!r}", near(node.name, TEST_NAMES, "tests"))
        self._below(node, loops, always)

    def _compare(self, node: nodes.Compare, loops: int, always: bool) -> None:
        self.visit(node.expr, loops, always)
        for operand in node.ops:
            if isinstance(operand.expr, nodes.List | nodes.Tuple) and operand.op in {"in", "notin"}:
                self._list(operand.expr, loops, always, allowed=True)
            else:
                self.visit(operand.expr, loops, always)

    def _list(
        self, node: nodes.List | nodes.Tuple, loops: int, always: bool, *, allowed: bool = False
    ) -> None:
        if not allowed or len(node.items) > MAX_LIST:
            self.fault(node, f"lists stand only behind 'in', with at most {MAX_LIST} elements")
        if any(isinstance(item, nodes.List | nodes.Tuple) for item in node.items):
            self.fault(node, "lists do not nest")
            return
        self._below(node, loops, always)

    _tuple = _list

    def _call(self, node: nodes.Call, loops: int, always: bool) -> None:
        function = node.node.name if isinstance(node.node, nodes.Name) else ""
        if function not in FUNCTIONS:
            self.fault(node, "templates call nothing but tag(..) and tag_value(..)")
            return
        if len(node.args) != 1 or node.kwargs or node.dyn_args or node.dyn_kwargs:
            self.fault(node, f"{function} takes one text", f'for example: {function}("vip")')
        self.usage.functions.add(function)
        for argument in node.args:
            self.visit(argument, loops, always)

    def _getattr(self, node: nodes.Getattr, _loops: int, _always: bool) -> None:
        if isinstance(node.node, nodes.Name) and node.node.name == "loop":
            if node.attr not in LOOP_ATTRIBUTES:
                self.fault(
                    node, f"there is no loop.{node.attr}", near(node.attr, LOOP_ATTRIBUTES, "loop has")
                )
            return
        owner = node.node.name if isinstance(node.node, nodes.Name) else "a value"
        self.fault(
            node,
            f"{owner!r} has no {node.attr!r} in templates",
            "text is changed by filters: {{ contact.name | upper }}",
        )

    def _getitem(self, node: nodes.Getitem, loops: int, always: bool) -> None:
        if not isinstance(node.arg, nodes.Const) or not isinstance(node.arg.value, int):
            self.fault(
                node, "only a number written out may stand in [ ]", "for example: {{ contact.tags[0] }}"
            )
        self.visit(node.node, loops, always)

    def _assign(self, node: nodes.Assign, loops: int, always: bool) -> None:
        self._target(node, node.target)
        self._one_value(node.node)
        self.visit(node.node, loops, always=False)

    def _for(self, node: nodes.For, loops: int, always: bool) -> None:
        self._target(node, node.target)
        if loops >= MAX_LOOP_DEPTH or node.recursive:
            self.fault(node, f"loops nest at most {MAX_LOOP_DEPTH} deep")
        if isinstance(node.iter, nodes.List | nodes.Tuple):
            self._list(node.iter, loops, always=False, allowed=True)
        elif dotted(node.iter, self.vocabulary.namespaces) == "contact.tags":
            self.visit(node.iter, loops, always=False)
        else:
            self.fault(node, "loops go over contact.tags or a written list, nothing else")
        for child in [*node.body, *node.else_, *([node.test] if node.test else [])]:
            self.visit(child, loops + 1, always=False)

    def _filterblock(self, node: nodes.FilterBlock, loops: int, always: bool) -> None:
        if node.find(nodes.For) is not None:
            self.fault(node, "a loop cannot stand inside a filter block")
        self._below(node, loops, always)

    def _target(self, node: nodes.Node, target: nodes.Node) -> None:
        name = target.name if isinstance(target, nodes.Name) else ""
        if not name or name in self.vocabulary.reserved or name.startswith("_") or "__" in name:
            self.fault(
                node,
                f"{name or 'this'!r} cannot be set: it is taken, or not a plain name",
                "choose another name",
            )
