"""Market making on a LOBSTER day: python examples/lobster.py GOOG_2012-06-21_10.zip [REPORT.html]

LOBSTER messages are order by order, so the queue position of our orders is exact. Its stamps have no time of receipt:
feed latency is modelled here as a constant.
"""

import sys

import nanotick as nt
from nanotick.exchange.config import Fees


def main(source, report="lobster.html"):
    """Run, print the mark-outs, write the report."""
    result = nt.backtest(
        source,
        "avellaneda-stoikov",
        cash="10000000",
        sample_interval=0.5,
        venue=nt.VenueConfig(
            feed_latency=20_000,
            feed_from="venue",
            entry_latency=50_000,
            response_latency=50_000,
            fees=Fees(maker_per_unit="-0.0020", taker_per_unit="0.0030"),
        ),
        limits=nt.RiskLimits(max_order_value=1_000_000),
    )
    print(result)
    print(result.diagnosis)
    for out in result.statistics.total.mark_outs:
        print(f"mark-out after {out.horizon_ns / 1e9:g} s: {out.ticks:+.3f} ticks over {out.fills} fills")
    print(result.write_html(report))
    return result


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
