"""Mutants of one source file: each is the file with one small mistake in it.

Rules of this file:

- A mutant is named by what it changes and where (function, text before, text after), not by a line number, so that
  its name survives edits elsewhere in the file.
- Not mutated: docstrings and other strings (most are words for people), annotations, asserts (they are tests
  themselves), imports, and what stands under `if TYPE_CHECKING`.
- Everything else is, decorated functions, properties and class bodies too. mutmut skips these (its issue 558: 59 % of
  one tree), and here nearly every class is an attrs class; cosmic-ray starts an interpreter for each mutant.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import TypeAlias

import attrs

Change: TypeAlias = tuple[ast.AST, str, int | None, ast.AST]
"""A node, the field to be changed, the place in that field where it is a list, and what shall stand there."""

TEXT_MAX = 110

ORDERED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""Of an order both its boundary and its direction are mistaken; of all others only the direction."""

ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}

_COMPOUND = (ast.If, ast.While)
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}


@attrs.frozen
class Mutant:
    """One mistake; `code` is the whole module with it, compiled if that was asked for."""

    where: str
    line: int
    change: str
    code: CodeType | None

    @property
    def name(self) -> str:
        return f"{self.where}: {self.change}"


def mutants(path: Path, *, compiled: bool = True) -> list[Mutant]:
    """Every mutant of a source file, in the order of the text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    seen: Counter[str] = Counter()
    made = []
    for where, statement, change in _changes(tree, ()):
        mutant = _mutant(tree, path if compiled else None, where, statement, change)
        seen[mutant.name] += 1
        if seen[mutant.name] > 1:
            mutant = attrs.evolve(mutant, change=f"{mutant.change} ({seen[mutant.name]})")
        made.append(mutant)
    return made


def _mutant(tree: ast.Module, path: Path | None, where: str, statement: ast.AST, change: Change) -> Mutant:
    """Make the change, compile, and take it back."""
    node, field, place, other = change
    original = getattr(node, field) if place is None else getattr(node, field)[place]
    shown = node if isinstance(node, (ast.expr, ast.keyword)) else statement
    before = _text(shown, original)
    _put(node, field, place, ast.copy_location(other, original if hasattr(original, "lineno") else statement))
    after = _text(shown, other)
    code = None if path is None else compile(ast.fix_missing_locations(tree), str(path), "exec")
    _put(node, field, place, original)
    return Mutant(where, getattr(statement, "lineno", 0), f"{before}  =>  {after}", code)


def _put(node: ast.AST, field: str, place: int | None, value: ast.AST) -> None:
    if place is None:
        setattr(node, field, value)
    else:
        getattr(node, field)[place] = value


def _text(node: ast.AST, part: ast.AST) -> str:
    """One line that shows what is there: a statement that is replaced as a whole, else where the change is made."""
    if isinstance(part, ast.stmt):
        node = part
    text = " ".join(ast.unparse(node).split()) if not isinstance(node, _COMPOUND) else f"if {ast.unparse(node.test)}"
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 3]}..."


def _changes(node: ast.AST, path: tuple[str, ...]) -> Iterator[tuple[str, ast.AST, Change]]:
    """All changes below a node, with the qualified name of where they are, and their statement."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Assert, ast.Import, ast.ImportFrom)) or _type_checking(child):
            continue
        below = (*path, child.name) if isinstance(child, _NAMED) else path
        if isinstance(child, ast.stmt):
            where = ".".join(below) or "module"
            for change in _of_statement(node, child):
                yield where, child, change
            for part in (child, *_parts(child)):
                for change in _of_part(part):
                    yield where, child, change
        yield from _changes(child, below)


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _parts(statement: ast.stmt) -> Iterator[ast.AST]:
    """Every expression and keyword of a statement itself, without those of statements in it and without annotations."""
    waiting: list[ast.AST] = [
        value
        for field, value in ast.iter_fields(statement)
        if isinstance(value, ast.expr) and field not in ("annotation", "returns")
    ]
    for _, values in ast.iter_fields(statement):
        if isinstance(values, list):
            waiting += [value for value in values if isinstance(value, (ast.expr, ast.withitem, ast.match_case))]
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        waiting = [default for default in [*statement.args.defaults, *statement.args.kw_defaults] if default]
    if isinstance(statement, ast.Match):
        waiting = [statement.subject, *(case.guard for case in statement.cases if case.guard is not None)]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, (ast.expr, ast.keyword)):
            yield node
        waiting[:0] = [
            child for child in ast.iter_child_nodes(node) if not isinstance(child, (ast.stmt, ast.arguments))
        ]


def _of_statement(parent: ast.AST, statement: ast.stmt) -> Iterator[Change]:
    """A statement left out, or a value not returned."""
    for field, values in ast.iter_fields(parent):
        if not isinstance(values, list) or statement not in values:
            continue
        if _does_something(statement):
            yield parent, field, values.index(statement), ast.Pass()
    match statement:
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield statement, "value", None, ast.Constant(None)
        case ast.If(test=test) | ast.While(test=test) if not isinstance(test, (ast.Compare, ast.BoolOp)):
            yield statement, "test", None, _inverse(test)


def _does_something(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant()):
            return False
        case ast.Assign(targets=targets):
            return any(isinstance(target, (ast.Attribute, ast.Subscript)) for target in targets)
        case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Continue() | ast.Break() | ast.Raise():
            return True
    return False


def _of_part(node: ast.AST) -> Iterator[Change]:
    """An operator, a condition or a constant that is another one."""
    match node:
        case ast.Compare(ops=ops):
            for place, operator in enumerate(ops):
                for other in ORDERED[type(operator)]:
                    yield node, "ops", place, other()
        case ast.BoolOp(op=operator):
            yield node, "op", None, ast.Or() if isinstance(operator, ast.And) else ast.And()
        case ast.BinOp(op=operator) if type(operator) in ARITHMETIC and not _is_text(node):
            yield node, "op", None, ARITHMETIC[type(operator)]()
        case ast.IfExp(test=test) if not isinstance(test, (ast.Compare, ast.BoolOp)):
            yield node, "test", None, _inverse(test)
        case ast.Call(func=ast.Name(id=name)) if name in SWAPPED:
            yield node, "func", None, ast.Name(SWAPPED[name], ast.Load())
    for field, value in ast.iter_fields(node):
        values = value if isinstance(value, list) else [value]
        for place, part in enumerate(values):
            other = _constant(part)
            if other is not None:
                yield node, field, place if isinstance(value, list) else None, other


def _constant(node: object) -> ast.expr | None:
    """Another number or truth value; None for everything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return node.operand
    if not isinstance(node, ast.Constant):
        return None
    if isinstance(node.value, bool):
        return ast.Constant(not node.value)
    return ast.Constant(node.value + 1) if isinstance(node.value, (int, float)) else None


def _inverse(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    return ast.UnaryOp(ast.Not(), test)


def _is_text(node: ast.BinOp) -> bool:
    """Whether something is put together of words: an f-string or a literal is one side of it."""
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, (str, bytes)))
        for side in (node.left, node.right)
    )
