"""Objectives by name and by expression, and what they refuse."""

import math

import pytest

from nanotick.research.objective import Objective, ObjectiveError

NAMES = ["net", "sharpe", "max_drawdown", "fills"]
ROW = {"net": 12.0, "sharpe": 1.5, "max_drawdown": 4.0, "fills": 0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sharpe", 1.5),
        ("pnl", 12.0),
        ("net - 0.5 * max_drawdown", 10.0),
        ("-drawdown ** 2", -16.0),
        ("min(net, 3) + abs(-2)", 5.0),
        ("sharpe if fills > 10 else -1", -1.0),
        ("sqrt(max_drawdown)", 2.0),
    ],
)
def test_names_and_expressions(text, value):
    assert Objective(text, NAMES)(ROW) == value


def test_what_has_no_value_is_nan():
    assert math.isnan(Objective("net / fills", NAMES)(ROW))
    assert math.isnan(Objective("sharpe", NAMES)({"sharpe": None}))
    assert math.isnan(Objective("max(sharpe, 1)", NAMES)({"sharpe": math.nan}))
    assert math.isnan(Objective("sqrt(net)", NAMES)({"net": -1.0}))


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ObjectiveError, match="no statistic 'sharp'; did you mean 'sharpe'"):
        Objective("sharp", NAMES)


@pytest.mark.parametrize("text", ["__import__('os')", "net.real", "[net]", "lambda: net", "'net'", "net <", "f(net)"])
def test_nothing_but_arithmetic_is_allowed(text):
    with pytest.raises(ObjectiveError):
        Objective(text, NAMES)
