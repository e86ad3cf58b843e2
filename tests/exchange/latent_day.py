"""A random day through every model at once, as a digest: run compiled, interpreted, or in two halves."""

import hashlib
import random

import numpy as np

from nanotick.core.instruments import Instrument
from nanotick.core.records import Kind
from nanotick.exchange import FeeModel, Fees, Impact, ImpactModel, Latency, LatencyModel, QueueModel, VenueConfig
from tests.exchange.records_of import command, event, venue


class ShareQueue(QueueModel):
    """A fixed share of what leaves the level was ahead of us."""

    share: float = 0.5

    def joined(self, order, change):
        order.front = float(change.new_qty)
        order.memo_int = 0

    def traded(self, order, change):
        order.front -= change.reached
        order.memo_int += change.qty

    def changed(self, order, change):
        gone = change.prev_qty - change.new_qty - order.memo_int
        order.memo_int = 0
        if gone > 0:
            order.front -= self.share * gone
        order.front = max(0.0, min(order.front, float(change.new_qty)))


class SawtoothLatency(LatencyModel):
    """Rises from message to message, then falls back; entry is slower than the rest."""

    step: int = 1_000
    calls: int = 0

    def delay(self, change):
        self.calls += 1
        return self.step * (1 + change.draw % 7) + (5_000 if change.path == 0 else 0)


class MinimumFee(FeeModel):
    """A basis point of the value, but a hundredth of the currency at least; makers pay nothing."""

    def fee(self, change):
        if change.maker != 0:
            return 0
        return max(-(-change.value // 10_000), change.value_unit // 100)


class BeyondTheBest(ImpactModel):
    """One tick when the order is larger than the best level."""

    def ticks(self, change):
        return 1 if change.qty > change.new_qty else 0


BUILT_IN = VenueConfig(
    queue="log_prob",
    entry_latency=Latency("lognormal", ns=200_000, spread=0.6, minimum_ns=1_000),
    response_latency=Latency("gamma", spread=40_000.0, shape=2.5, offset_ns=20_000),
    feed_latency=Latency("normal", ns=50_000, spread=30_000.0, minimum_ns=10),
    fees=Fees(maker_rate="-0.00005", taker_rate="0.0004", taker_per_unit="0.001", sell_rate="0.00001",
              tiers=((0, "0.0001", "0.0005"), (2_000, "0", "0.0003")), tier_days=2),
    impact=Impact("sqrt", temporary=1.5, permanent=0.7, half_life_ns=3e9, rounding="nearest"),
    seed=11,
)  # fmt: skip


def own_models():
    """A configuration of nothing but the classes above."""
    latency = SawtoothLatency(step=30_000)
    return VenueConfig(
        queue=ShareQueue(share=0.3),
        entry_latency=latency,
        response_latency=SawtoothLatency(step=20_000),
        feed_latency=SawtoothLatency(step=7),
        fees=MinimumFee(),
        impact=BeyondTheBest(),
    )


def make(config):
    """The venue of the day."""
    instrument = Instrument("TEST", price_decimals=1, qty_decimals=2, tick_size="0.5", lot_size="0.05")
    return venue(config, [instrument])


def day(by_order, steps=600, seed=3):
    """What happens: ("event", row) and ("push", command row) with their times, in order."""
    rng = random.Random(seed)
    now, live, ident, out = 10**18, [], 0, []
    for number in range(steps):
        now += rng.randint(1, 400_000)
        side = rng.choice([1, -1])
        price = 5 * (200 - side * (1 + int(rng.expovariate(0.7))))
        pick = rng.random()
        if pick < 0.55 and not by_order:
            out.append(("event", now, event(Kind.LEVEL, now, price, 5 * rng.randint(0, 40), side)))
        elif pick < 0.55:
            if len(live) < 8 or rng.random() < 0.5:
                live.append((number + 1, side, price))
                out.append(("event", now, event(Kind.ADD, now, price, 5 * rng.randint(1, 40), side, number + 1)))
            else:
                ident_out, its_side, its_price = live.pop(rng.randrange(len(live)))
                kind = rng.choice([Kind.DELETE, Kind.EXECUTE])
                out.append(("event", now, event(kind, now, its_price, 200, its_side, ident_out)))
        elif pick < 0.72:
            out.append(("event", now, event(Kind.TRADE, now, 1000 + 5 * side, 5 * rng.randint(1, 30), side)))
        else:
            ident += 1
            if ident % 4 == 0:
                out.append(("push", now, command(Kind.CANCEL, rng.randint(1, ident))))
            else:
                own = 1000 - side * 5 * rng.randint(-2, 2)
                out.append(("push", now, command(Kind.NEW, ident, side, own, 5 * rng.randint(1, 60))))
    return out


def run(place, items):
    """Let the items happen, commands arriving when they do; the reports, and when rows arrive."""
    reports, arrivals = [], []
    waiting = []
    for what, now, row in items:
        while waiting and waiting[0] <= now:
            place.arrive()
            waiting.pop(0)
        if what == "push":
            waiting.append(place.push(row, now))
        else:
            arrivals.append(place.feed_arrival(row))
            place.events(row)
        reports.append(place.reports())
    return np.concatenate(reports), arrivals


def digest(config, by_order):
    """Everything the day leaves, hashed."""
    place = make(config)
    reports, arrivals = run(place, day(by_order))
    text = hashlib.blake2b(reports.tobytes() + repr(arrivals).encode() + place._arena.digest(), digest_size=16)
    return f"{text.hexdigest()} {len(reports)} {sum(r['kind'] == Kind.FILL for r in reports)}"


def digests():
    """Digests of all cases, one a line."""
    return "\n".join(digest(c, b) for c in (BUILT_IN, own_models()) for b in (False, True))


if __name__ == "__main__":
    print(digests())
