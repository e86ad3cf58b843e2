"""Market data of Alpaca: stocks from IEX or all tapes, crypto, and the test stream.

    connected ─▶ auth ─▶ authenticated ─▶ subscribe ─▶ subscription (all that is subscribed) ─▶ LIVE

One data connection an account. Errors come as numbers: 401, 402 login, 404 no login in time, 405 too many symbols, 406
another connection is open, 407 we read too slowly, 409 the plan has no such stream, 500 theirs. Source:
docs.alpaca.markets, real-time stock data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nanotick.core.instruments import InstrumentTable
from nanotick.core.secret import Secret
from nanotick.venues.feed import Conversation, Deliver, Feed
from nanotick.venues.host import Host
from nanotick.wire.alpaca import CHANNELS, encode
from nanotick.wire.messages import Notice
from nanotick.wire.requests import Login, Subscribe

ENDPOINTS = ("wss://stream.data.alpaca.markets",)
STREAMS = {"iex": "/v2/iex", "sip": "/v2/sip", "test": "/v2/test", "crypto": "/v1beta3/crypto/us"}
FREE_SYMBOLS = 30  # of the free plan, which has IEX alone
_CHUNK = 500  # symbols a frame
_DENIED = frozenset((401, 402, 405, 409))
_FINAL = _DENIED | {404, 406, 407, 500}


class AlpacaConversation(Conversation):
    """A connection and the subscriptions it waits for."""

    def __init__(self, feed: Feed, url: str, delivering: bool, now: int) -> None:
        super().__init__(feed, url, delivering, now)
        self.wanted: set[tuple[str, str]] = set()


class AlpacaFeed(Feed):
    """One stream of Alpaca; further parameters as for `Feed`.

    Parameters
    ----------
    key : str
    secret : Secret
    stream : str
        `iex`, `sip`, `crypto` or `test` (which repeats the symbol FAKEPACA around the clock).
    channels : sequence of str, optional
        Of `nanotick.wire.alpaca.CHANNELS`; trades, quotes and trading halts, of crypto trades and books, by default.
    symbol_limit : int, optional
        Most symbols; 30 on `iex`, which is what the free plan has. 0: no limit.

    Raises
    ------
    ValueError
        An unknown stream or channel, or more symbols than the limit.
    """

    PROTOCOL = "alpaca"
    CONVERSATION = AlpacaConversation

    def __init__(
        self,
        host: Host,
        instruments: InstrumentTable,
        venue: str,
        deliver: Deliver,
        endpoints: Sequence[str] = ENDPOINTS,
        *,
        key: str,
        secret: Secret,
        stream: str = "iex",
        channels: Sequence[str] | None = None,
        symbol_limit: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(host, instruments, venue, deliver, endpoints, **settings)
        if stream not in STREAMS:
            raise ValueError(f"stream: expected {', '.join(STREAMS)}, found {stream!r}")
        if channels is None:
            channels = ("trade", "book") if stream == "crypto" else ("trade", "quote", "status")
        for channel in channels:
            if channel not in CHANNELS:
                raise ValueError(f"channels: expected {', '.join(CHANNELS)}, found {channel!r}")
        limit = (FREE_SYMBOLS if stream == "iex" else 0) if symbol_limit is None else symbol_limit
        if limit and len(self.symbols) > limit:
            raise ValueError(
                f"{len(self.symbols)} symbols; the stream {stream!r} of Alpaca's free plan has {limit}: choose fewer, "
                "or give symbol_limit as your plan has it"
            )
        self._key, self._secret, self._stream, self._channels = key, secret, stream, tuple(channels)

    def url(self, endpoint: str) -> str:
        """As `Feed.url`."""
        return endpoint + STREAMS[self._stream]

    def greet(self, talk: Conversation) -> None:
        """As `Feed.greet`: the venue speaks first."""

    def heard(self, talk: Conversation, notice: Notice) -> None:
        """As `Feed.heard`."""
        assert isinstance(talk, AlpacaConversation)
        if notice.status == "success" and notice.text == "connected":
            talk.send(encode(Login(self._key, self._secret.reveal())))
        elif notice.status == "success" and notice.text == "authenticated":
            self.authenticated(talk)
            self._subscribe(talk)
        elif notice.status == "subscription":
            self._subscribed(talk, notice.text)
        elif notice.status == "error":
            self._refused(talk, notice)

    def _subscribe(self, talk: AlpacaConversation) -> None:
        talk.wanted = {(CHANNELS[channel], symbol) for channel in self._channels for symbol in self.symbols}
        if not talk.wanted:
            self.live(talk)
        for begin in range(0, len(self.symbols), _CHUNK):
            part = self.symbols[begin : begin + _CHUNK]
            talk.send(encode(Subscribe(tuple((channel, symbol) for channel in self._channels for symbol in part))))

    def _subscribed(self, talk: AlpacaConversation, text: str) -> None:
        for channel in text.split(","):
            name, _, symbols = channel.partition(":")
            talk.wanted.difference_update((name, symbol) for symbol in symbols.split("+"))
        if not talk.wanted:
            self.live(talk)

    def _refused(self, talk: AlpacaConversation, notice: Notice) -> None:
        reason = f"{notice.code} {notice.text}"
        if notice.code in _FINAL:
            self.fail(talk, reason, denied=notice.code in _DENIED)
        else:  # 400 a message of ours was not understood, 403 logged in twice
            self.error = reason
            self._say("error", "the venue did not take a message", reason=reason)


def feeds(
    host: Host,
    instruments: InstrumentTable,
    venue: str,
    deliver: Deliver,
    *,
    symbols: Iterable[str] | None = None,
    **settings: Any,
) -> list[AlpacaFeed]:
    """The one connection that an account has; parameters as for `AlpacaFeed`."""
    return [AlpacaFeed(host, instruments, venue, deliver, symbols=symbols, **settings)]
