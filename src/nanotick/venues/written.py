"""Traders whose plain new orders are written by a kernel, and whose books are kept once the bytes are on their way.

    COMMAND ─▶ request by the outlet's kernel ─▶ transport ─▶ Working, Sent, counts, limits

What the order needs afterwards is made afterwards: its name as text, its place among the working orders, its use of the
limits. That is sound because no answer can come before this callback returns (`venues.host`), because the limiter has
said before (`spare`) that so many more orders pass whatever the time, and because the journal has had the command
first. Several orders of one turn are all sent before any is booked; whatever else concerns the account is booked for
first. What is not plain (another kind of command, an account that is not READY, a limit that is near, a kind of order
that has no template yet, no connection that is free) goes the way of all traders.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ctypes import string_at
from typing import Any

from nanotick.core.records import RECORD_SIZE, Kind
from nanotick.venues.outlet import Outlet
from nanotick.venues.rest import RestTrader
from nanotick.venues.working import Limiter, Sent, TraderState, Working
from nanotick.wire.requests import Command, Response

_TAIL = struct.Struct("<q8xI")  # of a COMMAND, from its id on: id, instrument
_SIDE = 22  # from there
_ID = 40
_NEW = int(Kind.NEW)
_READY = TraderState.READY
_SPARES = 4  # orders whose records are made before they are needed

Answer = Callable[[Response], None]
HandOver = Callable[[memoryview, Answer], bool]


class WritingTrader(RestTrader):
    """Base of the traders that have an `OrderWriter`; parameters as in `RestTrader`.

    Attributes
    ----------
    outlet : Outlet or None
        Where plain orders go out, once the venue's trader has made it.
    hand_over : callable
        Gives a request to its transport, with what to do with an answer over HTTP; False if it cannot go now.
    books_later : bool
        Who calls `send` calls `keep_books` too, after all commands of a turn.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.outlet: Outlet | None = None
        self.books_later = False
        super().__init__(*args, **settings)
        self._symbol_of = [item.symbol for item in self.instruments]
        self._unbooked: list[tuple[Sent, int, int, int, int]] = []  # sent, id, instrument, side, when
        self._spares = [self._fresh() for _ in range(_SPARES)]
        self._stale = -1  # instrument of the last command since the limits were looked at; -1 for none

    # What the outlet's kernel has to know is told where it changes.

    @property
    def state(self) -> TraderState:  # type: ignore[override]
        """How far the account is from trading."""
        return self._state_now

    @state.setter
    def state(self, state: TraderState) -> None:
        self._state_now = state
        if self.outlet is not None:
            self.outlet.set_open(state is _READY)

    @property
    def limiter(self) -> Limiter:  # type: ignore[override]
        """Its rate limits."""
        return self._limiter

    @limiter.setter
    def limiter(self, limiter: Limiter) -> None:
        self._limiter = limiter
        if self.outlet is not None:
            self._connect_limits(self.outlet)

    def _connect_limits(self, outlet: Outlet) -> None:
        outlet.limited(self._limiter.passes)
        outlet.of(-1)
        if self._limiter.keyed:
            self._limiter.passes[0] = 0  # of a key that is not known here

    def let_out(self, outlet: Outlet, hand_over: HandOver) -> None:
        """Send plain orders this way from now on; `hand_over` gives a request to its transport, if it can go now."""
        self._connect_limits(outlet)
        self.outlet, self.hand_over, self._data = outlet, hand_over, outlet.data
        outlet.set_open(self._state_now is _READY)

    def _fresh(self) -> tuple[Sent, Answer]:
        sent = Sent("", _NEW, None, "", 0)
        return sent, lambda response: self._posted(response, sent)

    # --- orders out ---------------------------------------------------------------------------------------------------

    def send(self, address: int) -> None:
        """As `Trader.send`."""
        record = string_at(address, RECORD_SIZE)
        if not self._send_short(record):
            self.take(Command.of(record), address)
            self._stale = _TAIL.unpack_from(record, _ID)[1]
        if not self.books_later:
            self.keep_books()

    def _send_short(self, record: bytes) -> bool:
        if self.outlet is None:
            return False
        self.outlet.at(self.host.now())
        size = self.outlet.write(record)
        return size > 0 and self.send_written(record, size)

    def send_written(self, record: bytes | memoryview, size: int) -> bool:
        """Send the request that the outlet has written for a COMMAND; False if it has to go the general way."""
        sent, answer = self._spares.pop() if self._spares else self._fresh()
        try:
            if not self.hand_over(self._data[:size], answer):
                self._spares.append((sent, answer))
                return False
        except BaseException:
            self._note_sent(sent, record)  # nobody knows how far it came
            self.keep_books()
            raise
        self._note_sent(sent, record)
        return True

    def _note_sent(self, sent: Sent, record: bytes | memoryview) -> None:
        number, instrument = _TAIL.unpack_from(record, _ID)
        side = 1 if record[_ID + _SIDE] == 1 else -1
        self._unbooked.append((sent, number, instrument, side, self.host.now()))
        self._limiter.passes[0] -= 1

    def take(self, command: Command, address: int = 0) -> None:
        """As `Trader.take`."""
        if self._unbooked:
            self.keep_books()
        super().take(command, address)

    def keep_books(self) -> None:
        """After a turn's commands: remember the orders whose bytes are on their way, and look at the limits."""
        if not self._unbooked and self._stale < 0:
            return
        unbooked, self._unbooked = self._unbooked, []
        for sent, number, instrument, side, now in unbooked:
            client, symbol = self.ids.text(number), self._symbol_of[instrument]
            working = Working(number, instrument, symbol, side, client)
            working.ts_sent, working.since = now, self.venue_time()
            self._working[number] = working
            sent.request = sent.client = client
            sent.working, sent.symbol, sent.ts_sent = working, symbol, now
            self._sent[client] = sent
            self.counts.sent += 1
            self._limiter.take(now, False, 1, 1, symbol)
            self._stale = instrument
        if self._stale >= 0:
            self._look(self._stale)
            self._stale = -1
        while len(self._spares) < _SPARES:
            self._spares.append(self._fresh())

    def _look(self, instrument: int) -> None:
        """Find out how many orders may go out next."""
        limiter = self._limiter
        keyed = limiter.keyed
        limiter.look(self.host.now(), self._symbol_of[instrument] if keyed else "")
        if self.outlet is not None:
            self.outlet.of(instrument if keyed else -1)
