"""A described market brought to life: exchanges, books and agents laid into an arena.

market = LivingMarket(read_description("us-equities"), seed=7)
for events in market.run(seconds=60):   # EVENT records, all exchanges, by time
    ...
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.kernel import python_body
from nanotick.core.memory import wrap_i64
from nanotick.core.records import COMMAND, EVENT
from nanotick.exchange.agents import records
from nanotick.exchange.agents.description import (
    Execution,
    Flow,
    InstrumentDescription,
    MarketDescription,
    MarketMaker,
    Profile,
    Sizes,
    Taker,
)
from nanotick.exchange.agents.doors import clock_door, command_door
from nanotick.exchange.agents.hawkes import branching_matrix
from nanotick.exchange.agents.records import AgentKind
from nanotick.exchange.agents.tables import alias_table, limit_rates, size_table
from nanotick.exchange.agents.world import world_next, world_open, world_step
from nanotick.exchange.draws import mix64
from nanotick.exchange.market import ExchangeConfig, ExchangeStatus, MatchingExchange

_mix = python_body(mix64)
_SECOND = 1_000_000_000
_TAKERS = (
    ("momentum", AgentKind.MOMENTUM),
    ("mean_reversion", AgentKind.MEAN_REVERSION),
    ("informed", AgentKind.INFORMED),
    ("noise", AgentKind.NOISE),
)


class WorldError(RuntimeError):
    """The simulated market could not go on."""


class _Rows:
    """Rows of one kind, collected before the arena knows how many there are."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.list: list[dict[str, Any]] = []

    def add(self, **values: Any) -> int:
        self.list.append(values)
        return len(self.list) - 1

    def lay(self, arena: Arena, name: str) -> Any:
        region = arena.region(name, self.dtype, max(1, len(self.list)))
        for row, values in zip(region.view, self.list, strict=False):
            for key, value in values.items():
                if np.ndim(value):
                    row[key][: len(value)] = value
                else:
                    row[key] = value
        return region


