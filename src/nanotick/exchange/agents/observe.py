"""What a market did, from its public events: the raw material of fits and of stylised facts.

One pass over EVENT records, real or simulated, rebuilds the books and writes

- a *sample* of every book on a regular grid (best prices and sizes, volume and market orders since the last one),
- a *trade* row for every market order: executions of one instant and side are one order (Lillo & Farmer 2004),
- a *flow* row for every limit order, market order and cancellation,
- for each instrument sums by distance from the opposite best price: arrivals, cancellations, and what rested there at
  the grid's times; the time spent at each spread.

Price-level data says only that the quantity at a price changed: more is a limit order, less is a cancellation unless a
trade of the same price has just taken it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.book import BookStore, apply_event, best_price, best_qty, level_orders, level_qty, order_find, side_orders
from nanotick.book import order_price as book_order_price
from nanotick.book import order_side as book_order_side
from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at
from nanotick.core.records import RECORD_SIZE, Flag, Kind, event_at
from nanotick.exchange.agents.hawkes import CANCEL, LIMIT, MARKET

DISTANCES = 64
SPREADS = 64
_MAX_GAP = 3_600_000_000_000  # ns: nothing is sampled across a longer silence
_ADD, _REDUCE, _DELETE, _LEVEL = int(Kind.ADD), int(Kind.REDUCE), int(Kind.DELETE), int(Kind.LEVEL)
_EXECUTE, _TRADE, _REPLACE, _MODIFY = int(Kind.EXECUTE), int(Kind.TRADE), int(Kind.REPLACE), int(Kind.MODIFY)
_AUCTION, _SNAPSHOT = int(Flag.AUCTION), int(Flag.SNAPSHOT)
_VENUE, _LOCAL = int(Flag.VENUE), int(Flag.LOCAL)

SAMPLE = np.dtype(
    [
        ("ts", "<i8"),  # ns UTC
        ("bid", "<i8"),
        ("ask", "<i8"),
        ("bid_qty", "<i8"),
        ("ask_qty", "<i8"),
        ("volume", "<i8"),  # traded since the last sample
        ("orders", "<i4"),  # market orders since then
        ("instrument", "<i4"),
    ],
    align=True,
)
TRADE_ROW = np.dtype(
    [
        ("ts", "<i8"),
        ("price", "<i8"),  # of the last execution
        ("qty", "<i8"),
        ("mid", "<f8"),  # before it, 0: unknown
        ("best", "<i8"),  # quantity at the opposite best before it
        ("prices", "<i8"),  # at how many it was executed
        ("side", "<i4"),  # of the taker
        ("instrument", "<i4"),
    ],
    align=True,
)
FLOW_ROW = np.dtype(
    [
        ("ts", "<i8"),
        ("qty", "<i8"),
        ("instrument", "<i4"),
        ("type", "<i4"),  # 2 * category + (1 for sell), as in `hawkes`
        ("distance", "<i4"),  # ticks from the opposite best, 0: market order, -1: unknown
        ("resting", "<i4"),  # orders resting on the event's side before it, 0: not known one by one
    ],
    align=True,
)
OBSERVED = np.dtype(
    [
        ("tick", "<i8"),
        ("next_sample", "<i8"),
        ("last_ts", "<i8"),
        ("first_ts", "<i8"),
        ("volume", "<i8"),  # since the last sample
        ("orders", "<i8"),
        ("taken_price", "<i8"),  # price-level data: where trades have taken what the level does not yet show
        ("taken_qty", "<i8"),
        ("last_trade", "<i8"),  # row + 1 of the chunk's last trade of this instrument
        ("samples", "<i8"),
        ("limits", "<i8", (DISTANCES,)),
        ("cancels", "<i8", (DISTANCES,)),
        ("resting_orders", "<i8", (DISTANCES,)),  # both sides, summed over samples
        ("resting_qty", "<i8", (DISTANCES,)),
        ("spread_ns", "<i8", (SPREADS,)),  # time at a spread of 1, 2, ... ticks; the last: that and wider
        ("by_level", "<i8"),  # LEVEL events seen
    ],
    align=True,
)
OBSERVER = np.dtype(
    [
        ("store_address", "<i8"),
        ("observed_address", "<i8"),
        ("samples_address", "<i8"),
        ("trades_address", "<i8"),
        ("flows_address", "<i8"),
        ("grid_ns", "<i8"),
        ("sample_capacity", "<i8"),
        ("sample_count", "<i8"),
        ("trade_count", "<i8"),
        ("flow_count", "<i8"),
        ("instruments", "<i8"),
    ],
    align=True,
)
sample_at = record_at(SAMPLE, "MarketSample")
trade_at = record_at(TRADE_ROW, "MarketTrade")
flow_row_at = record_at(FLOW_ROW, "FlowRow")
observed_at = record_at(OBSERVED, "Observed")
observer_at = record_at(OBSERVER, "Observer")


@kernel
def note_flow(observer: Any, instrument: int, ts: int, kind: int, qty: int, distance: int) -> None:
    """Write a flow row."""
    row = flow_row_at(observer.flows_address, observer.flow_count)
    row.ts = ts
    row.qty = qty
    row.instrument = instrument
    row.type = kind
    row.distance = distance
    row.resting = side_orders(observer.store_address, instrument, 1 - 2 * (kind & 1))
    observer.flow_count += 1


@kernel
def distance_of(observer: Any, observed: Any, instrument: int, side: int, price: int) -> int:
    """Ticks between a price and the opposite best, -1 when there is none."""
    best = best_price(observer.store_address, instrument, -side)
    if best == EMPTY_BID or best == EMPTY_ASK:
        return -1
    return max(0, (best - price) * side // observed.tick)


@kernel
def note_limit(observer: Any, observed: Any, instrument: int, ts: int, side: int, price: int, qty: int) -> None:
    """A limit order arrives."""
    distance = distance_of(observer, observed, instrument, side, price)
    if 1 <= distance <= DISTANCES:
        observed.limits[distance - 1] = observed.limits[distance - 1] + 1
    note_flow(observer, instrument, ts, 2 * LIMIT + ((1 - side) >> 1), qty, distance)


@kernel
def note_cancel(observer: Any, observed: Any, instrument: int, ts: int, side: int, price: int, qty: int) -> None:
    """A resting order leaves untraded."""
    distance = distance_of(observer, observed, instrument, side, price)
    if 1 <= distance <= DISTANCES:
        observed.cancels[distance - 1] = observed.cancels[distance - 1] + 1
    note_flow(observer, instrument, ts, 2 * CANCEL + ((1 - side) >> 1), qty, distance)


@kernel
def note_trade(observer: Any, observed: Any, instrument: int, ts: int, side: int, price: int, qty: int) -> None:
    """An execution: part of the last market order, or a new one."""
    observed.volume += qty
    if observed.last_trade != 0:
        last = trade_at(observer.trades_address, observed.last_trade - 1)
        if last.ts == ts and last.side == side:
            last.qty += qty
            if last.price != price:
                last.prices += 1
            last.price = price
            return
    bid = best_price(observer.store_address, instrument, 1)
    ask = best_price(observer.store_address, instrument, -1)
    row = trade_at(observer.trades_address, observer.trade_count)
    row.ts = ts
    row.price = price
    row.qty = qty
    row.mid = 0.0
    if bid != EMPTY_BID and ask != EMPTY_ASK:
        row.mid = 0.5 * (bid + ask)
    if side == 0 and row.mid != 0.0 and price != row.mid:
        side = 1 if price > row.mid else -1
    row.side = side
    row.best = 0
    row.prices = 1
    if side != 0:
        row.best = best_qty(observer.store_address, instrument, -side)
    row.instrument = instrument
    observer.trade_count += 1
    observed.last_trade = observer.trade_count
    observed.orders += 1
    if side != 0:
        note_flow(observer, instrument, ts, 2 * MARKET + ((1 - side) >> 1), qty, 0)


@kernel
def take_samples(observer: Any, observed: Any, instrument: int, ts: int) -> None:
    """Sample the book at every time of the grid before `ts`: it has not changed since the last event."""
    if observed.next_sample == 0 or ts - observed.next_sample > _MAX_GAP:
        observed.next_sample = (ts // observer.grid_ns + 1) * observer.grid_ns
        return
    store = observer.store_address
    bid = best_price(store, instrument, 1)
    ask = best_price(store, instrument, -1)
    while observed.next_sample <= ts and observer.sample_count < observer.sample_capacity:
        if bid != EMPTY_BID and ask != EMPTY_ASK:
            row = sample_at(observer.samples_address, observer.sample_count)
            row.ts = observed.next_sample
            row.bid = bid
            row.ask = ask
            row.bid_qty = best_qty(store, instrument, 1)
            row.ask_qty = best_qty(store, instrument, -1)
            row.volume = observed.volume
            row.orders = observed.orders
            row.instrument = instrument
            observer.sample_count += 1
            observed.samples += 1
            for i in range(DISTANCES):
                below = ask - (i + 1) * observed.tick
                above = bid + (i + 1) * observed.tick
                resting = level_orders(store, instrument, 1, below) + level_orders(store, instrument, -1, above)
                qty = level_qty(store, instrument, 1, below) + level_qty(store, instrument, -1, above)
                observed.resting_orders[i] = observed.resting_orders[i] + resting
                observed.resting_qty[i] = observed.resting_qty[i] + qty
            observed.volume = 0
            observed.orders = 0
        observed.next_sample += observer.grid_ns


@kernel
def spread_time(observer: Any, observed: Any, instrument: int, ts: int) -> None:
    """Count the time since the last event at the spread that has stood since."""
    bid = best_price(observer.store_address, instrument, 1)
    ask = best_price(observer.store_address, instrument, -1)
    elapsed = ts - observed.last_ts
    if bid != EMPTY_BID and ask != EMPTY_ASK and ask > bid and 0 < elapsed < _MAX_GAP and observed.last_ts != 0:
        ticks = min(SPREADS, (ask - bid) // observed.tick)
        if ticks >= 1:
            observed.spread_ns[ticks - 1] = observed.spread_ns[ticks - 1] + elapsed
    observed.last_ts = max(ts, observed.last_ts)
    if observed.first_ts == 0:
        observed.first_ts = ts


@kernel
def note_level(observer: Any, observed: Any, instrument: int, ts: int, side: int, price: int, qty: int) -> None:
    """The quantity at a price changes."""
    observed.by_level += 1
    change = qty - level_qty(observer.store_address, instrument, side, price)
    if change > 0:
        note_limit(observer, observed, instrument, ts, side, price, change)
    elif change < 0:
        gone = -change
        if observed.taken_price == price:
            traded = min(gone, observed.taken_qty)
            observed.taken_qty -= traded
            gone -= traded
        if gone > 0:
            note_cancel(observer, observed, instrument, ts, side, price, gone)


@kernel
def note_event(observer: Any, observed: Any, event_address: int) -> None:
    """What an event says about the flow, before it changes the book."""
    event = event_at(event_address)
    kind = event.kind
    instrument = event.instrument
    ts = event.ts_venue
    store = observer.store_address
    if kind == _ADD:
        if event.flags & _SNAPSHOT == 0:
            note_limit(observer, observed, instrument, ts, event.side, event.price, event.qty)
    elif kind == _LEVEL:
        if event.flags & _SNAPSHOT == 0:
            note_level(observer, observed, instrument, ts, event.side, event.price, event.qty)
    elif kind == _EXECUTE:
        if event.flags & _AUCTION == 0:
            note_trade(observer, observed, instrument, ts, -event.side, event.price, event.qty)
    elif kind == _TRADE:
        if event.flags & _AUCTION == 0:
            note_trade(observer, observed, instrument, ts, event.side, event.price, event.qty)
            observed.taken_price = event.price
            observed.taken_qty += event.qty
    elif kind == _DELETE or kind == _REDUCE or kind == _REPLACE or kind == _MODIFY:
        slot = order_find(store, instrument, event.id)
        if slot >= 0:
            side = book_order_side(store, slot)
            price = book_order_price(store, slot)
            if kind != _REDUCE:
                note_cancel(observer, observed, instrument, ts, side, price, event.qty)
            if kind == _REPLACE or kind == _MODIFY:
                note_limit(observer, observed, instrument, ts, side, event.price, event.qty)


@kernel("i8(i8,i8,i8)")
def observe(observer_address: int, events_address: int, count: int) -> int:
    """Take in EVENT records that lie one after the other, until they end or the samples are full.

    Returns
    -------
    int
        Events taken in.
    """
    observer = observer_at(observer_address)
    for i in range(count):
        address = events_address + i * RECORD_SIZE
        event = event_at(address)
        if event.flags & (_VENUE | _LOCAL) == _LOCAL or event.instrument >= observer.instruments:
            continue  # the row stands elsewhere in the venue's order
        observed = observed_at(observer.observed_address, event.instrument)
        ts = event.ts_venue
        if ts > 0:
            take_samples(observer, observed, event.instrument, ts)
            if observer.sample_count >= observer.sample_capacity:
                return i
            spread_time(observer, observed, event.instrument, ts)
            note_event(observer, observed, address)
        apply_event(observer.store_address, address)
    return count


@dataclass(frozen=True)
class Observation:
    """What one pass over a market's events has gathered.

    Attributes
    ----------
    instruments : InstrumentTable
    samples, trades, flows : numpy.ndarray
        SAMPLE, TRADE_ROW and FLOW_ROW records, by time.
    observed : numpy.ndarray
        OBSERVED records, by instrument: sums by distance and by spread.
    grid_seconds : float
        Between samples.
    """

    instruments: InstrumentTable
    samples: npt.NDArray[Any]
    trades: npt.NDArray[Any]
    flows: npt.NDArray[Any]
    observed: npt.NDArray[Any]
    grid_seconds: float

    def of(self, instrument: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Samples, trades and flows of one instrument."""
        rows = (self.samples, self.trades, self.flows)
        chosen = [part[part["instrument"] == instrument] for part in rows]
        return chosen[0], chosen[1], chosen[2]

    def seconds(self, instrument: int) -> float:
        """Seconds from the first to the last event of an instrument."""
        row = self.observed[instrument]
        return float(row["last_ts"] - row["first_ts"]) * 1e-9


