"""A described market brought to life: exchanges, books and agents laid into an arena.

market = LivingMarket(read_description("us-equities"), seed=7)
for events in market.run(seconds=60):   # EVENT records, all exchanges, by time
    ...
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import COMMAND, EVENT
from nanotick.exchange.agents import records
from nanotick.exchange.agents.day import day_schedule, market_rules
from nanotick.exchange.agents.description import MarketDescription
from nanotick.exchange.agents.description_check import DescriptionError
from nanotick.exchange.agents.doors import clock_door, command_door
from nanotick.exchange.agents.latent import lay_environment, lay_states
from nanotick.exchange.agents.population import Population
from nanotick.exchange.agents.world import world_next, world_open, world_step
from nanotick.exchange.market import ExchangeConfig, ExchangeStatus, MatchingExchange

_SECOND = 1_000_000_000


class WorldError(RuntimeError):
    """The simulated market could not go on."""


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
    whole_day : bool
        Begin where orders are collected for the opening auction and end with the closing one, as the description's
        `auctions` say; else there is continuous trading from the start.
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
    start_ns, end_ns : int
        From when to when there is anything to live through, ns UTC.
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
        whole_day: bool = False,
        outsiders: int = 0,
    ) -> None:
        self.description = description
        self.seed = seed
        self.instruments = InstrumentTable(item.instrument() for item in description.instruments)
        self.arena = arena if arena is not None else Arena(16 << 30)
        if whole_day and description.auctions is None:
            raise DescriptionError(f"{description.name}: a whole day needs `auctions`, which it does not describe")
        self.whole_day = whole_day
        self.start_ns, self.end_ns = description.day_ns if whole_day else (description.start_ns, description.end_ns)
        self._lay(feed, outsiders)
        if world_open(self.address):
            raise WorldError(f"{description.name}: the market did not open: {self.status!r}")

    def _lay(self, feed: int, outsiders: int) -> None:
        arena = self.arena
        self._root = arena.region("world.root", records.WORLD, 1)
        self.address = self._root.address
        root = self._root.view[0]
        states = lay_states(arena, self.description, self.instruments)
        population = Population(self.description, self.instruments, self.seed, states.view, self.whole_day)
        agents = len(population)
        self.participants = agents
        leaves = 1 << max(1, (agents - 1).bit_length())
        times = arena.region("world.times", "<i8", leaves)
        times.view[:] = records.NEVER
        winners = arena.region("world.winners", "<i4", 2 * leaves)
        winners.view[leaves:] = np.arange(leaves)
        for node in range(leaves - 1, 0, -1):
            winners.view[node] = winners.view[2 * node]
        regions = {
            "states": states,
            "environment": lay_environment(arena, self.description, self.whole_day),
            **population.lay(arena),
            "command": arena.region("world.command", COMMAND, 1, transient=True),
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
        orders = population.cells + (1 << 16)
        root["now"] = self.start_ns
        self.exchanges: list[MatchingExchange] = []
        rules = [market_rules(self.description, self.whole_day, row) for row in states.view]
        for number, venue in enumerate(self.instruments.venues):
            config = ExchangeConfig(
                symbols={item.symbol: rules[i] for i, item in enumerate(self.instruments) if item.venue == venue},
                schedule=day_schedule(self.description, venue) if self.whole_day else (),
                max_participants=agents + outsiders,
            )
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
            until = self.end_ns if seconds is None else self.now + int(seconds * _SECOND)
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

    # --- keeping ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Arena:
        """The market's own part of the arena."""
        own = ("world.", *(f"market.{venue}." for venue in self.instruments.venues))
        return self.arena.part(r.name for r in self.arena.regions if r.name.startswith(own))

    def save(self, path: Path, sequence: int = 0) -> bytes:
        """Write the state to a snapshot file; returns its digest."""
        return self.state.snapshot(path, sequence)

    def restore(self, path: Path) -> int:
        """Go on from a snapshot of a market of the same description; gives its sequence number.

        Raises
        ------
        SnapshotError
            The file is damaged, or of another market. Nothing has changed then.
        """
        return self.state.restore(path)

    def digest(self) -> bytes:
        """Hash of the whole state, the same wherever it lies."""
        return self.state.digest()


assert EVENT.itemsize == 64
