"""Walk-forward: each choice knows only its past, each test is a backtest of its window."""

import numpy as np
import pytest

import nanotick as nt
from nanotick.research.executor import InProcess
from tests.research.studies import StopAfter, Taker, write_day

GRID = {"size": [100, 300], "wait": [1.0, 4.0]}
COMMON = {"cash": "1000000", "return_interval": 5.0, "objective": "net", "folds": 3, "train": 2}


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return write_day(tmp_path_factory.mktemp("walk"), seconds=200.0)


@pytest.fixture(scope="module")
def walked(day):
    return nt.walk_forward(day, Taker, GRID, workers=0, purge=3.0, **COMMON)


def test_each_step_chooses_the_best_of_its_past_and_tests_it_on_what_follows(day, walked):
    assert len(walked.steps) == 3 and walked.runs == 3 * 4 + 3
    step = walked.steps[1]
    assert step.window.train_end + 3_000_000_000 <= step.window.test_start
    inside = {}
    for size in GRID["size"]:
        for wait in GRID["wait"]:
            result = nt.backtest(
                day, Taker(size=size, wait=wait), cash="1000000", start=step.window.train_start,
                end=step.window.train_end,
            )  # fmt: skip
            inside[size, wait] = result.statistics.total.net
    assert tuple(dict(step.chosen.settings).values()) == max(inside, key=inside.get)
    test = nt.backtest(
        day, Taker(**dict(step.chosen.settings)), cash="1000000", start=step.window.test_start, end=step.window.test_end
    )
    assert step.outside.mean("net") == test.statistics.total.net
    assert step.outside.mean("fills") == test.statistics.total.fills > 3


def test_the_future_changes_no_choice(day, walked):
    """The data after a test is cut off: the steps before are the same."""
    from nanotick.research.study import load_inputs

    inputs = load_inputs(str(day))
    cut = inputs.until(walked.steps[1].window.test_end)
    again = nt.walk_forward(
        (np.ascontiguousarray(cut.recordings[0].events), cut.instruments), Taker, GRID, workers=0, purge=3.0,
        **{**COMMON, "folds": 2},
    )  # fmt: skip
    for before, after in zip(walked.steps[:2], again.steps, strict=True):
        assert before.chosen.settings == after.chosen.settings
        # pieces are cut by the length of the data, to the nanosecond
        assert abs(before.window.test_start - after.window.test_start) < 1_000_000


def test_tests_are_joined_in_order(walked):
    ts, values = walked.stitched
    assert (np.diff(ts) > 0).all()
    assert len(values) == sum(len(s.outside.outcomes[0].values) for s in walked.steps)
    assert walked.figures["net"] == pytest.approx(sum(s.outside.mean("net") for s in walked.steps))
    rates = [
        [c.mean("net") / (b - a) for c, a, b in ((s.chosen, s.window.train_start, s.window.train_end),
                                                 (s.outside, s.window.test_start, s.window.test_end))]
        for s in walked.steps
    ]  # fmt: skip
    inside, outside = np.mean(rates, axis=0)
    efficiency = walked.figures["efficiency"]
    assert np.isnan(efficiency) if inside <= 0 else efficiency == pytest.approx(outside / inside)


def test_an_anchored_walk_starts_at_the_beginning_each_time(day):
    found = nt.walk_forward(day, Taker, {"size": [100]}, workers=0, anchored=True, **COMMON)
    assert len({s.window.train_start for s in found.steps}) == 1


def test_a_walk_goes_on_where_it_stopped(day, tmp_path, walked):
    first = nt.walk_forward(day, Taker, GRID, executor=StopAfter(InProcess(), 6), purge=3.0, out=tmp_path, **COMMON)
    assert first.partial and not first.steps
    rest = nt.walk_forward(day, Taker, GRID, workers=0, purge=3.0, out=tmp_path, resume=True, **COMMON)
    assert rest.resumed == 6 and rest.figures["net"] == walked.figures["net"]


def test_a_walk_writes_its_report_and_its_figures(walked, tmp_path):
    page = walked.write_html(tmp_path / "walk.html").read_text()
    assert "Profit outside" in page and "Efficiency" in page and "https://" not in page
    told = walked.to_dict()
    assert told["schema"] == "nanotick.walk_forward/1"
    assert [s["settings"] for s in told["steps"]] == [dict(s.chosen.settings) for s in walked.steps]
    assert told["steps"][0]["outside"]["net"] == walked.steps[0].outside.mean("net")
