"""A strategy of one's own on a generated day: python examples/own_strategy.py [REPORT.html]"""

import sys

import nanotick as nt


class Fade(nt.Strategy):
    """Rest on the heavy side of the book and leave at the other side."""

    threshold: float = 0.6  # imbalance that makes us quote
    size: int = 100  # shares an order

    def on_book(self, ctx):
        if not ctx.has_book() or ctx.open_orders() > 0:
            return
        position = ctx.position()
        if position > 0:
            ctx.sell(position, ctx.best_ask())
        elif position < 0:
            ctx.buy(-position, ctx.best_bid())
        elif ctx.imbalance(1) > self.threshold:
            ctx.buy(self.size, ctx.best_bid())
        elif ctx.imbalance(1) < -self.threshold:
            ctx.sell(self.size, ctx.best_ask())


def main(report="own_strategy.html", seconds=3_600.0):
    """Run on one symbol of a generated day and write the report."""
    day = nt.synthetic_day(seed=11, seconds=seconds)
    result = nt.backtest(
        (day.events, day.instruments),
        Fade(threshold=0.7),
        symbols=["ALFA"],
        cash="100000",
        venue=nt.VenueConfig(entry_latency=50_000, response_latency=50_000),
    )
    total = result.statistics.total
    print(f"{total.orders} orders, {total.fills} fills, net {total.net:,.2f} USD")
    print(result.fills.to_arrow().select(["ts_recv", "side", "price_float", "qty_float", "reason"]).slice(0, 5))
    print(result.write_html(report))
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
