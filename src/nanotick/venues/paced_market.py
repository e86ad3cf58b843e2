"""A market on a host's clock: the living or replayed market behind every desk, stepped as time passes.

One `PacedMarket` may serve several desks (a broker and its data vendor, three coin exchanges of one world). Two times:

    host time      what the host says, ns UTC; everything a desk says or is told is stamped with it
    session time   the market's own (its description says 14:30 UTC on some day); `speed` seconds of it a host's second

Each slice of a timer, and each command, lets the market live up to the host's present. A slice does a bounded number of
things. A market that falls more than `LAG_LIMIT_NS` behind is not chased: the rest is taken off its clock (`dilated_ns`
of the status counts it), so the loop stays free and prices keep coming, later. Nothing but the host's times decides
what happens, so a run over a virtual host repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import EVENT
from nanotick.exchange.agents.description import MarketDescription, read_description
from nanotick.exchange.agents.living import LivingMarket
from nanotick.exchange.agents.records import WORLD
from nanotick.exchange.agents.world import world_next, world_step
from nanotick.exchange.config import Fees
from nanotick.exchange.market import Participant
from nanotick.exchange.market.engine import Call, exchange_call
from nanotick.exchange.market.exchange import MatchingExchange
from nanotick.exchange.market.records import EXCHANGE, NEVER, Feeds, Phase, Watch
from nanotick.venues.host import Host, Timer
from nanotick.wire.reports import EVENT_STRUCT

SLICE_NS = 2_000_000
SLICE_THINGS = 1_024  # things a slice may do: about 2 ms
COMMAND_THINGS = 64  # and before a command
LAG_LIMIT_NS = 250_000_000
MAX_ACCOUNTS = 256
FEEDS = Feeds.LEVELS | Feeds.QUOTES | Feeds.TRADES
_NO_END = NEVER
_COMMAND = int(Call.COMMAND)
_FEW = 64  # reports that are looked at one by one

Raw = tuple[int, ...]  # fields of an EVENT, in order
OnReport = Callable[[Raw], None]
OnRows = Callable[[npt.NDArray[Any]], None]


class Source(Protocol):
    """What a paced market drives: `LivingMarket`, or a recording."""

    instruments: InstrumentTable
    exchanges: list[MatchingExchange]
    participants: int  # numbers from here on are outsiders'

    def live(self, until: int, most: int) -> None:
        """Do what is due up to a session time, at most so many things."""
        ...

    def due(self) -> int:
        """Session time of the next thing."""
        ...

    def heard(self, now: int) -> None:
        """An outsider's command was worked at a session time."""
        ...

    @property
    def start_ns(self) -> int:
        """Session time at which it begins."""
        ...

    @property
    def open_ns(self) -> int:
        """Session time at which continuous trading begins."""
        ...

    @property
    def end_ns(self) -> int:
        """Session time of the close, `NEVER` for none."""
        ...

    def fees_of(self, venue: str) -> Fees | None:
        """What outsiders pay."""
        ...


def words_of(view: npt.NDArray[Any]) -> memoryview:
    """The 64-bit words of a record, to be read and written without NumPy's overhead."""
    return bytes_of(view).cast("q")


def bytes_of(view: npt.NDArray[Any]) -> memoryview:
    """The bytes of records."""
    return memoryview(view.view(np.uint8).data).cast("B")


def word_at(dtype: np.dtype[Any], field: str) -> int:
    """Place of an int64 field among the words of its record."""
    assert dtype.fields is not None
    kind, offset = dtype.fields[field][0], dtype.fields[field][1]
    assert kind == np.dtype("<i8") and offset % 8 == 0
    return offset // 8


