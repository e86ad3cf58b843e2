"""A recording as the market behind a desk: what rested and what traded that day, and we among it.

Every recorded order (or price level, where the recording has levels) rests in a matching exchange as an order of
participant 0; every recorded execution arrives as an order of participant 1 that takes at most its quantity at its
price. So our orders stand in the queue behind what was there, are filled when the recorded volume reaches them, and
take recorded liquidity away. What was recorded does not react to us: an order that we have filled is gone, and one that
would have been executed in part had we not stood before it keeps that part until the recording takes it off.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import Flag, Kind, TimeInForce, TradingStatus
from nanotick.data.eventfile import EventFile
from nanotick.exchange.config import Fees
from nanotick.exchange.market import ExchangeConfig, MatchingExchange
from nanotick.exchange.market.engine import Call, exchange_call
from nanotick.exchange.market.records import NEVER, Phase
from nanotick.venues.paced_market import MAX_ACCOUNTS, bytes_of

RESTING, TAKING = 0, 1
_COMMAND = struct.Struct("<6qBBHIIBBbB")
_CALL = int(Call.COMMAND)
_NEW, _CANCEL, _REPLACE, _ALL = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER), int(Kind.CANCEL_ALL)
_ADD, _MODIFY, _REDUCE, _DELETE = int(Kind.ADD), int(Kind.MODIFY), int(Kind.REDUCE), int(Kind.DELETE)
_EXECUTE, _REPLACED, _LEVEL, _CLEAR = int(Kind.EXECUTE), int(Kind.REPLACE), int(Kind.LEVEL), int(Kind.CLEAR)
_QUOTE, _TRADE, _STATUS = int(Kind.QUOTE), int(Kind.TRADE), int(Kind.STATUS)
_IOC = int(TimeInForce.IOC)
_HALTS = (TradingStatus.HALTED, TradingStatus.PAUSED)


class ReplayedError(ValueError):
    """A recording that cannot be a market."""


class _Recorded:
    """A recorded order, or a price level: what the recording says rests there, and its order at the exchange."""

    __slots__ = ("number", "price", "qty", "side", "total")

    def __init__(self, number: int, side: int, price: int, qty: int) -> None:
        self.number, self.side, self.price, self.qty, self.total = number, side, price, qty, qty


class ReplayedMarket:
    """A recorded event file as a `Source` of `PacedMarket`.

    Parameters
    ----------
    file : Path or EventFile
        `nanotick data convert` makes one of a recording.
    symbols : tuple of str
        Only these, all when empty.
    accounts : int
        Room for accounts.

    Attributes
    ----------
    refused : int
        Recorded orders the exchange did not take (off the tick, quantity nought).
    rows : int
        Rows played so far.

    Raises
    ------
    ReplayedError
        It holds no market data, or none of the symbols.
    """

    def __init__(self, file: Path | EventFile, *, symbols: tuple[str, ...] = (), accounts: int = MAX_ACCOUNTS) -> None:
        opened = file if isinstance(file, EventFile) else EventFile.open(file)
        self.instruments: InstrumentTable = opened.instruments
        rows = opened.events
        rows = rows[(rows["flags"] & int(Flag.LOCAL) != 0) & (rows["kind"] < 32)]
        if symbols:
            known = {item.symbol for item in self.instruments}
            for symbol in symbols:
                if symbol not in known:
                    raise ReplayedError(f"{opened.path}: no symbol {symbol!r}; there are {self.instruments.names()}")
            wanted = np.array([item.symbol in symbols for item in self.instruments])
            rows = rows[wanted[rows["instrument"]]]
        if not len(rows):
            raise ReplayedError(f"{opened.path}: no market data to replay")
        self._rows = rows
        stamps = np.where(rows["ts_recv"] != 0, rows["ts_recv"], rows["ts_venue"])
        self._times: npt.NDArray[np.int64] = np.maximum.accumulate(stamps)
        self.start_ns = self.open_ns = int(self._times[0])
        self.end_ns = int(self._times[-1]) + 1
        self.participants = 2
        self.rows = self.refused = 0
        arena = Arena(8 << 30)
        config = ExchangeConfig(max_participants=self.participants + accounts)
        self.exchanges = [
            MatchingExchange(arena, self.instruments, config, name=f"replay.{venue}", feed=1 << 17)
            for venue in self.instruments.venues
        ]
        self._venue_of = [self.instruments.venues.index(item.venue) for item in self.instruments]
        self._memory = [bytes_of(e._commands.view) for e in self.exchanges]
        self._number = 0
        self._orders: dict[tuple[int, int], _Recorded] = {}
        self._levels: dict[tuple[int, int, int], _Recorded] = {}
        self._quotes: dict[tuple[int, int], int] = {}
        self._by_order: set[int] = set()

    # --- Source -----------------------------------------------------------------------------------------------------

    def fees_of(self, venue: str) -> Fees | None:
        """A recording has no fees; accounts may."""
        return None

    def due(self) -> int:
        """See `Source`."""
        row = int(self._times[self.rows]) if self.rows < len(self._times) else NEVER
        return min(row, *(exchange.next_deadline for exchange in self.exchanges))

    def heard(self, now: int) -> None:
        """What was recorded does not react."""

    def live(self, until: int, most: int) -> None:
        """See `Source`."""
        end = min(int(np.searchsorted(self._times, until, "right")), self.rows + most)
        if end > self.rows:
            times = self._times[self.rows : end].tolist()
            for now, row in zip(times, self._rows[self.rows : end].tolist(), strict=True):
                self._play(now, row)
            self.rows = end
        reached = until if self.rows >= len(self._times) or int(self._times[self.rows]) > until else 0
        for exchange in self.exchanges:
            if exchange.next_deadline <= reached:
                exchange.clock(reached)

    # --- rows to commands -------------------------------------------------------------------------------------------

    def _tell(
        self, now: int, instrument: int, kind: int, number: int = 0, side: int = 0, price: int = 0, qty: int = 0,
        who: int = RESTING, tif: int = 0,
    ) -> int:  # fmt: skip
        venue = self._venue_of[instrument]
        self._memory[venue][:] = _COMMAND.pack(
            now, 0, 0, price, qty, number, 0, tif, who, 0, instrument, venue, kind, side, 0
        )
        exchange = self.exchanges[venue]
        return int(exchange_call(exchange.address, _CALL, exchange._commands.address, 0, now))

    def _rest(self, now: int, instrument: int, side: int, price: int, qty: int) -> _Recorded | None:
        self._number += 1
        if self._tell(now, instrument, _NEW, self._number, side, price, qty):
            self.refused += 1
            return None
        return _Recorded(self._number, side, price, qty)

    def _change(self, now: int, instrument: int, held: _Recorded, price: int, qty: int) -> None:
        """What the recording says rests there is now another quantity; what we took of it stays taken."""
        held.total += qty - held.qty
        held.qty, held.price = qty, price
        if held.total > 0:
            self._tell(now, instrument, _REPLACE, held.number, held.side, price, held.total)
        else:
            self._tell(now, instrument, _CANCEL, held.number, held.side)

    def _take(self, now: int, instrument: int, side: int, price: int, qty: int) -> None:
        self._number += 1
        self._tell(now, instrument, _NEW, self._number, side, price, qty, TAKING, _IOC)

    def _set_level(self, now: int, instrument: int, side: int, price: int, qty: int) -> None:
        key = instrument, side, price
        held = self._levels.get(key)
        if held is None:
            if qty > 0:
                made = self._rest(now, instrument, side, price, qty)
                if made is not None:
                    self._levels[key] = made
        elif qty > 0:
            self._change(now, instrument, held, price, qty)
            if held.total <= 0:  # we have taken more than the recording has left: a fresh order stands for the level
                self._levels.pop(key)
        else:
            del self._levels[key]
            self._tell(now, instrument, _CANCEL, held.number, side)

    def _play(self, now: int, row: tuple[Any, ...]) -> None:
        _, _, _, price, qty, ident, word, instrument, _, kind, side, flags = row
        if kind == _LEVEL:
            self._set_level(now, instrument, side, price, qty)
        elif kind == _ADD:
            self._by_order.add(instrument)
            made = self._rest(now, instrument, side, price, qty)
            if made is not None:
                self._orders[instrument, ident] = made
        elif kind in (_REDUCE, _DELETE, _EXECUTE, _MODIFY, _REPLACED):
            self._play_order(now, instrument, kind, ident, price, qty, word)
        elif kind == _TRADE:
            if side and instrument not in self._by_order and not flags & int(Flag.HIDDEN):
                held = self._levels.get((instrument, -side, price))
                if held is not None:
                    held.qty -= min(qty, held.qty)  # the level's next row says the same again
                self._take(now, instrument, side, price, qty)
        elif kind == _QUOTE:
            for which, level, amount, empty in ((1, price, qty, EMPTY_BID), (-1, ident, word, EMPTY_ASK)):
                before = self._quotes.get((instrument, which))
                if before is not None and before != level:
                    self._set_level(now, instrument, which, before, 0)
                self._quotes[instrument, which] = level
                if level != empty and level > 0:
                    self._set_level(now, instrument, which, level, amount)
        elif kind == _CLEAR:
            self._clear(now, instrument, side)
        elif kind == _STATUS:
            exchange = self.exchanges[self._venue_of[instrument]]
            if word in _HALTS:
                exchange.phase(instrument, Phase.HALTED, now)
            elif word == TradingStatus.TRADING:
                exchange.phase(instrument, Phase.CONTINUOUS, now)

    def _play_order(self, now: int, instrument: int, kind: int, ident: int, price: int, qty: int, word: int) -> None:
        held = self._orders.get((instrument, ident))
        if held is None:
            return
        if kind == _EXECUTE:
            self._take(now, instrument, -held.side, price or held.price, qty)
            held.qty -= min(qty, held.qty)
            if held.qty == 0:  # what we kept from being executed goes with it
                self._tell(now, instrument, _CANCEL, held.number, held.side)
                del self._orders[instrument, ident]
        elif kind == _MODIFY:
            self._change(now, instrument, held, price, qty)
        elif kind == _REDUCE and qty < held.qty:
            self._change(now, instrument, held, held.price, held.qty - qty)
        else:
            del self._orders[instrument, ident]
            self._tell(now, instrument, _CANCEL, held.number, held.side)
            if kind == _REPLACED:
                made = self._rest(now, instrument, held.side, price, qty)
                if made is not None:
                    self._orders[instrument, word] = made

    def _clear(self, now: int, instrument: int, side: int) -> None:
        self._tell(now, instrument, _ALL, side=side)
        for orders in (self._orders, self._levels):
            gone = [key for key, held in orders.items() if key[0] == instrument and side in (0, held.side)]
            for key in gone:
                del orders[key]  # type: ignore[arg-type]
        for which in (1, -1):
            if side in (0, which):
                self._quotes.pop((instrument, which), None)
