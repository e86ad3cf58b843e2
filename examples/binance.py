"""A grid on a Binance recording (price levels): python examples/binance.py btcusdt_20230405.dat.gz [REPORT.html]

Price-level data does not say where in the queue an order stands: the queue model decides, so run more than one.
"""

import sys

import nanotick as nt
from nanotick.exchange.config import Fees
from nanotick.strategies import built_in


def run(source, queue, start, end):
    """One run under one queue model."""
    # quantities are integers at the instrument's scale: the smallest lots of a recording, one thousand of them
    return nt.backtest(
        source,
        built_in("grid")(size=1_000),
        cash="1000000",
        start=start,
        end=end,
        sample_interval=1.0,
        venue=nt.VenueConfig(
            queue=queue,
            entry_latency=2_000_000,
            response_latency=2_000_000,
            fees=Fees(maker_rate="0.0002", taker_rate="0.0005"),
        ),
        limits=nt.RiskLimits.unlimited(),
    )


def main(source, report="binance.html", start=None, end=None):
    """Run under three queue models and report the last."""
    for queue in ("risk_averse", "power_prob", "log_prob"):
        result = run(source, queue, start, end)
        total = result.statistics.total
        print(f"{queue:12} {total.fills:6} fills, gross {total.gross:12,.2f}, fees {total.fees:12,.2f}")
    print(result.write_html(report))
    return result


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
