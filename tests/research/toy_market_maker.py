"""A small simulation in plain Python, so that results and reports are tested on a run that looks like one.

A market maker rests one lot on both sides of every symbol and renews its quotes each second; a taker follows strong
queue imbalance and leaves after ten seconds. Fills follow a plain queue rule on price-level rows.
"""

from nanotick.core.records import Kind
from nanotick.data.synthetic import DEFAULT_SYMBOLS, synthetic_day
from nanotick.engine.output import DataFile, RunCounters
from tests.research.runs import SECOND, START, RunBuilder

MAKER, TAKER = 0, 1
DELAY = 40_000


class Toy:
    def __init__(self, day, interval):
        self.run = RunBuilder(list(day.instruments), ("market_making", "imbalance"), 1_000_000_000_000, interval)
        count = len(day.instruments)
        self.books = [({}, {}) for _ in range(count)]
        self.best = [[0, 0] for _ in range(count)]
        self.quotes = [[None, None] for _ in range(count)]
        self.held = [[0] * count, [0] * count]
        self.exits = [0] * count
        self.next_id = 0

    def order(self, ts, strategy, instrument, side, price, qty):
        self.next_id += 1
        t = (ts - START) / SECOND
        self.run.new(t, self.next_id, side, price, qty, strategy, instrument)
        self.run.rows[-1]["ts_venue"] = ts
        return self.next_id

    def report(self, kind, ts, order, instrument, **fields):
        self.run.report(kind, 0, order, 0, instrument=instrument, **fields)
        self.run.rows[-1]["ts_venue"], self.run.rows[-1]["ts_recv"] = ts, ts + DELAY

    def fill(self, ts, order, strategy, instrument, side, price, qty, maker):
        fee = -20 * qty // 100 if maker else 30 * qty // 100
        self.report(
            Kind.FILL, ts, order, instrument, side=side, price=price, qty=qty, word=fee,
            flags=(0x82 if maker else 1),
        )  # fmt: skip
        self.held[strategy][instrument] += side * qty

    def requote(self, ts, n):
        for which, side in ((0, 1), (1, -1)):
            quote = self.quotes[n][which]
            if quote:
                self.report(Kind.CANCELLED, ts + DELAY, quote["id"], n, qty=quote["qty"], side=side)
                self.run.queue.append((quote["id"], quote["ts"], quote["start"], max(0, quote["ahead"]), 0))
                self.quotes[n][which] = None
            if side * self.held[MAKER][n] >= 300:
                if ts // SECOND % 7 == 0:
                    self.run.report(Kind.RISK, 0, 0, 0, word=3, price=400, qty=300, seq=MAKER, side=side, instrument=n)
                    self.run.rows[-1]["ts_recv"] = ts
                continue
            price = self.best[n][which]
            if price:
                order = self.order(ts, MAKER, n, side, price, 100)
                self.report(Kind.ACCEPTED, ts + DELAY, order, n, price=price, qty=100, side=side)
                ahead = self.books[n][which].get(price, 0)
                self.quotes[n][which] = {
                    "id": order, "price": price, "qty": 100, "ahead": ahead, "start": ahead, "ts": ts + DELAY
                }  # fmt: skip

    def take(self, ts, n, side, qty):
        price = self.best[n][1 if side > 0 else 0]
        order = self.order(ts, TAKER, n, side, price, qty)
        self.fill(ts + DELAY, order, TAKER, n, side, price, qty, False)

    def follow(self, ts, n):
        bid, ask = self.best[n]
        sizes = self.books[n][0][bid], self.books[n][1][ask]
        imbalance = (sizes[0] - sizes[1]) / sum(sizes)
        held = self.held[TAKER][n]
        if held and ts >= self.exits[n]:
            self.take(ts, n, -1 if held > 0 else 1, abs(held))
        elif not held and abs(imbalance) > 0.93:
            self.take(ts, n, 1 if imbalance > 0 else -1, 100)
            self.exits[n] = ts + 10 * SECOND

    def trade(self, ts, n, price, qty, aggressor):
        which = 0 if aggressor < 0 else 1
        quote = self.quotes[n][which]
        if quote and quote["price"] == price:
            quote["ahead"] -= qty
            while quote["ahead"] < 0 and quote["qty"] > 0:
                filled = min(quote["qty"], max(1, -quote["ahead"]))
                quote["qty"] -= filled
                self.fill(ts, quote["id"], MAKER, n, -aggressor, price, filled, True)
                quote["ahead"] = 0
            if quote["qty"] == 0:
                self.run.queue.append((quote["id"], quote["ts"], quote["start"], 0, 0))
                self.quotes[n][which] = None


def toy_run(seconds=600.0, seed=7, interval=SECOND // 10):
    """Trade a synthetic morning and give the `RunOutput`."""
    day = synthetic_day(seed=seed, symbols=DEFAULT_SYMBOLS, seconds=seconds, form="levels")
    toy, count = Toy(day, interval), len(day.instruments)
    next_mark, next_quote = START + SECOND, START + SECOND
    rows = day.events[["ts_venue", "price", "qty", "kind", "side", "instrument"]].tolist()
    for ts, price, qty, kind, side, n in rows:
        while ts >= next_mark:
            for i in range(count):
                toy.run.marks.append((next_mark, *toy.best[i], i, 0))
                if all(toy.best[i]):
                    toy.follow(next_mark, i)
            if next_mark >= next_quote:
                for i in range(count):
                    toy.requote(next_mark, i)
                next_quote += SECOND
            next_mark += interval
        if kind == Kind.TRADE:
            toy.trade(ts, n, price, qty, side)
        elif kind == Kind.LEVEL:
            which = 0 if side > 0 else 1
            book, best = toy.books[n][which], toy.best[n]
            if qty:
                book[price] = qty
            else:
                book.pop(price, None)
            better = max if side > 0 else min
            if not qty and price == best[which]:
                best[which] = better(book, default=0)
            elif qty and (not best[which] or better(price, best[which]) == price):
                best[which] = price
    first, last = int(day.events["ts_recv"][0]), int(day.events["ts_recv"][-1])
    return toy.run.output(
        counters=RunCounters(len(rows), len(rows) / 15e6, 1.2, 2.0, True, first, last, {}),
        config={"latency": {"feed_ns": 35_000, "order_ns": DELAY}, "fees": {"maker": "-0.0020", "taker": "0.0030"}},
        data=(DataFile("synthetic day, seed 7", len(rows), "66ea943bc2a65c48"),),
        code_hash="3f1c" * 8,
        journal_hash="9a0b" * 8,
        session_offset_ns=-5 * 3600 * SECOND,
    )