class LivingMarket:
    """A market in which agents trade.

    Parameters
    ----------
    description : MarketDescription
    seed : int
        The same seed gives the same market to the byte.
    arena : Arena, optional
        Where to lay it; one of its own otherwise.
    feed : int
        Rows of each exchange's public feed, a power of two.
    outsiders : int
        Participants other than the agents, numbered from `participants` on. If there are any, the reports stay in their
        rings until somebody reads them (`exchange.owned_reports`).

    Attributes
    ----------
    address : int
        The world's root, for `world_next` and `world_step`.
    exchanges : list of MatchingExchange
        By number of the venue.
    instruments : InstrumentTable
    participants : int
        Participant numbers below this one belong to agents.
    """

    def __init__(
        self,
        description: MarketDescription,
        seed: int = 1,
        *,
        arena: Arena | None = None,
        feed: int = 1 << 17,
        outsiders: int = 0,
    ) -> None:
        self.description = description
        self.seed = seed
        self.instruments = InstrumentTable(item.instrument() for item in description.instruments)
        self.arena = arena if arena is not None else Arena(16 << 30)
        self._agents = _Rows(records.AGENT)
        self._flows = _Rows(records.FLOW_RECORD)
        self._makers = _Rows(records.MAKER)
        self._takers = _Rows(records.TAKER)
        self._executions = _Rows(records.EXECUTION_RECORD)
        self._sizes: dict[bytes, int] = {}
        self._cells = self._lives = self._pending = 0
        self._lay(feed, outsiders)
        if world_open(self.address):
            raise WorldError(f"{description.name}: the market did not open: {self.status!r}")

    # --- laying out -------------------------------------------------------------------------------------------------

    def _size_row(self, sizes: Sizes, factor: float) -> int:
        table = size_table(sizes, factor)
        return self._sizes.setdefault(table.tobytes(), len(self._sizes))

    def _agent(self, kind: AgentKind, index: int, instrument: int, venue: int, **values: Any) -> int:
        """One agent; `cells` and `pending` are how many it needs."""
        number = len(self._agents.list)
        cells, pending = values.pop("cells", 0), values.pop("pending", 0)
        key = wrap_i64(_mix(wrap_i64(_mix(wrap_i64(self.seed + 1)) ^ (number + 1))))
        self._agents.add(
            key=key,
            kind=int(kind),
            index=index,
            instrument=instrument,
            venue=venue,
            pending_first=self._pending,
            cell_first=self._cells,
            cell_count=cells,
            live_first=self._lives,
            **values,
        )
        self._cells += cells
        self._lives += 2 * cells if kind == AgentKind.FLOW else 0
        self._pending += pending
        return number

    def _flow(self, flow: Flow, item: InstrumentDescription, number: int, venue: int) -> int:
        rates = limit_rates(flow)
        chance, alias = alias_table(rates)
        cancels = np.array(flow.cancel_rates or (1.0 / flow.lifetime,), float)
        cancels = np.concatenate([cancels, np.full(max(0, len(rates) - len(cancels)), cancels[-1])])[: len(rates)]
        most = float(cancels.max())
        values: dict[str, Any] = {}
        wild = flow.excitation
        if wild is not None:
            decay = np.array(wild.decay)
            matrix = branching_matrix(np.array(wild.same), np.array(wild.opposite))
            values = {"excited": 1, "decay": decay, "kick": (matrix * decay[:, None, None]).reshape(-1)}
        index = self._flows.add(
            limit_rate=float(rates.sum()) * item.activity,
            market_rate=flow.market_rate * item.activity,
            cancel_rate=most * item.activity,
            lean=flow.lean,
            lean_ticks=flow.lean_ticks,
            inside=0.0 if flow.inside >= 1.0 else max(flow.inside, 1e-9),
            sweep=flow.sweep,
            distances=len(rates),
            limit_sizes=self._size_row(flow.limit_sizes, item.size),
            market_sizes=self._size_row(flow.market_sizes, item.size),
            cancel_share=cancels / most if most > 0 else cancels,
            alias_chance=chance,
            alias=alias,
            seed_depth=flow.seed_depth,
            seed_orders=flow.seed_orders,
            **values,
        )
        return self._agent(AgentKind.FLOW, index, number, venue, cells=flow.cells, pending=1)

    def _maker(self, maker: MarketMaker, item: InstrumentDescription, number: int, venue: int) -> None:
        lot = item.instrument().qty(item.instrument().lot_size)
        index = self._makers.add(
            half_spread=maker.half_spread,
            volatility_spread=maker.volatility_spread,
            weight=maker.weight,
            skew=maker.skew,
            tolerance=maker.tolerance,
            levels=maker.levels,
            step=maker.step,
            size=max(1, round(maker.size * item.size)) * lot,
            limit=max(1, round(maker.limit * item.size)) * lot,
        )
        self._agent(
            AgentKind.MARKET_MAKER,
            index,
            number,
            venue,
            rate=maker.rate,
            latency_ns=int(maker.latency_us * 1_000),
            cells=4 * records.MAX_LEVELS,
            pending=2 * records.MAX_LEVELS,
        )

    def _taker(self, kind: AgentKind, taker: Taker, item: InstrumentDescription, number: int, venue: int) -> None:
        lot = item.instrument().qty(item.instrument().lot_size)
        index = self._takers.add(
            fast=1.0 / taker.fast_s,
            slow=1.0 / taker.slow_s,
            threshold=taker.threshold,
            noise=taker.noise,
            slippage=taker.slippage,
            limit=max(1, round(taker.limit * item.size)) * lot,
            sizes=self._size_row(taker.sizes, item.size),
        )
        rate = taker.rate * item.activity
        self._agent(kind, index, number, venue, rate=rate, latency_ns=int(taker.latency_us * 1_000), pending=1)

    def _execution(self, execution: Execution, item: InstrumentDescription, number: int, venue: int) -> None:
        seconds = self.description.session.hours * 3_600
        index = self._executions.add(
            arrival=execution.per_day / seconds,
            least=execution.least * item.size,
            most=execution.most * item.size,
            exponent=execution.exponent,
            slice=max(1.0, execution.slice * item.size),
            interval=execution.interval_s / item.activity,
            flip=execution.flip,
        )
        self._agent(AgentKind.EXECUTION, index, number, venue, latency_ns=int(execution.latency_us * 1_000), pending=1)

    def _states(self) -> Any:
        market = self.description
        region = self.arena.region("world.states", records.STATE, len(market.instruments))
        numbers = {item.name: i for i, item in enumerate(market.instruments)}
        seconds = market.session.hours * 3_600
        for number, (row, item) in enumerate(zip(region.view, market.instruments, strict=True)):
            instrument = self.instruments[number]
            row["start_value"] = row["value"] = row["mid"] = float(item.price) * 10**item.price_decimals
            row["sigma"] = item.volatility / math.sqrt(seconds)
            row["activity"] = 1.0
            row["news_rate"] = item.news_per_day / seconds
            loads = [item.loads.get(factor, 0.0) for factor in market.factors]
            row["loads"][: len(loads)] = loads
            row["idiosyncratic"] = math.sqrt(max(0.0, 1.0 - sum(load * load for load in loads)))
            row["tick"], row["lot"] = instrument.price(instrument.tick_size), instrument.qty(instrument.lot_size)
            row["numerator"] = row["denominator"] = row["flow"] = -1
            row["venue"] = self.instruments.venues.index(item.venue)
            parts = item.ratio or ((item.same_as,) if item.same_as else ())
            full = [numbers[name if "@" in name else f"{name}@{item.venue}"] for name in parts]
            if full:
                row["numerator"] = full[0]
                above = market.instruments[full[0]]
                scale = 10.0 ** (item.price_decimals - above.price_decimals)
                if len(full) == 2:
                    row["denominator"] = full[1]
                    scale = 10.0 ** (item.price_decimals + market.instruments[full[1]].price_decimals)
                    scale /= 10.0**above.price_decimals
                row["ratio_scale"] = scale
        order = [n for n in range(len(market.instruments)) if region.view[n]["numerator"] >= 0]
        for number in order:
            if any(region.view[p]["numerator"] >= 0 and p >= number for p in self._parents(region.view[number])):
                raise WorldError(f"{market.instruments[number].name}: list the instruments it is made of before it")
            row = region.view[number]
            value = float(region.view[row["numerator"]]["value"]) * float(row["ratio_scale"])
            if row["denominator"] >= 0:
                value /= float(region.view[row["denominator"]]["value"])
            row["value"] = row["mid"] = row["start_value"] = value
        return region

    @staticmethod
    def _parents(row: Any) -> list[int]:
        return [int(row[name]) for name in ("numerator", "denominator") if row[name] >= 0]

    def _environment(self) -> Any:
        market, session = self.description, self.description.session
        region = self.arena.region("world.environment", records.ENVIRONMENT_RECORD, 1)
        row = region.view[0]
        row["step_ns"] = int(market.step_ms * 1e6)
        row["start"], row["end"] = market.start_ns, market.end_ns
        row["open_level"], row["close_level"], row["edge_decay"] = session.open, session.close, session.decay
        edge = (session.open + session.close) * session.decay * (1.0 - math.exp(-1.0 / session.decay))
        row["base_level"] = 1.0 - edge
        row["factors"] = len(market.factors)
        row["regimes"] = max(1, len(market.regimes))
        row["regime_volatility"] = row["regime_activity"] = 1.0
        row["regime_seconds"] = 1e9
        for number, regime in enumerate(market.regimes):
            row["regime_volatility"][number] = regime.volatility
            row["regime_activity"][number] = regime.activity
            row["regime_seconds"][number] = regime.minutes * 60
        row["regime_end"] = market.start_ns + int(float(row["regime_seconds"][0]) * 1e9)
        row["news_rate"] = market.news.per_day / (session.hours * 3_600)
        row["news_size"], row["news_activity"] = market.news.size, market.news.activity
        row["news_fade"] = 1.0 / market.news.fade_s
        row["cluster_size"], row["cluster_rate"] = market.clusters.size, 1.0 / (market.clusters.minutes * 60)
        return region

    def _populate(self, states: Any) -> None:
        self._agent(AgentKind.ENVIRONMENT, 0, 0, 0)
        for number, item in enumerate(self.description.instruments):
            profile: Profile = self.description.profiles[item.profile]
            venue = self.instruments.venues.index(item.venue)
            if profile.flow is not None:
                states.view[number]["flow"] = self._flow(profile.flow, item, number, venue)
            for maker in profile.market_makers:
                for _ in range(maker.count):
                    self._maker(maker, item, number, venue)
            for name, kind in _TAKERS:
                for taker in getattr(profile, name):
                    for _ in range(taker.count):
                        self._taker(kind, taker, item, number, venue)
            for execution in profile.executions:
                for _ in range(execution.count):
                    self._execution(execution, item, number, venue)

    def _lay(self, feed: int, outsiders: int) -> None:
        arena = self.arena
        self._root = arena.region("world.root", records.WORLD, 1)
        self.address = self._root.address
        root = self._root.view[0]
        states = self._states()
        self._populate(states)
        agents = len(self._agents.list)
        self.participants = agents
        leaves = 1 << max(1, (agents - 1).bit_length())
        times = arena.region("world.times", "<i8", leaves)
        times.view[:] = records.NEVER
        winners = arena.region("world.winners", "<i4", 2 * leaves)
        winners.view[leaves:] = np.arange(leaves)
        for node in range(leaves - 1, 0, -1):
            winners.view[node] = winners.view[2 * node]
        sizes = arena.region("world.sizes", records.SIZES, max(1, len(self._sizes)))
        for row, table in enumerate(self._sizes):
            sizes.view[row]["lots"] = np.frombuffer(table, np.int32)
        regions = {
            "states": states,
            "environment": self._environment(),
            "agents": self._agents.lay(arena, "world.agents"),
            "flows": self._flows.lay(arena, "world.flows"),
            "makers": self._makers.lay(arena, "world.makers"),
            "takers": self._takers.lay(arena, "world.takers"),
            "executions": self._executions.lay(arena, "world.executions"),
            "cells": arena.region("world.cells", records.CELL, max(1, self._cells)),
            "lives": arena.region("world.lives", "<i4", max(1, self._lives)),
            "pending": arena.region("world.pending", COMMAND, max(1, self._pending)),
            "command": arena.region("world.command", COMMAND, 1, transient=True),
            "sizes": sizes,
            "times": times,
            "winners": winners,
            "metaorders": arena.region("world.metaorders", records.METAORDER, 1 << 16),
            "links": arena.region("world.links", records.LINK, len(self.instruments.venues)),
        }
        for name, region in regions.items():
            root[f"{name}_address"] = region.address
        self._regions = regions
        root["venues"], root["instruments"] = len(self.instruments.venues), len(self.instruments)
        root["agents"], root["leaves"], root["outsiders"] = agents, leaves, int(outsiders > 0)
        root["metaorder_capacity"] = 1 << 16
        orders = self._cells + (1 << 16)
        root["now"] = self.description.start_ns
        self.exchanges: list[MatchingExchange] = []
        config = ExchangeConfig(max_participants=agents + outsiders)
        for number, venue in enumerate(self.instruments.venues):
            exchange = MatchingExchange(
                arena, self.instruments, config, name=f"market.{venue}", feed=feed, book={"max_orders": orders}
            )
            link = regions["links"].view[number]
            link["exchange_address"], link["book_address"] = exchange.address, exchange.book.address
            link["command_function"], link["clock_function"] = command_door(), clock_door()
            self.exchanges.append(exchange)

    # --- running ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Time of the last thing done, ns UTC."""
        return int(self._root.view[0]["now"])

    @property
    def next(self) -> int:
        """Time of the next thing, ns UTC."""
        return int(world_next(self.address))

    @property
    def status(self) -> records.WorldStatus:
        """What went wrong, if anything."""
        return records.WorldStatus(int(self._root.view[0]["status"]))

    @property
    def commands(self) -> int:
        """Commands that agents have sent."""
        return int(self._root.view[0]["commands"])

    @property
    def dropped(self) -> int:
        """Orders not sent because their agent had no room for another."""
        return int(self._root.view[0]["dropped"])

    @property
    def agents(self) -> npt.NDArray[Any]:
        """AGENT records, shape (participants,): positions, cash, counts."""
        return self._regions["agents"].view

    @property
    def metaorders(self) -> npt.NDArray[Any]:
        """METAORDER records of the large executions that are over."""
        count = min(int(self._root.view[0]["metaorder_count"]), int(self._root.view[0]["metaorder_capacity"]))
        return self._regions["metaorders"].view[:count]

    def step(self, until: int, most: int = 1 << 62) -> int:
        """Do what is due up to a time (ns UTC), at most so many things; gives how many were done.

        Raises
        ------
        WorldError
            An exchange could not go on.
        """
        done = int(world_step(self.address, until, most))
        if self.status:
            rows = (self.arena[f"market.{venue}.exchange"].view[0] for venue in self.instruments.venues)
            found = ", ".join(repr(ExchangeStatus(int(row["status"]))) for row in rows)
            raise WorldError(f"{self.description.name}: the market stopped: {self.status!r}, exchanges: {found}")
        return done

    def run(self, until: int | None = None, *, seconds: float | None = None, most: int = 20_000) -> Iterator[Any]:
        """Live on, giving what the exchanges publish: EVENT records by time, in chunks.

        Parameters
        ----------
        until : int, optional
            ns UTC; the end of the session when neither is given.
        seconds : float, optional
            From now on, instead.
        most : int
            Wakes a chunk.
        """
        if until is None:
            until = self.description.end_ns if seconds is None else self.now + int(seconds * _SECOND)
        while True:
            done = self.step(until, most)
            found = [exchange.events() for exchange in self.exchanges]
            events = found[0] if len(found) == 1 else np.concatenate(found)
            if len(found) > 1:
                events = events[np.argsort(events["ts_venue"], kind="stable")]
            if len(events):
                yield events
            if not done and self.next > until:
                return
            if not done and not len(events):
                raise WorldError(f"{self.description.name}: the market stands still at {self.now}")

    def skip(self, until: int) -> int:
        """Live on without anybody reading the feeds; gives the number of events published."""
        rows = [self.arena[f"market.{venue}.exchange"].view[0] for venue in self.instruments.venues]
        published = -sum(int(row["feed_end"]) for row in rows)
        while True:
            done = self.step(until)
            for row in rows:
                row["feed_first"] = row["feed_end"]
            if not done:
                return published + sum(int(row["feed_end"]) for row in rows)

    def digest(self) -> bytes:
        """Hash of the whole state."""
        return self.arena.digest()


assert EVENT.itemsize == 64
