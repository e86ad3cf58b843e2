"""Last trades from Finnhub: last-price quality, without sequence numbers, quotes or replay.

The token stands in the address and subscriptions are not confirmed, so a connection is LIVE once it has asked. One
connection a key. Source: finnhub.io/docs/api/websocket-trades.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from nanotick.core.instruments import InstrumentTable
from nanotick.core.secret import Secret
from nanotick.venues.feed import Conversation, Deliver, Feed
from nanotick.venues.host import Host
from nanotick.wire.finnhub import encode
from nanotick.wire.messages import Notice
from nanotick.wire.requests import Subscribe

ENDPOINTS = ("wss://ws.finnhub.io",)
FREE_SYMBOLS = 50


class FinnhubFeed(Feed):
    """Trades of Finnhub; further parameters as for `Feed`.

    Parameters
    ----------
    key : Secret
        The token.
    symbol_limit : int
        Most symbols of the plan; 50 of the free one. 0: no limit.

    Raises
    ------
    ValueError
        More symbols than the limit.
    """

    PROTOCOL = "finnhub"

    def __init__(
        self,
        host: Host,
        instruments: InstrumentTable,
        venue: str,
        deliver: Deliver,
        endpoints: Sequence[str] = ENDPOINTS,
        *,
        key: Secret,
        symbol_limit: int = FREE_SYMBOLS,
        **settings: Any,
    ) -> None:
        super().__init__(host, instruments, venue, deliver, endpoints, **settings)
        if symbol_limit and len(self.symbols) > symbol_limit:
            raise ValueError(
                f"{len(self.symbols)} symbols; Finnhub's free plan has {FREE_SYMBOLS}: choose fewer, or give "
                "symbol_limit as your plan has it"
            )
        self._key = key

    def url(self, endpoint: str) -> str:
        """As `Feed.url`: with the token, so never to be shown."""
        return f"{endpoint}?token={quote(self._key.reveal(), safe='')}"

    def greet(self, talk: Conversation) -> None:
        """As `Feed.greet`."""
        self.authenticated(talk)
        for frame in encode(Subscribe(tuple(("trade", symbol) for symbol in self.symbols))):
            talk.send(frame)
        self.live(talk)

    def heard(self, talk: Conversation, notice: Notice) -> None:
        """As `Feed.heard`: nothing but errors (token, too many symbols)."""
        if notice.status == "error":
            self.fail(talk, f"refused: {notice.text}", denied=True)


def feeds(
    host: Host,
    instruments: InstrumentTable,
    venue: str,
    deliver: Deliver,
    *,
    symbols: Iterable[str] | None = None,
    **settings: Any,
) -> list[FinnhubFeed]:
    """The one connection that a key has; parameters as for `FinnhubFeed`."""
    return [FinnhubFeed(host, instruments, venue, deliver, symbols=symbols, **settings)]
