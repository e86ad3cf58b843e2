"""The private stream of an account: a feed whose messages are reports.

It is kept alive as a market data connection is (`venues.feed`): back-off, endpoints in turn, renewal before the venue
cuts, silence. What it says goes to its trader; when it is LIVE the trader compares and may trade, when it is lost the
trader is told before anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nanotick.core.records import EVENT
from nanotick.venues.feed import Conversation, Feed, Pace
from nanotick.venues.host import Headers
from nanotick.wire.messages import Notice
from nanotick.wire.reports import Private

if TYPE_CHECKING:
    from nanotick.venues.trader import Trader

Decode = Callable[[bytes], Iterable[Private | Notice]]


class PrivateFrames:
    """Reader of private messages, shaped as `LiveFrames`: it gives no rows, its reports go to the trader."""

    def __init__(self, decode: Decode, take: Callable[[Iterable[Private], int], None]) -> None:
        self.events = np.zeros(1, EVENT)
        self.notices: list[Notice] = []
        self.sequences: list[int] = []
        self.told = False
        self._decode, self._take = decode, take

    def read(self, frame: bytes | memoryview, ts_recv: int) -> int:
        """Read one message; gives 0. Raises WireError."""
        notices: list[Notice] = []
        items: list[Private] = []
        for item in self._decode(bytes(frame)):
            if isinstance(item, Notice):
                notices.append(item)
            else:
                items.append(item)
        self.notices, self.told = notices, bool(notices)
        if items:
            self._take(items, ts_recv)
        return 0


class PrivateStream(Feed):
    """Connection of a trader.

    Parameters
    ----------
    trader : Trader
    endpoints : sequence of str
    decode : callable
        Bytes of a message to what it says.
    greet : callable
        `greet(talk)`: log in and subscribe.
    heard : callable
        `heard(talk, notice)`: what the venue says of the session; calls `stream.live(talk)` when all is confirmed.
    """

    def __init__(
        self,
        trader: Trader,
        endpoints: Sequence[str],
        decode: Decode,
        greet: Callable[[Conversation], None],
        heard: Callable[[Conversation, Notice], None],
        pace: Pace | None = None,
        headers: Headers = (),
        url: Callable[[str], str] = lambda endpoint: endpoint,
    ) -> None:
        super().__init__(
            trader.host, trader.instruments, trader.venue, lambda address, count: None, endpoints, symbols=(), pace=pace
        )
        self._trader, self._decode, self._greet, self._heard = trader, decode, greet, heard
        self._headers, self._url = headers, url

    def url(self, endpoint: str) -> str:
        """As `Feed.url`."""
        return self._url(endpoint)

    def headers(self) -> Headers:
        """As `Feed.headers`."""
        return self._headers

    def new_frames(self) -> Any:
        """As `Feed.new_frames`."""
        return PrivateFrames(self._decode, self._trader.told)

    def greet(self, talk: Conversation) -> None:
        """As `Feed.greet`."""
        self._greet(talk)

    def heard(self, talk: Conversation, notice: Notice) -> None:
        """As `Feed.heard`."""
        self._heard(talk, notice)

    def live(self, talk: Conversation) -> None:
        """As `Feed.live`; the trader compares and may trade."""
        fresh = talk is not self.successor
        super().live(talk)
        if fresh:
            self._trader.connected()

    def tell_gap(self, symbols: Iterable[str]) -> None:
        """The stream was lost."""
        self._trader.disconnected(self.error or "stopped")

    def send(self, data: bytes | memoryview) -> bool:
        """Send a message on the live connection; False if there is none."""
        talk = self.current
        if talk is None or talk.live_ns == 0:
            return False
        talk.send(data)
        return True
