"""How fast living markets live: the US market with all its agents, and the anonymous order flow alone.

Nobody reads the feeds: what is measured is the world and the matching engine, not the writing of files.
"""

from benchmarks.registry import benchmark
from benchmarks.timing import median_cpu_seconds
from nanotick.exchange.agents.description import MarketDescription, description_from, read_description
from nanotick.exchange.agents.living import LivingMarket

US_SECONDS = 120
FLOW_SECONDS = 3_600
SECOND = 1_000_000_000


def _opened(description: MarketDescription) -> LivingMarket:
    market = LivingMarket(description, seed=1)
    market.skip(description.start_ns + SECOND)  # the first orders
    return market


def _flow_market() -> MarketDescription:
    flow = {
        "limit_rate": 20.0,
        "market_rate": 1.0,
        "lifetime": 2.0,
        "distance_decay": 0.7,
        "distances": 12,
        "limit_sizes": {"mean": 3, "sigma": 0.8},
        "market_sizes": {"mean": 3, "sigma": 0.8},
    }
    return description_from(
        {
            "name": "flow",
            "step_ms": 1_000,
            "profiles": {"flow": {"flow": flow}},
            "instruments": [{"symbol": f"F{i}", "profile": "flow", "price": 100 + i} for i in range(8)],
        }
    )


@benchmark(
    "market_us", "69 US symbols, all agents, the opening minutes; times real time on one core", unit="x", reach=">= 100"
)
def market_us() -> float:
    description = read_description("us-equities")
    until = description.start_ns + (1 + US_SECONDS) * SECOND
    return US_SECONDS / median_cpu_seconds(lambda market: market.skip(until), lambda: _opened(description))


@benchmark(
    "market_flow", "zero-intelligence flow of eight symbols through the matching engine", unit="orders/s",
    reach=">= 5000000",
)  # fmt: skip
def market_flow() -> float:
    description = _flow_market()
    until = description.start_ns + (1 + FLOW_SECONDS) * SECOND
    commands = 0

    def run(market: LivingMarket) -> None:
        nonlocal commands
        before = market.commands
        market.skip(until)
        commands = market.commands - before

    return 1.0 / (median_cpu_seconds(run, lambda: _opened(description)) / commands)
