"""Monte Carlo: made markets are those of their seeds, and what is redrawn is the run itself."""

import numpy as np
import pytest

import nanotick as nt
from nanotick.research.bootstrap import bootstrap
from nanotick.research.run_config import RunConfigError
from nanotick.research.scenario import Scenario, SyntheticScenario, scenario_from
from tests.research.studies import Taker, write_day

COMMON = {"cash": "1000000", "return_interval": 5.0, "workers": 0}
SHORT = "synthetic:seconds=60"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    day = write_day(tmp_path_factory.mktemp("monte"), seconds=120.0)
    return nt.monte_carlo(
        day, Taker, scenarios=[SHORT, SyntheticScenario(60.0, volatility=3.0)], seeds=(1, 2, 3), paths=400, **COMMON
    )


def test_each_market_is_that_of_its_seed(found):
    assert [m.name for m in found.markets] == ["recorded data", SHORT, "synthetic:seconds=60,volatility=3"]
    for outcome in found.markets[1].outcomes[:2]:
        day = nt.synthetic_day(seed=outcome.task.seed, seconds=60.0)
        result = nt.backtest((day.events, day.instruments), Taker(), cash="1000000", seed=outcome.task.seed)
        assert outcome.statistics["net"] == result.statistics.total.net
    profits = found.markets[1].distribution("net").values
    assert len(set(profits.tolist())) == 3
    assert found.markets[1].error_of_mean == pytest.approx(profits.std(ddof=1) / np.sqrt(3))


def test_what_is_redrawn_is_the_run_over_recorded_data(found):
    first = found.markets[0].outcomes[0]
    expected = bootstrap(first.values, 1_000_000.0, 400, seed=1, ruin_shares=(0.01, 0.05, 0.1, 0.25))
    np.testing.assert_array_equal(found.resampled.profit.values, expected.profit.values)
    assert found.resampled.observed[-1] == pytest.approx(first.values.sum())
    assert any("nothing in this run is drawn at random" in note for note in found.notes)


def test_trades_add_up_to_the_profit_that_was_realised(tmp_path):
    day = write_day(tmp_path, seconds=120.0)
    found = nt.monte_carlo(day, Taker, seeds=(1,), paths=200, resample="trades", mean_block=1.0, **COMMON)
    fills = nt.backtest(day, Taker(), cash="1000000").fills
    closing = np.flatnonzero(np.asarray(fills["realised_float"]) != 0)
    net = float(fills["realised_float"].sum() - fills["fee_float"][: closing[-1] + 1].sum())
    assert found.resampled.observed[-1] == pytest.approx(net)
    assert int(found.resampled.steps[-1]) == len(closing) > 5


def test_scenarios_are_read_by_name():
    assert scenario_from("synthetic:volatility=2,form=levels").name == "synthetic:form=levels,volatility=2"
    assert isinstance(scenario_from("synthetic"), Scenario)
    with pytest.raises(RunConfigError, match="did you mean 'synthetic'"):
        scenario_from("syntetic")
    with pytest.raises(RunConfigError, match="did you mean 'volatility'"):
        scenario_from("synthetic:volatilty=2")
    with pytest.raises(RunConfigError, match="volatility is float, found 'high'"):
        scenario_from("synthetic:volatility=high")


def test_described_markets_react_and_are_those_of_their_seeds():
    scenario = scenario_from("us-equities:seconds=4,warm_up=1")
    found = nt.monte_carlo(
        strategy=Taker, scenarios=[scenario], seeds=(1, 2), symbols=("SPY", "AAPL"), paths=0, **COMMON
    )  # fmt: skip
    outcomes = found.markets[0].outcomes
    assert [o.error for o in outcomes] == ["", ""]
    again = nt.simulate("us-equities", Taker(), seconds=4, warm_up=1, symbols=("SPY", "AAPL"), cash="1000000", seed=1)
    assert outcomes[0].statistics["net"] == again.statistics.total.net
    assert outcomes[0].statistics["events"] != outcomes[1].statistics["events"]


def test_a_wilder_market_moves_more():
    calm, wild = (SyntheticScenario(120.0, volatility=v).market(4) for v in (1.0, 4.0))

    def moved(events):
        prices = events[(events["price"] > 0) & (events["instrument"] == 0)]["price"]
        return np.std([float(np.median(part)) for part in np.array_split(prices, 24)])

    assert moved(wild[0]) > 1.5 * moved(calm[0])


def test_a_study_writes_its_report_and_its_figures(found, tmp_path):
    page = found.write_html(tmp_path / "mc.html").read_text()
    assert "Redrawn profit" in page and "Risk of ruin" in page and "https://" not in page
    told = found.to_dict()
    assert told["schema"] == "nanotick.monte_carlo/1"
    assert told["bootstrap"]["paths"] == 400
    assert [m["runs"] for m in told["markets"]] == [3, 3, 3]


def test_there_must_be_a_market():
    with pytest.raises(RunConfigError, match="no data"):
        nt.monte_carlo((), Taker, **COMMON)
