"""Sweeps: the same figures as single backtests, kept through Ctrl-C and crashes, judged as a choice among many."""

import json
import math
import os

import numpy as np
import pyarrow.parquet as pq
import pytest

import nanotick as nt
from nanotick.research.executor import InProcess, LocalProcesses
from nanotick.research.grid import fit_axes, make_axes, parse_axis
from nanotick.research.job import STATISTICS
from nanotick.research.run_config import RunConfig, RunConfigError, StrategyChoice
from nanotick.research.run_log import LOG_NAME
from nanotick.research.sensitivity import Surface, robustness
from tests.research.studies import StopAfter, Taker, needs_ray, write_day

GRID = {"size": [100, 200, 300], "wait": [1.0, 3.0]}


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return write_day(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def swept(day):
    return nt.sweep(day, Taker, GRID, workers=0, cash="1000000", return_interval=5.0, seeds=(1, 2))


# --- the grid ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1,2,5", (1, 2, 5)),
        ("a=0.1:0.3:3", (0.1, 0.2, 0.3)),
        ("a=100:500:5", (100, 200, 300, 400, 500)),
        ("a=0.01:1:3:log", (0.01, 0.1, 1.0)),
        ("a=true,false", (True, False)),
        ("a=fifo,power_prob", ("fifo", "power_prob")),
        ("a=3", (3,)),
    ],
)
def test_axes_are_read(text, values):
    assert parse_axis(text).values == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a", "expected NAME=A,B,C"), ("a=1:2", "LOW:HIGH:COUNT"), ("a=1:2:3:cubic", "`log` or nothing"),
        ("a=0:1:3:log", "must be positive"), ("a=1,1", "there twice"), ("a=1,,2", "expected numbers"),
        ("a=1:2:1", "two values or more"),
    ],
)  # fmt: skip
def test_axes_that_make_no_sense_are_refused(text, said):
    with pytest.raises(RunConfigError, match=said):
        parse_axis(text)


def test_ranges_of_integer_parameters_are_rounded_and_wrong_values_refused():
    config = RunConfig(strategies=(StrategyChoice("imbalance"),))
    [axis] = fit_axes(make_axes(["size=100:101:5"]), config)
    assert axis.values == (100, 101)
    with pytest.raises(RunConfigError, match="size is int, found 'abc'"):
        fit_axes(make_axes(["size=abc"]), config)
    with pytest.raises(RunConfigError, match="did you mean 'threshold'"):
        fit_axes(make_axes(["treshold=1"]), config)
    with pytest.raises(RunConfigError, match="unknown name 'fifoo'"):
        fit_axes(make_axes(["venue.queue=fifoo"]), config)
    with pytest.raises(RunConfigError, match="there twice"):
        make_axes(["a=1", "a=2"])


# --- runs -------------------------------------------------------------------------------------------------------------


def test_every_run_has_the_figures_of_a_backtest_of_its_own(day, swept):
    assert len(swept.outcomes) == 12 and not swept.failed
    for outcome in (swept.outcomes[0], swept.outcomes[7]):
        result = nt.backtest(day, Taker(**dict(outcome.task.settings)), cash="1000000", seed=outcome.task.seed)
        total = result.statistics.total
        assert outcome.statistics["net"] == total.net
        assert outcome.statistics["fills"] == total.fills > 20
        curve = result.equity_of()["equity_float"]
        # steps of five seconds; what is after the last whole step is in none
        place = np.searchsorted(result.equity_of()["ts"], outcome.ts[-1], "right") - 1
        assert outcome.values.sum() == pytest.approx(curve[place] - curve[0])
    assert set(swept.outcomes[0].statistics) == set(STATISTICS)


