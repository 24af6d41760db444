"""Conditions in a sweep file or on the command line, parsed into a tree of allowed forms and never run as Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workloads.errors import InputError
from workloads.validation import did_you_mean, show_value

LENGTH_LIMIT = 1000
EXPONENT_LIMIT = 64
NUMBER_LIMIT = 2**1024

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}
ALLOWED = (
    "names such as array.groups, numbers, quoted text, true, false, + - * / // % **, < <= > >= == !=, and, or, not, "
    "parentheses, min, max and abs"
)
CONSTANTS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Expression:
    """A parsed condition; names are dotted and stand for values that are given when it is evaluated."""

    text: str
    label: str
    tree: ast.expr
    names: tuple[str, ...]

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Compute the value; arrays of one length may stand for numbers where `and`, `or`, `not` are not used.

        Raises:
            InputError: a name has no value, or a value does not suit its operator.
        """
        try:
            return compute(self.tree, values)
        except KeyError as error:
            raise InputError(f"{self.label}: {self.text!r} names {error.args[0]!r}, which has no value here") from None
        except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
            given = ", ".join(f"{name} = {values[name]!r}" for name in self.names)
            raise InputError(f"{self.label}: {self.text!r} cannot be computed for {given}: {error}") from None

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Tell whether the condition is met.

        Raises:
            InputError: as `evaluate`, or the value is neither true nor false.
        """
        value = self.evaluate(values)
        if not isinstance(value, bool):
            raise InputError(f"{self.label}: {self.text!r} gives {value!r}; a condition must give true or false")
        return value

    def require_names(self, allowed: Iterable[str]) -> None:
        """Refuse a name that stands for nothing.

        Raises:
            InputError: names the first.
        """
        known = list(allowed)
        for name in self.names:
            if name not in known:
                raise InputError(
                    f"{self.label}: {self.text!r} names {name!r}, which is unknown{did_you_mean(name, known)}"
                )


def parse_expression(text: str, label: str) -> Expression:
    """Parse a condition; `label` begins error messages.

    Raises:
        InputError: it is not one expression of the allowed forms.
    """
    shown = text if len(text) <= 80 else text[:77] + "..."
    if len(text) > LENGTH_LIMIT:
        raise InputError(
            f"{label}: {shown!r} is longer than {LENGTH_LIMIT} characters, the most that a condition may have"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"{label}: {shown!r} is not a condition; allowed are {ALLOWED}") from None
    names: dict[str, None] = {}
    try:
        check_form(tree, names)
    except ForbiddenFormError as error:
        raise InputError(f"{label}: {shown!r} holds {error}, which is not allowed; allowed are {ALLOWED}") from None
    except RecursionError:
        raise InputError(f"{label}: {shown!r} is nested too deeply") from None
    return Expression(text.strip(), label, tree, tuple(names))


class ForbiddenFormError(Exception):
    """A form that conditions may not have; the message shows its text."""


def check_form(node: ast.expr, names: dict[str, None]) -> None:
    """Walk a tree, collect its names, and stop at the first form that is not allowed."""
    parts: list[ast.expr] = []
    if isinstance(node, ast.Name | ast.Attribute):
        name = join_name(node)
        if name not in CONSTANTS:
            names[name] = None
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
        pass
    elif isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        parts = [node.left, node.right]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd | ast.Not):
        parts = [node.operand]
    elif isinstance(node, ast.BoolOp):
        parts = node.values
    elif isinstance(node, ast.Compare) and all(type(op) in COMPARISONS for op in node.ops):
        parts = [node.left, *node.comparators]
    elif is_function(node):
        parts = node.args  # type: ignore[attr-defined]
    else:
        raise ForbiddenFormError(repr(ast.unparse(node)))
    for part in parts:
        check_form(part, names)


def is_function(node: ast.expr) -> bool:
    """Tell whether a node calls one of the allowed functions with plain arguments."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in FUNCTIONS
        and not node.keywords
        and len(node.args) >= (1 if node.func.id == "abs" else 2)
        and not any(isinstance(argument, ast.Starred) for argument in node.args)
    )


def join_name(node: ast.expr) -> str:
    """Write a dotted name; the dots of Python's attributes only join words here."""
    if isinstance(node, ast.Attribute):
        return f"{join_name(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise ForbiddenFormError(repr(ast.unparse(node)))


def compute(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """Compute a checked tree."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name | ast.Attribute):
        name = join_name(node)
        return CONSTANTS[name] if name in CONSTANTS else values[name]
    if isinstance(node, ast.BinOp):
        return apply_binary(node.op, compute(node.left, values), compute(node.right, values))
    if isinstance(node, ast.UnaryOp):
        operand = compute(node.operand, values)
        if isinstance(node.op, ast.Not):
            return not require_boolean(operand)
        return -operand if isinstance(node.op, ast.USub) else +operand
    if isinstance(node, ast.BoolOp):
        is_and = isinstance(node.op, ast.And)
        found = (require_boolean(compute(part, values)) for part in node.values)
        return all(found) if is_and else any(found)
    if isinstance(node, ast.Compare):
        return compare(node, values)
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    return FUNCTIONS[node.func.id](*(compute(argument, values) for argument in node.args))


def apply_binary(op: ast.operator, left: Any, right: Any) -> Any:
    """Apply an arithmetic operator to numbers whose result stays of a reasonable size."""
    for operand in (left, right):
        if isinstance(operand, bool | str) or operand is None:
            raise TypeError(f"{operand!r} is not a number")
    if isinstance(op, ast.Pow) and abs(right) > EXPONENT_LIMIT:
        raise ValueError(f"the exponent {show_value(right)} is beyond {EXPONENT_LIMIT}")
    result = BINARY[type(op)](left, right)
    if isinstance(result, complex) or (isinstance(result, int) and abs(result) >= NUMBER_LIMIT):
        raise ValueError("the result is no number below 2**1024")
    return result


def compare(node: ast.Compare, values: Mapping[str, Any]) -> bool:
    """Compare a chain, such as ``1 < a <= b``; text and null are only equal or not."""
    left = compute(node.left, values)
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        right = compute(comparator, values)
        if not COMPARISONS[type(op)](left, right):
            return False
        left = right
    return True


def require_boolean(value: Any) -> bool:
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value