def observe_market(
    chunks: Iterable[npt.NDArray[Any]],
    instruments: InstrumentTable,
    grid_seconds: float = 1.0,
    keep_flows: bool = True,
) -> Observation:
    """Observe a market.

    Parameters
    ----------
    chunks : iterable of numpy.ndarray
        EVENT records by venue time.
    instruments : InstrumentTable
    grid_seconds : float
        Between samples of the books.
    keep_flows : bool
        Keep a row for every order event; facts do without.
    """
    count = len(instruments)
    arena = Arena(8 << 30)
    ticks = [item.price(item.tick_size) for item in instruments]
    store = BookStore(arena, "observe.book", count, ticks, max_levels=1 << 20)
    root = arena.region("observe.root", OBSERVER, 1)
    observed = arena.region("observe.instruments", OBSERVED, count)
    observed.view["tick"] = ticks
    capacity = 1 << 18
    samples_out = np.zeros(capacity, SAMPLE)
    row = root.view[0]
    row["store_address"], row["observed_address"] = store.address, observed.address
    row["samples_address"], row["sample_capacity"] = samples_out.ctypes.data, capacity
    row["grid_ns"], row["instruments"] = int(grid_seconds * 1e9), count
    kept: dict[str, list[npt.NDArray[Any]]] = {"samples": [], "trades": [], "flows": []}
    trades_out, flows_out = np.zeros(0, TRADE_ROW), np.zeros(0, FLOW_ROW)
    for whole in chunks:
        for start in range(0, len(whole), 1 << 16):
            chunk = np.ascontiguousarray(whole[start : start + (1 << 16)])
            if len(trades_out) < len(chunk):
                trades_out, flows_out = np.zeros(len(chunk), TRADE_ROW), np.zeros(2 * len(chunk) + 2, FLOW_ROW)
            done = 0
            while done < len(chunk):
                row["trades_address"], row["flows_address"] = trades_out.ctypes.data, flows_out.ctypes.data
                row["sample_count"] = row["trade_count"] = row["flow_count"] = 0
                observed.view["last_trade"] = 0
                here = int(observe(root.address, chunk.ctypes.data + done * RECORD_SIZE, len(chunk) - done))
                done += here
                kept["samples"].append(samples_out[: int(row["sample_count"])].copy())
                kept["trades"].append(trades_out[: int(row["trade_count"])].copy())
                if keep_flows:
                    kept["flows"].append(flows_out[: int(row["flow_count"])].copy())
    empty = {"samples": SAMPLE, "trades": TRADE_ROW, "flows": FLOW_ROW}
    joined = {k: np.concatenate(v) if v else np.zeros(0, empty[k]) for k, v in kept.items()}
    return Observation(
        instruments, joined["samples"], joined["trades"], joined["flows"], observed.view.copy(), grid_seconds
    )