def test_processes_give_what_one_process_gives_and_compile_nothing(day, swept):
    again = nt.sweep(
        day, Taker, GRID, workers=2, cash="1000000", return_interval=5.0, seeds=(1, 2), executor=LocalProcesses(2)
    )
    assert [o.statistics for o in again.outcomes] == [o.statistics for o in swept.outcomes]
    assert [o.returns for o in again.outcomes] == [o.returns for o in swept.outcomes]
    assert sum(o.compiled for o in again.outcomes) == 0
    assert os.getpid() not in {o.worker for o in again.outcomes}


@needs_ray
def test_ray_gives_what_one_process_gives(day, swept):
    from nanotick.research.ray_executor import RayCluster

    cluster = RayCluster("auto", 2)
    try:
        again = nt.sweep(day, Taker, GRID, cash="1000000", return_interval=5.0, seeds=(1, 2), executor=cluster)
    finally:
        cluster.close()
    assert [o.statistics for o in again.outcomes] == [o.statistics for o in swept.outcomes]


def test_the_best_is_judged_by_the_mean_over_seeds(swept):
    by_hand = {}
    for outcome in swept.outcomes:
        by_hand.setdefault(outcome.task.settings, []).append(outcome.statistics["sharpe"])
    means = {k: sum(v) / len(v) for k, v in by_hand.items()}
    assert swept.best.settings == max(means, key=means.get)
    assert swept.best.score == pytest.approx(max(means.values()))
    _, returns, kept = swept.returns
    assert returns.shape[1] == len(kept) == 6
    found = swept.credibility
    assert found.trials == 6 and found.overfitting.configurations == 6
    assert found.deflated <= found.deflated_independent <= found.probabilistic + 1e-12


def test_a_failing_run_is_a_row_with_its_error(day):
    found = nt.sweep(day, Taker, {"size": [100, 2**70]}, workers=0)
    [failed] = found.failed
    assert dict(failed.task.settings)["size"] == 2**70
    assert "OverflowError" in failed.error
    assert found.best.settings == (("size", 100),)
    assert found.to_arrow().column("error").to_pylist()[0] is None
    assert found.to_dict()["runs"] == {**found.to_dict()["runs"], "done": 2, "failed": 1}


def test_arrays_and_chosen_symbols_are_shared_as_files(day):
    made = nt.synthetic_day(seed=3, seconds=180.0)
    from_arrays = nt.sweep(
        (made.events, made.instruments), Taker, {"size": [100]}, symbols=("BETA",), cash="1000000", workers=1
    )
    direct = nt.backtest(day, Taker(size=100), symbols=("BETA",), cash="1000000")
    assert from_arrays.outcomes[0].statistics["net"] == direct.statistics.total.net


def test_a_class_without_a_file_is_refused():
    class Local(nt.Strategy):
        size: int = 1

        def on_book(self, ctx):
            pass

    with pytest.raises(RunConfigError, match="put it into a module"):
        nt.sweep("day.nt", Local, {"size": [1]})


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_an_interrupted_sweep_keeps_what_is_done_and_goes_on(day, tmp_path, swept):
    arguments = {"cash": "1000000", "return_interval": 5.0, "seeds": (1, 2), "out": tmp_path}
    first = nt.sweep(day, Taker, GRID, executor=StopAfter(InProcess(), 5), **arguments)
    assert first.partial and len(first.outcomes) == 5
    assert pq.read_table(tmp_path / "runs.parquet").num_rows == 5
    with pytest.raises(RunConfigError, match="holds 5 finished runs: --resume"):
        nt.sweep(day, Taker, GRID, workers=0, **arguments)
    calls = []
    rest = nt.sweep(day, Taker, GRID, workers=0, resume=True, progress=lambda *a: calls.append(a), **arguments)
    assert calls[-1][:2] == (7, 7) and rest.resumed == 5  # nothing is run twice
    assert [o.statistics for o in rest.outcomes] == [o.statistics for o in swept.outcomes]
    nothing = nt.sweep(day, Taker, GRID, workers=0, resume=True, **arguments)
    assert nothing.resumed == 12


