"""The report: complete, self-contained, escaped, and its charts drawn where the data is."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nanotick.core.instruments import Instrument
from nanotick.engine.output import RunCounters
from nanotick.research import axes, charts
from nanotick.research.report import build_report
from nanotick.research.results import BacktestResult
from nanotick.research.summary import SCHEMA
from tests.research.runs import SECOND, START, RunBuilder
from tests.research.toy_market_maker import toy_run

VOID = {"meta", "link", "br", "img", "input"}


class Outline(HTMLParser):
    """Checks that elements are closed in order, and collects words, addresses and titles."""

    def __init__(self):
        super().__init__()
        self.open, self.words, self.addresses, self.headings = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action", "data")]

    def handle_startendtag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>"
        self.open.pop()

    def handle_data(self, text):
        if self.open and self.open[-1] in ("h2", "h3"):
            self.headings.append(text)
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(text)


def outline(page):
    found = Outline()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


@pytest.fixture(scope="module")
def traded():
    return BacktestResult(toy_run(240.0))


@pytest.fixture(scope="module")
def page(traded):
    return build_report(traded)


def test_the_page_holds_every_part(page):
    headings = outline(page).headings
    for wanted in (
        "Profit and drawdown", "Drawdown", "Strategies", "By cause", "By strategy and instrument", "By hour",
        "Mark-outs", "ALFA at SIM", "BETA at SIM", "GAMA at SIM", "Position", "Inventory and execution",
        "Order latency", "Queue", "Risk", "Parameters", "Data, code and machine",
    ):  # fmt: skip
        assert wanted in headings


def test_the_page_asks_the_network_for_nothing(page):
    assert all(address == "data:," for address in outline(page).addresses)
    assert "://" not in page
    assert not re.search(r"@import|url\(", page)


def test_the_page_says_the_same_figures_as_the_statistics(traded, page):
    words = " ".join(outline(page).words)
    total = traded.statistics.total
    assert f"{total.fills:,}" in words
    assert f"{abs(total.net):,.2f}" in words
    assert traded.output.code_hash in words


def test_every_coordinate_is_a_finite_number(page):
    for drawing in re.findall(r"<svg.*?</svg>", page, re.S):
        for attribute in re.findall(r' (?:d|x|y|width|height|cx|cy|r)="([^"]*)"', drawing):
            assert not re.search(r"nan|inf", attribute), attribute
    assert page.count("<svg") >= 22


def test_names_from_outside_are_escaped():
    evil = "<script>alert(1)</script>\"'&"
    run = RunBuilder([Instrument(evil, evil)], (evil,))
    run.strategies[0] = replace(run.strategies[0], parameters={evil: evil}, doc=evil, class_name=evil)
    run.mark(0, 9_999, 10_001).new(1, 1, 1, 10_000, 10).fill(1, 1, 1, 10_000, 10).mark(90, 9_999, 10_001)
    run.report(67, 2, 0, word=5, price=1, qty=2, seq=0)
    result = BacktestResult(run.output(config={evil: [evil]}, check_names={5: evil}))
    page = build_report(result, evil)
    outline(page)
    assert "alert(1)</script>" not in page
    assert page.count("<script>") == 1


def test_a_run_of_nothing_still_makes_a_page_that_says_why():
    page = build_report(BacktestResult(RunBuilder().output(counters=RunCounters())))
    words = " ".join(outline(page).words)
    assert "maker did not trade" in words
    assert "nanotick data inspect" in words


def test_a_partial_run_says_so(traded):
    partial = BacktestResult(replace(traded.output, partial=True))
    assert "stopped before the end of the data" in build_report(partial)
    assert "partial run" in str([c.header for c in partial.summary().columns])


def test_many_instruments_draw_only_the_most_traded():
    run = RunBuilder([Instrument(f"S{n}", "SIM") for n in range(40)])
    for n in range(40):
        run.mark(0, 99, 101, n).mark(100, 99, 101, n)
    run.new(1, 1, 1, 100, 10, instrument=33).fill(1, 1, 1, 100, 10, instrument=33)
    headings = outline(build_report(BacktestResult(run.output()))).headings
    drawn = [h for h in headings if h.endswith("at SIM")]
    assert len(drawn) == 6 and "S33 at SIM" in drawn


def test_the_report_is_written_whole_and_beside_no_leftovers(traded, tmp_path):
    path = traded.write_html(tmp_path / "report.html")
    assert path.read_text("utf-8").endswith("</html>\n")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_json_is_plain_and_stable(traded, tmp_path):
    found = json.loads(traded.write_json(tmp_path / "run.json").read_text())
    assert found["schema"] == SCHEMA
    assert set(found) == {
        "schema", "version", "partial", "currency", "counters", "total", "strategies", "instruments", "hours",
        "diagnosis", "notes", "config", "data", "hashes",
    }  # fmt: skip
    assert found["total"]["fills"] == len(traded.fills)
    assert found["total"]["net"] == pytest.approx(sum(s["figures"]["net"] for s in found["strategies"]))
    assert [i["symbol"] for i in found["strategies"][0]["instruments"]] == ["ALFA", "BETA", "GAMA"]
    assert found["strategies"][0]["refusals"][0]["check"] == "position"
    empty = BacktestResult(RunBuilder().output()).to_dict()
    assert json.loads(json.dumps(empty, allow_nan=False))["total"]["sharpe"] is None


def test_the_summary_fits_a_terminal_of_80_columns(traded):
    from io import StringIO

    from rich.console import Console

    text = StringIO()
    Console(file=text, width=80).print(traded.summary())
    lines = text.getvalue().splitlines()
    assert "…" not in text.getvalue()
    assert any(line.startswith((" Net P&L", "Net P&L")) for line in lines)
    assert max(len(line) for line in lines) <= 80


# --- axes and charts -----------------------------------------------------------------------------------------------


@given(arrays(np.float64, st.integers(1, 3_000), elements=st.floats(-1e6, 1e6)), st.integers(1, 200))
def test_an_envelope_keeps_the_extremes_of_every_pixel(values, pixels):
    places = np.linspace(0, 1, len(values))
    x, y = axes.envelope(places, values, pixels)
    assert len(x) <= max(len(values) if len(values) <= 2 * pixels else 0, 2 * pixels + 2)
    column = np.minimum((places * pixels).astype(int), pixels - 1)
    kept = np.minimum((x * pixels).astype(int), pixels - 1)
    for c in np.unique(column):
        assert y[kept == c].min() == values[column == c].min()
        assert y[kept == c].max() == values[column == c].max()
    assert (x[0], y[0], x[-1], y[-1]) == (places[0], values[0], places[-1], values[-1])


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e9), st.integers(2, 12))
def test_round_ticks_lie_inside_and_are_evenly_spaced(low, size, wanted):
    ticks = axes.round_ticks(low, low + size, wanted)
    step = np.diff(ticks)
    assert len(ticks) <= wanted + 1
    assert all(low - size * 1e-6 <= t <= low + size * (1 + 1e-6) for t in ticks)
    if len(ticks) > 2:
        np.testing.assert_allclose(step, step[0], rtol=1e-3)


def test_nights_are_cut_out_of_the_time_axis():
    day = np.arange(0, 3_601, 60) * SECOND
    night = 20 * 3_600 * SECOND
    axis = axes.TimeAxis(np.concatenate([START + day, START + night + day]))
    assert len(axis.sessions) == 2
    assert axis.place(START + day[-1]) == pytest.approx(0.5)
    assert axis.place(START + night // 2) == pytest.approx(0.5)
    assert axis.place(START + night + 1_800 * SECOND) == pytest.approx(0.75)
    assert [label for _, label in axis.ticks(5)] == ["05 Jan", "06 Jan"]
    assert abs(int(axis.time(0.25)) - (START + 1_800 * SECOND)) < SECOND


def test_times_of_day_are_local():
    axis = axes.TimeAxis(np.array([START, START + 3_600 * SECOND]), offset_ns=-5 * 3_600 * SECOND)
    assert [label for _, label in axis.ticks(4)] == ["09:30", "10:00", "10:30"] or axis.ticks(4)[0][1] == "09:30"


def test_fills_close_together_are_one_marker_at_their_average():
    axis = axes.TimeAxis(np.array([START, START + 100 * SECOND]))
    ts = START + np.array([10, 10, 90]) * SECOND
    markers = charts.group_fills(
        axis, ts, np.array([10.0, 13.0, 20.0]), np.array([200.0, 100.0, 5.0]), np.array([1, 1, -1]), 10
    )
    assert [(m.side, m.value) for m in markers] == [(1, 11.0), (-1, 20.0)]
    assert markers[0].title == "bought 300 at 11.0000 in 2 fills"


@pytest.mark.parametrize(
    ("counted", "bins"), [([1.0, 10.0, 100.0, 1000.0], 3), ([5.0, 5.0], 1), ([], 0), ([0.0, -1.0], 0)]
)
def test_histograms_of_ratio_count_everything_positive(counted, bins):
    edges, counts = axes.log_histogram(np.array(counted), 3)
    assert len(counts) == bins
    assert counts.sum() == sum(1 for v in counted if v > 0)
    assert len(edges) == (bins + 1 if bins else 0)
