"""Imbalance on NASDAQ ITCH 5.0: python examples/itch.py FILE SYMBOL [REPORT.html]

The file may be plain, gz or xz; for a whole day convert the symbols you trade first, then run on the event file:

    nanotick data convert 12302019.NASDAQ_ITCH50.gz --symbol AAPL -o aapl.nt
"""

import sys

import nanotick as nt
from nanotick.exchange.config import Fees, Latency


def main(source, symbol="AAPL", report="itch.html"):
    """Run, print where the profit came from, write the report."""
    path = Latency(model="lognormal", ns=45_000, spread=0.3)
    result = nt.backtest(
        source,
        "imbalance",
        symbols=[symbol],
        cash="1000000",
        sample_interval=0.1,
        venue=nt.VenueConfig(
            entry_latency=path,
            response_latency=path,
            fees=Fees(maker_per_unit="-0.0020", taker_per_unit="0.0030"),
        ),
    )
    total = result.statistics.total
    print(f"{total.fills} fills of {total.orders} orders, net {total.net:,.2f}, maker share {total.maker_share:.1%}")
    print(f"spread {total.attribution.spread:,.2f}, adverse selection {total.attribution.adverse_selection:,.2f}")
    print(result.write_html(report))
    return result


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