class LivingSource:
    """A described market in which agents trade."""

    def __init__(self, description: MarketDescription, seed: int, accounts: int, whole_day: bool = False) -> None:
        self.description = description
        self.market = LivingMarket(description, seed, whole_day=whole_day, outsiders=accounts)
        self.instruments = self.market.instruments
        self.exchanges = self.market.exchanges
        self.participants = self.market.participants
        self.start_ns, self.end_ns = self.market.start_ns, self.market.end_ns
        self.open_ns = description.start_ns
        self._address = self.market.address
        self._words = words_of(self.market.arena["world.root"].view)
        self._now, self._status = word_at(WORLD, "now"), word_at(WORLD, "status")

    def live(self, until: int, most: int) -> None:
        """See `Source`."""
        world_step(self._address, until, most)
        if self._words[self._status]:
            self.market.step(until, 0)  # says what is wrong

    def due(self) -> int:
        """See `Source`."""
        return int(world_next(self._address))

    def heard(self, now: int) -> None:
        """See `Source`."""
        self._words[self._now] = max(now, self._words[self._now])
        world_step(self._address, now, 0)  # agents hear what was done to their orders

    def fees_of(self, venue: str) -> Fees | None:
        """See `Source`."""
        return self.description.fees_of(venue)


@dataclass(frozen=True)
class MarketStatus:
    """How a paced market is doing.

    Attributes
    ----------
    now, session : int
        Host time and session time, ns UTC.
    open : bool
        The session is under way.
    lag_ns : int
        Session time the market is behind at this moment.
    dilated_ns : int
        Session time given up so far because the machine could not keep up.
    stopped : str
        Why the market cannot go on; empty when it can.
    """

    now: int
    session: int
    open: bool
    lag_ns: int
    dilated_ns: int
    stopped: str = ""


