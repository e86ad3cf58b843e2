"""The pages of the built-in strategies say what the code says."""

from __future__ import annotations

import doctest
import importlib
import re

import pytest

from nanotick.strategies import BUILT_IN, built_in
from nanotick.strategies.describe import described
from tools import strategy_pages
from tools.strategy_pages import PAGES, PICTURES, REPOSITORY, lean, page, picture, stale


def test_every_strategy_has_a_page_that_is_current() -> None:
    assert stale() == []
    assert {path.stem for path in PICTURES.glob("*.svg")} == set(BUILT_IN)


def test_a_page_that_has_drifted_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(strategy_pages.RUNS, "grid", ("BETA", {"step": 99}))
    assert stale() == ["docs/strategies/grid.md"]


def test_the_index_and_the_navigation_name_every_page() -> None:
    index = (REPOSITORY / "docs" / "strategies.md").read_text("utf-8")
    navigation = (REPOSITORY / "mkdocs.yml").read_text("utf-8")
    for name in BUILT_IN:
        assert f"(strategies/{name}.md)" in index
        assert f": strategies/{name}.md" in navigation


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_parameter_and_default_is_on_the_page(name: str) -> None:
    cls = built_in(name)
    text = page(name)
    known = {item.name for item in described(cls)}
    for item in described(cls):
        assert re.search(rf"^\| `{item.name}` \| {item.kind} \| ", text, re.MULTILINE)
        assert item.meaning
    # what can be set and is not state is documented: nothing that a run's picture sets is missing
    assert set(strategy_pages.RUNS[name][1]) <= known


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(BUILT_IN[name][0]))
    assert tried > 0
    assert failed == 0


def test_a_picture_keeps_the_rules_it_uses() -> None:
    svg = (
        "<svg><style>:root { --a: #fff; }\n@media (prefers-color-scheme: dark) {\n  :root { --a: #000; }\n}\n"
        "body { margin: 0; }\n.line { fill: none; } .cell, .line.s0 { stroke: red; }\n.tip { left: 0; }\n"
        'tr.line td { top: 0; }</style><path class="line s0"/></svg>'
    )
    assert lean(svg) == (
        "<svg><style>:root { --a: #fff; }@media (prefers-color-scheme: dark) {\n  :root { --a: #000; }\n}\n"
        '.line { fill: none; }\n.cell, .line.s0 { stroke: red; }</style><path class="line s0"/></svg>'
    )


def test_a_run_in_a_made_market_draws_the_picture_that_is_shipped() -> None:
    shipped = (PICTURES / "triangular-arbitrage.svg").read_text("utf-8")
    drawn = picture("triangular-arbitrage")
    assert shipped.split("</style>")[1] == drawn.split("</style>")[1]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_picture_shows_a_run_that_trades_and_is_small(name: str) -> None:
    text = (PICTURES / f"{name}.svg").read_text("utf-8")
    said = re.search(r"([\d,]+) orders, ([\d,]+) fills", text)
    assert said
    assert int(said[2].replace(",", "")) >= 5
    assert len(text) < 60_000


@pytest.mark.nightly
def test_every_picture_is_current() -> None:
    assert stale(pictures=True) == []


def test_pages_are_where_the_tool_writes_them() -> None:
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted(BUILT_IN)
