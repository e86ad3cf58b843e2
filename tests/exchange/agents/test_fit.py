"""A description is recovered from what its market does, and real recordings give descriptions that live."""

import numpy as np
import pytest

from nanotick.core.mode import INTERPRET

if INTERPRET:
    pytest.skip("hundreds of thousands of events: compiled only", allow_module_level=True)

from nanotick.cli.market import open_events
from nanotick.exchange.agents.description import Flow, description_from, description_text, read_description
from nanotick.exchange.agents.facts import stylised_facts
from nanotick.exchange.agents.fit import FitError, MarketFit, fit_market, volatility_of
from nanotick.exchange.agents.hawkes import branching_matrix, branching_ratio
from nanotick.exchange.agents.living import LivingMarket
from nanotick.exchange.agents.observe import observe_market
from nanotick.exchange.agents.tables import limit_rates

LIMITS = (1.6, 1.2, 0.9, 0.6, 0.4, 0.3)
CANCELS = (0.5, 0.4, 0.3, 0.2, 0.2, 0.15)


def market(**flow):
    values = {
        "limit_rates": LIMITS,
        "cancel_rates": CANCELS,
        "market_rate": 0.5,
        "limit_sizes": {"mean": 5, "sigma": 0.6},
        "market_sizes": {"mean": 3, "sigma": 0.6},
        **flow,
    }
    return description_from(
        {
            "name": "known",
            "session": {"hours": 8.0},
            "profiles": {"p": {"flow": values}},
            "instruments": [{"symbol": "AAA", "profile": "p", "price": 100, "volatility": 0}],
        }
    )


def flow_of(fitted: MarketFit) -> Flow:
    flow = next(iter(fitted.description.profiles.values())).flow
    assert flow is not None
    return flow


def observed(description, seed=2, seconds=None):
    living = LivingMarket(description, seed)
    return observe_market(living.run(seconds=seconds), living.instruments)


def test_the_rates_and_sizes_of_a_simulated_market_are_recovered() -> None:
    seen = observed(market())
    fitted = fit_market(seen, excitation=False, lean=0.0)
    flow = flow_of(fitted)
    assert flow.limit_rates[:6] == pytest.approx(LIMITS, rel=0.05)
    assert flow.market_rate == pytest.approx(0.5, rel=0.05)
    assert flow.cancel_rates[:6] == pytest.approx(CANCELS, rel=0.08)
    assert flow.limit_sizes.mean == pytest.approx(5, rel=0.05)


def test_the_excitation_of_a_simulated_market_is_recovered() -> None:
    decay = (12.0, 0.3)
    same = [[[0.10, 0.0, 0.1], [0.3, 0.25, 0.1], [0.1, 0, 0.05]], [[0.1, 0, 0], [0.2, 0.15, 0.1], [0, 0, 0]]]
    opposite = [[[0, 0, 0], [0, 0, 0.2], [0, 0, 0]], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]]
    true = branching_matrix(np.array(same), np.array(opposite)).sum(axis=0)
    seen = observed(market(excitation={"decay": decay, "same": same, "opposite": opposite}))
    fitted = fit_market(seen, lean=0.0)
    wild = flow_of(fitted).excitation
    assert wild is not None
    assert sorted(wild.decay) == pytest.approx(sorted(decay), rel=0.4)
    found = branching_matrix(np.array(wild.same), np.array(wild.opposite)).sum(axis=0)
    bought, sold, bid_gone, ask_gone = 2, 3, 4, 5  # market orders and cancellations by side
    for source, target in (
        (bought, bought),
        (bought, sold),
        (bought, ask_gone),
        (bid_gone, bid_gone),
        (bought, bid_gone),
    ):
        limit = 0.05 if (source, target) != (bought, bid_gone) else 0.12  # half of it on the slow scale, seen less well
        assert found[source, target] == pytest.approx(true[source, target], abs=limit)
    assert fitted.instruments[0].branching == pytest.approx(branching_ratio(true), abs=0.06)


def test_a_fitted_market_lives_with_the_volatility_and_rates_of_the_first() -> None:
    first = observed(read_description("us-equities").only(("AAPL",)), seconds=3_600)
    fitted = fit_market(first, "again")
    second = observed(description_from_text(description_text(fitted.description)), seed=5, seconds=3_600)
    again = fit_market(second, "again")
    one, two = fitted.instruments[0], again.instruments[0]
    assert two.market_orders == pytest.approx(one.market_orders, rel=0.4)
    assert two.events == pytest.approx(one.events, rel=0.4)
    # the fundamental has the volatility measured, the flow alone adds its own
    assert 0.5 < two.volatility / one.volatility < 2.5


def description_from_text(text):
    import yaml

    return description_from(yaml.safe_load(text))


def test_too_little_is_refused_with_what_was_found() -> None:
    seen = observed(market(), seconds=5)
    with pytest.raises(FitError, match=r"AAA@SIM: .* samples of the book"):
        fit_market(seen)


@pytest.mark.parametrize(
    "name",
    ["us_exchange_feeds/nasdaq_itch/AAPL_20191230_0935_50k.itch50.xz", "lobster/GOOG_2012-06-21_10.zip"],
)
def test_a_real_recording_gives_a_market_that_lives(shared_data, name) -> None:
    parts, table = open_events((shared_data / name,))
    seen = observe_market(parts, table)
    fitted = fit_market(seen, "real")
    figures = fitted.instruments[0]
    assert figures.market_orders > 1_000 and 0 < figures.branching < 1 and 0.001 < figures.volatility < 0.05
    flow = flow_of(fitted)
    assert limit_rates(flow).sum() > 0.05
    living = observed(fitted.description, seconds=120)
    samples = living.samples
    assert (samples["ask"] > samples["bid"]).all()
    assert abs(samples["bid"][-1] / samples["bid"][0] - 1) < 0.02
    assert len(living.flows) > 100


def test_the_facts_of_a_real_day_are_the_reported_ones(shared_data) -> None:
    """GOOG, 2012-06-21: what the estimators find on a real day is what the literature reports."""
    parts, table = open_events((shared_data / "lobster" / "GOOG_2012-06-21_10.zip",))
    sheet = stylised_facts(observe_market(parts, table, keep_flows=False))
    for name in ("tail_index", "excess_kurtosis", "return_autocorrelation", "volatility_clustering", "sign_memory"):
        assert sheet.fact(name).holds, sheet.fact(name)
    assert sheet.fact("volume_u_shape").holds


def test_the_share_of_market_orders_that_go_on_comes_back_from_below() -> None:
    for sweep, least in ((0.1, 0.04), (0.6, 0.35)):
        flow = flow_of(fit_market(observed(market(sweep=sweep), seconds=6_000), excitation=False, lean=0.0))
        assert least < flow.sweep < sweep  # some of those that may go on ask for just what the best price holds


def test_a_real_day_s_fit_is_not_twice_as_volatile(shared_data) -> None:
    parts, table = open_events((shared_data / "lobster" / "GOOG_2012-06-21_10.zip",))
    fitted = fit_market(observe_market(parts, table), "goog")
    found = fitted.instruments[0]
    assert 0.02 < flow_of(fitted).sweep < 0.4
    seen = observed(fitted.description, seed=3, seconds=8_000)
    seconds = seen.seconds(0)
    made = volatility_of(seen.of(0)[0], seen.grid_seconds, seconds) * (found.seconds / seconds) ** 0.5
    assert 0.7 < made / found.volatility < 1.7