class PacedMarket:
    """A market stepped by a host's clock.

    Parameters
    ----------
    host : Host
    source : str, Path, MarketDescription or Source
        Name or YAML file of a description; for a recording `replayed.ReplayedMarket`.
    speed : str or number
        Seconds of the session in one of the host's.
    seed : int
    accounts : int
        Room for accounts of all desks together.
    symbols : tuple of str
        Only these (and what they are made of), all when empty.
    warm_up : float
        Session seconds lived through before anybody watches.
    by_order : bool
        Publish order by order too (ADD, EXECUTE, ...).
    whole_day : bool
        Begin where orders are collected for the opening auction, as far as the description has auctions.
    slice_ns : int
        Host time between two slices: how late public rows may be.
    """

    def __init__(
        self,
        host: Host,
        source: str | Path | MarketDescription | Source,
        *,
        speed: str | float = 1,
        seed: int = 1,
        accounts: int = MAX_ACCOUNTS,
        symbols: tuple[str, ...] = (),
        warm_up: float = 1.0,
        by_order: bool = False,
        whole_day: bool = False,
        slice_ns: int = SLICE_NS,
    ) -> None:
        self.host = host
        self._slice_ns = slice_ns
        self.speed = Fraction(str(speed)).limit_denominator(1_000)
        if self.speed <= 0:
            raise ValueError(f"speed: expected more than 0, found {speed}")
        self._plain = self.speed == 1
        self.seed = seed
        if isinstance(source, str | Path):
            source = read_description(source)
        if isinstance(source, MarketDescription):
            source = LivingSource(source.only(symbols) if symbols else source, seed, accounts, whole_day)
        self.source: Source = source
        self.instruments = source.instruments
        self.exchanges = source.exchanges
        self._accounts = accounts
        self._enrolled = [0] * len(self.exchanges)
        self._on_report: list[list[OnReport | None]] = [[None] * accounts for _ in self.exchanges]
        self._on_rows: list[list[OnRows]] = [[] for _ in self.exchanges]
        self._command = [bytes_of(e._commands.view) for e in self.exchanges]
        self._command_address = [e._commands.address for e in self.exchanges]
        self._address = [e.address for e in self.exchanges]
        self._root = [words_of(e._root) for e in self.exchanges]
        self._feed = [e.regions["feed"].view for e in self.exchanges]
        self._reports = [bytes_of(e.regions["reports"].view) for e in self.exchanges]
        self._owners = [bytes_of(e.regions["report_owners"].view).cast("i") for e in self.exchanges]
        self._words = {name: word_at(EXCHANGE, name) for name in (
            "feed_first", "feed_end", "feed_mask", "report_first", "report_end", "report_mask", "status"
        )}  # fmt: skip
        for exchange in self.exchanges:
            rows = exchange.regions["markets"].view
            rows["feeds"] = int(FEEDS | Feeds.ORDERS) if by_order else int(FEEDS)
            rows["watch"] |= int(Watch.QUOTES)
        self.time = source.start_ns  # session time reached: what the next command is stamped with
        self._host_zero, self._session_zero = 0, self.time
        self._warm_up = int(warm_up * 1e9)
        self._dilated = 0
        self._lag = 0
        self._stopped = ""
        self._closed = False
        self._timer: Timer | None = None
        self._running = False

    # --- time -------------------------------------------------------------------------------------------------------

    def session(self, host_ns: int) -> int:
        """Session time of a host time."""
        passed = host_ns - self._host_zero
        if not self._plain:
            passed = passed * self.speed.numerator // self.speed.denominator
        return self._session_zero + passed

    def wall(self, session_ns: int) -> int:
        """Host time of a session time."""
        passed = session_ns - self._session_zero
        if not self._plain:
            passed = passed * self.speed.denominator // self.speed.numerator
        return self._host_zero + passed

    @property
    def status(self) -> MarketStatus:
        """How it is doing."""
        return MarketStatus(
            self.host.now(), self.time, self.is_open, self._lag, self._dilated, self._stopped
        )  # fmt: skip

    @property
    def is_open(self) -> bool:
        """Whether the session is under way."""
        return self._running and self.time >= self.source.open_ns and not self._closed and not self._stopped

    @property
    def opens_ns(self) -> int:
        """Host time of the session's opening."""
        return self.wall(self.source.open_ns)

    @property
    def closes_ns(self) -> int:
        """Host time of the session's close, as its clock goes now; `NEVER` for none."""
        return NEVER if self.source.end_ns >= NEVER else self.wall(self.source.end_ns)

    # --- who takes part ---------------------------------------------------------------------------------------------

    def enrol(self, exchange: int, participant: Participant, on_report: OnReport) -> int:
        """A new participant of an exchange; gives its number there.

        Raises
        ------
        ValueError
            There is no room for another account.
        """
        place = self._enrolled[exchange]
        if place >= self._accounts:
            raise ValueError(f"no room for another account: {self._accounts} are there (accounts=)")
        self._enrolled[exchange] = place + 1
        number = self.source.participants + place
        self.exchanges[exchange].set_participant(number, participant)
        self._on_report[exchange][place] = on_report
        return number

    def publish_orders(self, exchange: int) -> None:
        """Let an exchange publish order by order from now on, too (`by_order`)."""
        self.exchanges[exchange].regions["markets"].view["feeds"] |= int(Feeds.ORDERS)

    def publish(self) -> None:
        """Hand over now what has been published and not been handed over."""
        self._drain()

    def watch(self, exchange: int, on_rows: OnRows) -> None:
        """Hear an exchange's public rows, EVENT arrays in host time; they are the listener's to keep."""
        self._on_rows[exchange].append(on_rows)

    # --- running ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Live from now on."""
        if self._running:
            return
        self._running = True
        for exchange in self.exchanges:  # what answers commands and questions is compiled now, not at the first of them
            exchange.clock(self.time)
            exchange.book.depth(0, 1, 1)
        start = self.source.start_ns + self._warm_up
        while self.source.due() <= start:
            before = self.source.due()
            self.source.live(start, SLICE_THINGS)
            self._drain(publish=False)
            if self.source.due() == before and not self._pending():
                break
        self.time = max(self.time, start)
        self._host_zero, self._session_zero = self.host.now(), self.time
        self._slice()

    def _pending(self) -> bool:
        return self.source.due() <= self.time

    def stop(self) -> None:
        """No more time passes."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _live(self, host_ns: int, most: int) -> None:
        """Live up to a host time, as far as `most` things reach."""
        target = min(self.session(host_ns), self.source.end_ns)
        due = target + 1
        if not self._closed and not self._stopped:
            try:
                self.source.live(target, most)
                due = self.source.due()
            except RuntimeError as error:
                self._stopped = str(error)
        reached = min(due, target)
        self._lag = target - reached
        if reached > self.time:
            self.time = reached
        if reached >= self.source.end_ns and not self._closed:
            self._close()
        if self._closed:
            self.time = max(self.time, self.session(host_ns))

    def _close(self) -> None:
        """The session ends with an auction: then day orders expire, and nothing trades any more."""
        self._closed = True
        for exchange in self.exchanges:
            phases = exchange.regions["markets"].view["phase"].tolist()
            for number, phase in enumerate(phases):
                if phase == Phase.CONTINUOUS:
                    exchange.phase(number, Phase.CLOSING_AUCTION, self.time)
                exchange.phase(number, Phase.CLOSED, self.time)

    def _slice(self) -> None:
        """What the timer does."""
        if not self._running:
            return
        now = self.host.now()
        self._live(now, SLICE_THINGS)
        self._drain()
        if self._lag > max(LAG_LIMIT_NS, self._slice_ns):
            self._dilated += self._lag
            self._host_zero, self._session_zero = now, self.time
        behind = self._lag > 0 and not self._stopped
        self._timer = self.host.at(now if behind else now + self._slice_ns, self._slice)

    def advance(self, host_ns: int) -> int:
        """Live up to a host time before a command; gives the session time at which it arrives."""
        self._live(host_ns, COMMAND_THINGS)
        return self.time

    def tell(self, exchange: int) -> None:
        """Hand over what has become of customers' orders up to the time reached."""
        self._hand_reports(exchange)

    def command(self, exchange: int, record: bytes) -> int:
        """Work a COMMAND at the time reached; its reports are handed over before this returns.

        Returns
        -------
        int
            RejectReason.
        """
        self._command[exchange][:] = record
        reason = int(exchange_call(self._address[exchange], _COMMAND, self._command_address[exchange], 0, self.time))
        self.source.heard(self.time)
        self._hand_reports(exchange)
        root, words = self._root[exchange], self._words
        if 2 * (root[words["feed_end"]] - root[words["feed_first"]]) > root[words["feed_mask"]]:
            self._publish(exchange)
        return reason

    def bust(self, exchange: int, trade: int) -> bool:
        """Undo a trade by its number; False when it is unknown, too old or undone already."""
        done = self.exchanges[exchange].bust(trade, self.time)
        self.source.heard(self.time)
        self._hand_reports(exchange)
        return done

    # --- handing over -----------------------------------------------------------------------------------------------

    def _drain(self, publish: bool = True) -> None:
        for exchange in range(len(self.exchanges)):
            self._hand_reports(exchange)
        for exchange in range(len(self.exchanges)):
            self._publish(exchange, publish)

    def _hand_reports(self, exchange: int) -> None:
        root, words = self._root[exchange], self._words
        first, end = root[words["report_first"]], root[words["report_end"]]
        if first == end:
            return
        root[words["report_first"]] = end
        if root[words["status"]]:
            self._stopped = f"exchange {self.exchanges[exchange].name!r} stopped"
        mask, base = root[words["report_mask"]], self.source.participants
        owners, reports, handlers = self._owners[exchange], self._reports[exchange], self._on_report[exchange]
        if end - first > _FEW:
            places = np.arange(first, end) & mask
            ours = places[self.exchanges[exchange].regions["report_owners"].view[places] >= base]
            found = [(owners[p], EVENT_STRUCT.unpack_from(reports, p * 64)) for p in ours.tolist()]
        else:
            found = [
                (owners[at & mask], EVENT_STRUCT.unpack_from(reports, (at & mask) * 64))
                for at in range(first, end)
                if owners[at & mask] >= base
            ]
        for owner, raw in found:  # a handler may enter orders: the ring is ours no longer
            handler = handlers[owner - base]
            if handler is not None:
                handler(raw)

    def _publish(self, exchange: int, heard: bool = True) -> None:
        root, words = self._root[exchange], self._words
        first, end = root[words["feed_first"]], root[words["feed_end"]]
        if first == end:
            return
        listeners = self._on_rows[exchange]
        if heard and listeners:
            ring, mask = self._feed[exchange], root[words["feed_mask"]]
            low, high = first & mask, end & mask
            rows = np.empty(end - first, EVENT)
            if low < high:
                rows[:] = ring[low:high]
            else:
                rows[: mask + 1 - low], rows[mask + 1 - low :] = ring[low:], ring[:high]
            stamps = rows["ts_venue"]
            stamps -= self._session_zero
            if not self._plain:
                stamps *= self.speed.denominator
                stamps //= self.speed.numerator
            stamps += self._host_zero
            root[words["feed_first"]] = end
            for listener in listeners:
                listener(rows)
        else:
            root[words["feed_first"]] = end
