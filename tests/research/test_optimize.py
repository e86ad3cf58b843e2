"""Searches: they find what is there, give up what is bad, and go on where they stopped."""

import pytest

import nanotick as nt
from nanotick.research.executor import InProcess
from nanotick.research.job import STATISTICS
from nanotick.research.optimize import PRUNED, make_space, parse_range
from nanotick.research.run_config import RunConfig, RunConfigError, StrategyChoice
from tests.research.studies import StopAfter, Taker, write_day

optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'nanotick[optuna]'")

# waiting longer loses less: taking costs half a spread each time
SPACE = {"wait": (0.5, 20.0), "size": [100, 200]}
COMMON = {"cash": "1000000", "return_interval": 5.0, "objective": "net"}


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return write_day(tmp_path_factory.mktemp("optimize"), seconds=120.0)


@pytest.fixture(scope="module")
def searched(day):
    return nt.optimize(day, Taker, SPACE, trials=16, workers=0, seed=5, **COMMON)


def test_a_search_finds_that_taking_less_loses_less(day, searched):
    eager = nt.backtest(day, Taker(wait=0.5, size=100), cash="1000000").statistics.total.net
    assert eager < -100 < -10 < searched.best.score
    assert dict(searched.best.settings)["wait"] > 4
    assert searched.best.score == max(c.score for c in searched.ranked if c.score == c.score)
    assert searched.credibility.trials == searched.tried


def test_the_same_seed_repeats_a_search(day, searched):
    again = nt.optimize(day, Taker, SPACE, trials=16, workers=0, seed=5, **COMMON)
    assert [o.task.settings for o in again.outcomes] == [o.task.settings for o in searched.outcomes]
    assert [o.error for o in again.outcomes] == [o.error for o in searched.outcomes]


def test_bad_trials_are_given_up_and_say_when(searched):
    given_up = [o for o in searched.outcomes if o.error]
    assert given_up and len(given_up) == searched.pruned
    assert all(o.error.startswith(PRUNED) for o in given_up)
    assert not searched.failed  # giving up is no failure
    finished = [dict(o.task.settings)["wait"] for o in searched.outcomes if not o.error]
    assert max(dict(o.task.settings)["wait"] for o in given_up) < max(finished)


def test_without_a_pruner_every_trial_runs_to_its_end_and_slices_change_nothing(day):
    found = nt.optimize(day, Taker, SPACE, trials=7, workers=0, pruner="none", seed=2, **COMMON)
    assert not any(o.error for o in found.outcomes)
    sliced = nt.optimize(day, Taker, SPACE, trials=5, workers=0, pruner="median", seed=2, **COMMON)
    # the first five trials are never given up: looking at them on the way leaves their figures alone
    assert [o.statistics for o in sliced.outcomes] == [o.statistics for o in found.outcomes[:5]]


def test_a_search_goes_on_where_it_stopped(day, tmp_path):
    first = nt.optimize(day, Taker, SPACE, trials=9, executor=StopAfter(InProcess(), 4), out=tmp_path, **COMMON)
    assert first.partial and len(first.outcomes) == 4
    with pytest.raises(RunConfigError, match="--resume"):
        nt.optimize(day, Taker, SPACE, trials=9, workers=0, out=tmp_path, **COMMON)
    rest = nt.optimize(day, Taker, SPACE, trials=9, workers=0, out=tmp_path, resume=True, **COMMON)
    # the fifth trial had run when the stop came, but its outcome was not taken
    assert rest.trials_before == 5 and len(rest.outcomes) == 8
    assert len({o.task.number for o in rest.outcomes}) == 8
    assert (tmp_path / "runs.parquet").is_file() and (tmp_path / "study.journal").is_file()


def test_workers_share_a_study(day):
    found = nt.optimize(day, Taker, SPACE, trials=6, workers=2, **COMMON)
    assert len(found.outcomes) == 6 and not found.failed
    assert len({o.task.settings for o in found.outcomes}) > 3


def test_a_search_stops_when_its_time_is_up(day):
    found = nt.optimize(day, Taker, SPACE, trials=500, workers=0, timeout=0.01, **COMMON)
    assert len(found.outcomes) == 1


def test_a_search_writes_its_report(searched, tmp_path):
    page = searched.write_html(tmp_path / "search.html").read_text()
    assert "The search" in page and "Search of Taker over wait, size" in page
    told = searched.to_dict()
    assert told["schema"] == "nanotick.optimize/1" and "grid" not in told
    assert set(told["best"]["statistics"]) == set(STATISTICS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size", "expected NAME=LOW:HIGH"), ("size=1:x", "two numbers"), ("size=5:1", "lower end"),
        ("size=0:1:log", "lower end"), ("size=1:2:cubic", "`log` or nothing"),
    ],
)  # fmt: skip
def test_ranges_that_make_no_sense_are_refused(text, said):
    with pytest.raises(RunConfigError, match=said):
        parse_range(text)


def test_spaces_fit_their_parameters():
    config = RunConfig(strategies=(StrategyChoice("imbalance"),))
    [size, threshold] = make_space(["size=100.5:300", "threshold=0.1:0.9"], config)
    assert size.whole and (size.low, size.high) == (101, 300) and not threshold.whole
    with pytest.raises(RunConfigError, match="did you mean 'threshold'"):
        make_space(["treshold=0:1"], config)
    with pytest.raises(RunConfigError, match="nothing to search"):
        make_space([], config)
