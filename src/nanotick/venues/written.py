"""Traders whose plain new orders are written by a kernel, and whose books are kept once the bytes are on their way.

    COMMAND ─▶ limiter ─▶ text by `OrderWriter` ─▶ transport ─▶ Working, Sent, counts, limits

What the order needs afterwards is made afterwards: its name as text, its place among the working orders, its use of the
limits. That is sound because no answer can come before this callback returns (`venues.host`), because the limiter has
said before (`spare`) that one more order passes whatever the time, and because the journal has had the command first.
Whatever is not plain (another kind of command, an account that is not READY, a limit that is near, a kind of order that
has no template yet) goes the way of all traders.
"""

from __future__ import annotations

import struct
from ctypes import string_at
from typing import Any

from nanotick.core.records import RECORD_SIZE, CommandFlag, Kind
from nanotick.venues.rest import RestTrader
from nanotick.venues.working import Sent, TraderState, Working
from nanotick.wire.requests import Command

_TAIL = struct.Struct("<q8xI2BbB")  # of a COMMAND, from its id on: id, instrument, venue, kind, side, flags
_ID = 40
_NEW = int(Kind.NEW)
_CLOSE_ALL = int(CommandFlag.CLOSE_ALL)
_READY = TraderState.READY


def _blank() -> Sent:
    return Sent("", _NEW, None, "", 0)


class WritingTrader(RestTrader):
    """Base of the traders that have an `OrderWriter`; parameters as in `RestTrader`."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._blank = _blank()
        self._symbol_of = [item.symbol for item in self.instruments]

    def send(self, address: int) -> None:
        """As `Trader.send`."""
        record = string_at(address, RECORD_SIZE)
        number, instrument, _, kind, side, flags = _TAIL.unpack_from(record, _ID)
        if kind == _NEW and self.state is _READY and not flags & _CLOSE_ALL:
            symbol = self._symbol_of[instrument]
            if self.limiter.spare(symbol):
                now, sent = self.host.now(), self._blank
                try:
                    written = self._transmit_written(address, sent)
                except BaseException:
                    self._book(sent, number, instrument, symbol, side, now)  # nobody knows how far it came
                    raise
                if written:
                    self._book(sent, number, instrument, symbol, side, now)
                    return
            self.take(Command.of(record), address)
            self.limiter.look(self.host.now(), symbol)
            return
        self.take(Command.of(record), address)

    def _book(self, sent: Sent, number: int, instrument: int, symbol: str, side: int, now: int) -> None:
        """Remember an order whose bytes are on their way."""
        client = self.ids.text(number)
        working = Working(number, instrument, symbol, side, client)
        working.ts_sent, working.since = now, self.venue_time()
        self._working[number] = working
        sent.request = sent.client = client
        sent.working, sent.symbol, sent.ts_sent = working, symbol, now
        self._sent[client] = sent
        self.counts.sent += 1
        self.limiter.take(now, False, 1, 1, symbol)
        self.limiter.look(now, symbol)
        self._blank = _blank()
