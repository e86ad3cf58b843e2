"""What is made as large as possible: a statistic by name, or an expression such as `net - 0.5 * max_drawdown`.

Expressions know numbers, names of statistics, + - * / **, comparisons, `x if condition else y`, and abs, min, max,
sqrt, log. They are read as a tree and never executed.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nanotick.core.suggest import nearest

ALIASES = {"pnl": "net", "profit": "net", "drawdown": "max_drawdown"}

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_CALLS: dict[str, Callable[..., float]] = {"abs": abs, "min": min, "max": max, "sqrt": math.sqrt, "log": math.log}


class ObjectiveError(ValueError):
    """An objective names what does not exist, or is no expression."""


class Objective:
    """An objective, checked when it is made.

    Parameters
    ----------
    text : str
        Name or expression.
    names : iterable of str
        Statistics that there are.

    Raises
    ------
    ObjectiveError
        With the nearest match of an unknown name.

    Examples
    --------
    >>> Objective("net - 2 * max_drawdown", ["net", "max_drawdown"])({"net": 10.0, "max_drawdown": 3.0})
    4.0
    """

    def __init__(self, text: str, names: Iterable[str]) -> None:
        self.text = text.strip()
        known = sorted({*names, *ALIASES})
        try:
            self._tree = ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            raise ObjectiveError(f"objective {text!r}: not an expression: {error.msg}") from None
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Name) and node.id not in known and node.id not in _CALLS:
                hint = nearest(node.id, known, 0.5)
                raise ObjectiveError(
                    f"objective {text!r}: no statistic {node.id!r}{hint} There are: {', '.join(known)}"
                )
        _evaluate(self._tree, None)

    def __call__(self, statistics: Mapping[str, Any]) -> float:
        """Value for one run; NaN where a statistic in it is not defined, or the arithmetic has no result."""
        try:
            value = float(_evaluate(self._tree, statistics))
        except (ZeroDivisionError, ValueError, OverflowError, TypeError):
            return math.nan
        return value if math.isfinite(value) else math.nan


def _evaluate(node: ast.AST, values: Mapping[str, Any] | None) -> float:
    """The value of a tree; without values only its form is checked."""
    again = [_evaluate(child, values) for child in _operands(node)]
    if values is None:
        return 0.0
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        found = values.get(node.id, values.get(ALIASES.get(node.id, "")))
        return math.nan if found is None else float(found)
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](*again)
    if isinstance(node, ast.UnaryOp):
        return -again[0] if isinstance(node.op, ast.USub) else again[0]
    if isinstance(node, ast.Compare):
        return float(_COMPARE[type(node.ops[0])](*again))
    if isinstance(node, ast.IfExp):
        return again[1] if again[0] else again[2]
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    if any(math.isnan(value) for value in again):
        return math.nan
    return _CALLS[node.func.id](*again)


def _operands(node: ast.AST) -> list[ast.AST]:
    """What has to be known before a node is.

    Raises
    ------
    ObjectiveError
        The node is nothing an objective may hold.
    """
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return []
    if isinstance(node, ast.Name):
        return []
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return [node.operand]
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
        return [node.left, node.comparators[0]]
    if isinstance(node, ast.IfExp):
        return [node.test, node.body, node.orelse]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS and not node.keywords:
        return list(node.args)
    raise ObjectiveError(
        f"objective: {ast.unparse(node)!r} is not allowed; there are numbers, names, + - * / **, comparisons, "
        f"`a if b else c` and {', '.join(_CALLS)}"
    )