def test_a_half_written_row_is_dropped(day, tmp_path, swept):
    arguments = {"cash": "1000000", "return_interval": 5.0, "seeds": (1, 2), "out": tmp_path, "workers": 0}
    nt.sweep(day, Taker, GRID, **arguments)
    log = tmp_path / LOG_NAME
    whole = log.read_bytes()
    for cut in (len(whole) - 1, len(whole) - 700, 20, 5, 0):
        log.write_bytes(whole[:cut])
        again = nt.sweep(day, Taker, GRID, resume=True, **arguments)
        assert [o.statistics for o in again.outcomes] == [o.statistics for o in swept.outcomes]
        assert (again.resumed < 12) and (cut < len(whole) - 1 or again.resumed == 11)
    flipped = bytearray(whole)
    flipped[-30] ^= 1
    log.write_bytes(flipped)
    assert nt.sweep(day, Taker, GRID, resume=True, **arguments).resumed == 11


def test_a_wider_grid_goes_on_and_another_study_is_refused(day, tmp_path):
    arguments = {"workers": 0, "out": tmp_path, "resume": True}
    nt.sweep(day, Taker, {"size": [100]}, **arguments)
    wider = nt.sweep(day, Taker, {"size": [50, 100]}, **arguments)
    assert wider.resumed == 1 and [dict(o.task.settings)["size"] for o in wider.outcomes] == [50, 100]
    with pytest.raises(RunConfigError, match="another study \\(different: configuration"):
        nt.sweep(day, Taker, {"size": [100]}, cash="70000", **arguments)


def test_tables_and_json_hold_every_run(day, tmp_path, swept):
    runs, returns = swept.write_parquet(tmp_path)
    table = pq.read_table(runs)
    assert table.column_names[:5] == ["run", "size", "wait", "seed", "error"]
    assert table.column("net").to_pylist() == [o.statistics["net"] for o in swept.outcomes]
    series = pq.read_table(returns).column("returns").to_pylist()
    assert series[3] == swept.outcomes[3].values.tolist()
    found = json.loads(json.dumps(swept.to_dict()))
    assert found["schema"] == "nanotick.sweep/1"
    assert found["best"]["settings"] == dict(swept.best.settings)
    assert found["grid"] == GRID
    assert len(found["configurations"]) == 6


def test_the_report_stands_alone_and_shows_the_best(swept, tmp_path):
    page = swept.write_html(tmp_path / "sweep.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "http://" not in page and "https://" not in page
    for said in ("Deflated Sharpe ratio", "Probability of backtest overfitting", "sharpe over size and wait"):
        assert said in page
    assert page.count("<svg") >= 8
    assert "nan" not in page.lower().replace("nanotick", "")


# --- sensitivity ------------------------------------------------------------------------------------------------------


def test_a_plateau_is_told_from_a_spike():
    axes = make_axes({"x": range(7), "y": range(7)})

    def surface(function):
        return Surface(axes, {(("x", x), ("y", y)): function(x, y) for x in range(7) for y in range(7)})

    hill = robustness(surface(lambda x, y: 10 - 0.5 * ((x - 3) ** 2 + (y - 3) ** 2)))
    assert hill.kept > 0.9 and hill.neighbours == 8 and not hill.on_edge
    spike = robustness(surface(lambda x, y: 12.0 if (x, y) == (1, 5) else 8.0 if x > 2 and y < 4 else 0.0))
    assert spike.kept == 0.0
    assert dict(spike.plateau)["x"] > 2 and spike.plateau_value == 8.0
    corner = robustness(surface(lambda x, y: x + y))
    assert corner.on_edge == ("x", "y") and corner.neighbours == 3


def test_holes_in_a_grid_are_no_zeros():
    axes = make_axes({"x": [1, 2, 3]})
    found = robustness(Surface(axes, {(("x", 1),): 4.0, (("x", 2),): 5.0, (("x", 3),): math.nan}))
    assert (found.best, found.neighbours, found.mean) == (5.0, 1, 4.0)
    assert robustness(Surface(axes, {})) is None
