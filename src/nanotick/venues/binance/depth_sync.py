"""Books of a Binance connection: the snapshot over REST, the diffs around it, and how a new connection goes on.

    stream   diff  diff  diff  diff  diff ─▶ kept until the snapshot is here, then handed on
    REST              └ snapshot, lastUpdateId ─▶ CLEAR and LEVELs; kept diffs that end at or before it are dropped

The steps of the venue's rules ("How to manage a local order book correctly"): diffs are kept from the first on; a
snapshot older than the first of them is fetched again; what it holds already is dropped; from then on every diff must
begin where the one before it ended, or the book is told to be broken (GAP) and the steps begin anew. Update ids belong
to the symbol, not to the connection: a connection that replaces another takes its books over at the id they have
reached, without a snapshot, and trades at their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nanotick.core.records import EVENT, RECORD_SIZE, Kind
from nanotick.venues.feed import Conversation
from nanotick.venues.host import Link
from nanotick.wire.binance_chain import GAP as CHAIN_GAP
from nanotick.wire.binance_chain import MARKET, NEW, take_snapshot
from nanotick.wire.json_text import WireError
from nanotick.wire.messages import Depth, Level

if TYPE_CHECKING:
    from nanotick.venues.binance.feed import BinanceFeed

MAX_KEPT = 64 << 20  # bytes of records that wait, of one connection
_CLOCKS = 60_000_000_000  # ns that the venue's clock may be behind ours, where nothing tells
_DATE = 2_000_000_000  # ns that a date of whole seconds may be ahead of what follows the answer
_GAP, _LEVEL, _QUOTE, _TRADE = int(Kind.GAP), int(Kind.LEVEL), int(Kind.QUOTE), int(Kind.TRADE)
_KIND_AT = EVENT.fields["kind"][1]  # type: ignore[index]


class BookSync:
    """A book that is being told anew: diffs that wait for its snapshot, and how often that was asked for."""

    __slots__ = ("began_ns", "kept", "tries")

    def __init__(self, now: int, kept: list[bytes] | None = None) -> None:
        self.kept: list[bytes] = kept or []
        self.tries = 0
        self.began_ns = now


class BinanceConversation(Conversation):
    """One connection: what its link calls, and where its books stand.

    Attributes
    ----------
    syncs : dict of int to BookSync
        Books that wait for their snapshot, by instrument.
    asked : set of int
        Ids of subscriptions that the venue has not confirmed.
    confirmed : bool
        It has confirmed all.
    """

    feed: BinanceFeed

    def __init__(self, feed: BinanceFeed, url: str, delivering: bool, now: int) -> None:
        super().__init__(feed, url, delivering, now)
        self._head = self.frames.events.view(np.uint8).data
        self._rows = self.frames.events
        self.chains = self.frames.chains
        self._places = {int(row["number"]): place for place, row in enumerate(self.chains)}
        self.syncs: dict[int, BookSync] = {}
        self.asked: set[int] = set()
        self.confirmed = False
        self.trades: dict[int, int] = {}  # latest trade id, while another connection follows
        # of a connection that does not deliver yet
        self._held: dict[int, list[bytes]] = {}
        self._held_trades: list[bytes] = []
        self._quotes: dict[int, bytes] = {}
        self._kept_bytes = 0
        if delivering and feed.with_depth:
            self.syncs = {number: BookSync(now) for number in feed.numbers.values()}
        self.apart = not delivering or bool(self.syncs)  # records are looked at one message at a time

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """As `Conversation.message`."""
        if self.over:
            return
        self.last_ns = now
        self.messages += 1
        self.bytes += len(data)
        frames, count = self.frames, -1
        if self.turn is not None and not self.apart:
            count = self.turn(data, now)
            if count >= 0 and frames.told:
                frames.forget()
        if count < 0:
            try:
                count = frames.read(data, now)
            except WireError as error:
                self.feed.refuse(self, error, data)
                return
            if frames.told and not self.feed.told(self):
                return
        if count == 0:
            return
        if self.apart or self._head[_KIND_AT] == _GAP:
            self._look_at(count, now)
        else:
            self.deliver(self._address, count)

    def _look_at(self, count: int, now: int) -> None:
        """Records of one message of one symbol, while not everything simply goes on."""
        kind, number = self._head[_KIND_AT], int(self._rows["instrument"][0])
        if not self.delivering:
            self._hold(kind, number, count)
        elif kind == _TRADE:
            self.trades[number] = int(self._rows["id"][0])
            self.deliver(self._address, count)
        elif kind == _GAP:
            self.deliver(self._address, 1)
            self.feed.gaps += 1
            self.resync(number, now, self._take_gap(number, count))
        elif number not in self.syncs:
            self.deliver(self._address, count)
        elif kind == _LEVEL:
            self._keep(self.syncs[number].kept, self._bytes(0, count))

    def _bytes(self, begin: int, end: int) -> bytes:
        return bytes(self._head[begin * RECORD_SIZE : end * RECORD_SIZE])

    def _keep(self, rows: list[bytes], data: bytes) -> None:
        rows.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes > MAX_KEPT:
            self.feed.fail(self, f"{MAX_KEPT >> 20} MB of records wait for snapshots")

    def _take_gap(self, number: int, count: int) -> list[bytes]:
        """Begin the chain of a symbol at the diff after a gap; that diff's records."""
        chain = self.chain(number)
        chain["before_first"] = int(chain["gap_first"]) + int(chain["gap_count"]) - 1
        return [self._bytes(1, count)] if count > 1 else []

    def chain(self, number: int) -> Any:
        """Where the update ids of an instrument stand: a `binance_chain.MARKET` record."""
        return self.chains[self._places[number]]

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def resync(self, number: int, now: int, kept: list[bytes] | None = None) -> None:
        """Build a book anew, from these diffs on; it has been told to be broken."""
        self.apart = True
        sync = self.syncs.get(number)
        if sync is not None:  # its snapshot is being asked for
            self._kept_bytes -= sum(map(len, sync.kept))
            sync.kept = kept or []
            return
        self.syncs[number] = BookSync(now, kept)
        self.feed.want_snapshot(self, number)

    def snapshot(self, number: int, depth: Depth, said_ns: int = 0) -> bool:
        """Take a snapshot; False if it is too old and must be fetched again.

        Parameters
        ----------
        said_ns : int
            The venue's time when it answered, as exactly as it says so; 0 if not told.
        """
        sync = self.syncs.get(number)
        if sync is None or self.over:
            return True
        chain = self.chain(number)
        place = int(self.chains.ctypes.data) + self._places[number] * MARKET.itemsize
        if take_snapshot(place, depth.last) == CHAIN_GAP:
            return False
        kept = _after(sync.kept, depth.last)
        depth.symbol = self.feed.instruments[number].symbol
        # levels remember the stamp of their news: the snapshot's must not be later than what follows it
        now = self.feed.host.now()
        first = np.frombuffer(kept, EVENT, 1)["ts_venue"][0] if kept else chain["latest_ns"]
        depth.ts_venue = int(first) or (said_ns - _DATE if said_ns else now - _CLOCKS)
        # best quotes carry no time: until a diff comes they take the snapshot's, for our clock may be far ahead
        chain["latest_ns"] = max(int(chain["latest_ns"]), depth.ts_venue)
        decimals = self.feed.instruments[number].qty_decimals
        depth.bids, depth.asks = _cut(depth.bids, decimals), _cut(depth.asks, decimals)
        refused = self.frames.rows.refused.total()
        data = self.frames.rows.write([depth], now)
        if self.frames.rows.refused.total() != refused:
            raise WireError(f"{depth.symbol}: a snapshot that does not fit the instrument's scales")
        self._hand_on(data + kept)
        del self.syncs[number]
        self._kept_bytes -= sum(map(len, sync.kept))
        self.settle()
        return True

    def settle(self) -> None:
        """Whether everything simply goes on from now."""
        self.apart = not self.delivering or bool(self.syncs) or self.feed.successor is not None

    def _hand_on(self, data: bytes) -> None:
        if data:
            rows = np.frombuffer(data, np.uint8)
            self.deliver(int(rows.ctypes.data), len(data) // RECORD_SIZE)

    # --- following another connection ---------------------------------------------------------------------------------

    def _hold(self, kind: int, number: int, count: int) -> None:
        if kind == _GAP:
            self._held[number] = self._take_gap(number, count)
        elif kind == _LEVEL:
            self._keep(self._held.setdefault(number, []), self._bytes(0, count))
        elif kind == _TRADE:
            self._keep(self._held_trades, self._bytes(0, count))
        elif kind == _QUOTE:
            self._quotes[number] = self._bytes(0, count)

    def follows(self, old: BinanceConversation) -> bool:
        """Whether every book of the other connection has reached what this one has heard."""
        for number in self.feed.numbers.values():
            chain, before = self.chain(number), old.chain(number)
            if int(chain["mode"]) != NEW and int(before["mode"]) != NEW:
                if int(chain["before_first"]) > int(before["last_id"]):
                    return False
        return True

    def take_over(self, old: Conversation | None) -> None:
        """As `Conversation.take_over`: go on where the other one's books and trades stand."""
        super().take_over(old)
        now, numbers = self.feed.host.now(), self.feed.numbers.values()
        before = old if isinstance(old, BinanceConversation) else None
        self._kept_bytes = 0
        for number in numbers if self.feed.with_depth else ():
            held = self._held.pop(number, [])
            if before is None or number in before.syncs:
                self.resync(number, now, held)
                continue
            chain, known = self.chain(number), before.chain(number)
            last = int(known["last_id"])
            place = int(self.chains.ctypes.data) + self._places[number] * MARKET.itemsize
            if take_snapshot(place, last) == CHAIN_GAP:
                self.feed.tell_gap([self.feed.instruments[number].symbol])
                self.resync(number, now, held)
                continue
            chain["latest_ns"] = max(int(chain["latest_ns"]), int(known["latest_ns"]))
            self._hand_on(_after(held, last))
        seen = before.trades if before is not None else {}
        trades = b"".join(self._held_trades)
        if trades:
            rows = np.frombuffer(trades, EVENT)
            known_ids = np.array([seen.get(int(number), -1) for number in rows["instrument"]])
            self._hand_on(rows[rows["id"] > known_ids].tobytes())
        self._hand_on(b"".join(row for number, row in self._quotes.items() if number not in self.syncs))
        self._held, self._held_trades, self._quotes = {}, [], {}
        self.settle()


def _cut(levels: list[Level], decimals: int) -> list[Level]:
    """Levels with quantities no finer than the scale: one such level must not keep a book from being built."""
    return [(price, qty[: qty.index(".") + 1 + decimals].rstrip(".") if "." in qty else qty) for price, qty in levels]


def _after(kept: list[bytes], last: int) -> bytes:
    """Records of diffs that end after an update id."""
    found = [rows for rows in kept if int(np.frombuffer(rows, EVENT, 1)["seq"][0]) > last]
    return b"".join(found)
