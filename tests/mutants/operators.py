"""The kinds of plausible faults, found in the syntax tree of a module.

mutmut and cosmic-ray have more kinds; but their mutants are known by a position in one version of the source, and they
run the tests in the process that imported the product, where most of ours start processes of their own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutants.mutant import Function, Mutant, occurrences

COMPARISONS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
ARITHMETIC = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
}

SQL = re.compile(r"\b(SELECT|UPDATE|DELETE|INSERT|WHERE|ORDER BY|AND|EXISTS)\b")
SQL_CHANGES = {
    r" < ": " <= ",
    r" > ": " >= ",
    r" <= ": " < ",
    r" >= ": " > ",
    r" AND ": " OR ",
    r" IS NULL": " IS NOT NULL",
    r" IS NOT NULL": " IS NULL",
    r"NOT EXISTS": "EXISTS",
    r" DESC\b": "",
    r"\bMIN\(": "MAX(",
    r"\bMAX\(": "MIN(",
}

CONSTANT_MAX = 16
"""A larger number is a size or a limit: nobody sees when it is one more."""

WITHOUT_EFFECT = re.compile(
    r"^(logger|log|logging|warnings|click|typing)\.|^(crash_point|print|cast|super\(\)\.__init__)\b"
)
"""Calls that tell people something, or do nothing outside of tests."""

DURATION = re.compile(r"(_s|timeout|interval|indent|width|stacklevel)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Change:
    """Bytes of a source that are replaced, from `start` up to `end`."""

    operator: str
    function: str
    start: int
    end: int
    text: bytes


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Return every mutant of a module."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return [_mutant(file, source, change) for change in finder.found]


def _mutant(file: str, source: str, change: Change) -> Mutant:
    content = source.encode()
    first = content.rfind(b"\n", 0, change.start) + 1
    last = content.find(b"\n", change.end) + 1 or len(content)
    before = content[first:last].decode()
    after = (content[first : change.start] + change.text + content[change.end : last]).decode()
    number = content.count(b"\n", 0, first) + 1
    occurrence = occurrences(source, change.function, before).index(number)
    return Mutant(
        file=file,
        line_number=number,
        function=change.function,
        operator=change.operator,
        before=before,
        after=after,
        occurrence=occurrence,
    )


class _Finder(ast.NodeVisitor):
    """Walks a module and collects the changes within its functions."""

    def __init__(self, source: str) -> None:
        self.found: list[Change] = []
        self._content = source.encode()
        self._starts = [0]
        for line in self._content.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._names: list[str] = []
        self._functions: list[Function] = []

    # -- where it walks -------------------------------------------------------------------------------------

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        for statement in node.body:
            if self._functions or isinstance(statement, Function | ast.ClassDef):
                self.visit(statement)
        self._names.pop()

    def visit_FunctionDef(self, node: Function) -> None:
        if node.name in ("__repr__", "__str__"):
            return
        self._names.append(node.name)
        self._functions.append(node)
        for statement in node.body:  # neither decorators nor defaults nor annotations
            self.visit(statement)
        self._functions.pop()
        self._names.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func)
        if WITHOUT_EFFECT.search(name) or name in ("isinstance", "issubclass"):
            return
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if not (DURATION.search(node.arg or "") and isinstance(node.value, ast.Constant)):
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._sql(node)

    # -- what it finds --------------------------------------------------------------------------------------

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace("raise removed", node, "pass")  # and nothing within its message

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and not WITHOUT_EFFECT.search(ast.unparse(node.value.func)):
            self._replace("call removed", node, "pass")
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        value = node.value
        if value is None:
            return
        if isinstance(value, ast.Constant) and isinstance(value.value, bool):
            self._replace("return value changed", value, str(not value.value))
        elif isinstance(value, ast.Compare | ast.BoolOp):
            self._replace("return value changed", value, f"not ({self._text(value)})")
        elif isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not):
            self._replace("return value changed", value, self._text(value.operand))
        elif not (isinstance(value, ast.Constant) and value.value is None or self._text(value) == "self"):
            self._replace("return value changed", value, "None")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:]):
            self._between("comparison changed", left, right, *COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:]):
            self._between("and/or exchanged", left, right, old, new)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        texts = any(
            isinstance(operand, ast.JoinedStr | ast.List | ast.Tuple)
            or (isinstance(operand, ast.Constant) and isinstance(operand.value, str | bytes))
            for operand in (node.left, node.right)
        )
        if type(node.op) in ARITHMETIC and not texts:
            self._between("arithmetic exchanged", node.left, node.right, *ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._sql(node)
        elif type(node.value) is int and node.value <= CONSTANT_MAX:
            self._replace("constant changed", node, str(node.value + 1))
            if node.value:
                self._replace("constant changed", node, str(node.value - 1))

    def visit_If(self, node: ast.If) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    visit_While = visit_If
    visit_IfExp = visit_If

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace("continue/break exchanged", node, "break")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace("continue/break exchanged", node, "continue")

    # -- how it is written ----------------------------------------------------------------------------------

    def _negate(self, test: ast.expr) -> None:
        if isinstance(test, ast.Constant) or self._text(test) == "TYPE_CHECKING":
            return
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self._replace("condition negated", test, self._text(test.operand))
        elif not isinstance(test, ast.Compare):  # of which every operator is changed
            self._replace("condition negated", test, f"(not ({self._text(test)}))")

    def _sql(self, node: ast.expr) -> None:
        start, end = self._span(node)
        text = self._content[start:end].decode()
        if not SQL.search(text):
            return
        for pattern, new in SQL_CHANGES.items():
            for match in re.finditer(pattern, text):
                at = start + len(text[: match.start()].encode())
                self._add("SQL changed", at, at + len(match[0].encode()), new)

    def _between(self, operator: str, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        start, end = self._span(left)[1], self._span(right)[0]
        match = re.search(rf"(?<!\w){re.escape(old)}(?!\w)", self._content[start:end].decode())
        if match is not None:
            self._add(operator, start + match.start(), start + match.end(), new)

    def _replace(self, operator: str, node: ast.stmt | ast.expr, text: str) -> None:
        self._add(operator, *self._span(node), text)

    def _add(self, operator: str, start: int, end: int, text: str) -> None:
        generator = operator.startswith("return") and any(
            isinstance(node, ast.Yield | ast.YieldFrom) for node in _own_nodes(self._functions[-1])
        )
        if self._functions and not generator:
            self.found.append(Change(operator, ".".join(self._names), start, end, text.encode()))

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._content[start:end].decode()

    def _span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        """Return where a node begins and ends, in bytes: its columns count bytes of UTF-8."""
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of the functions within it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))
