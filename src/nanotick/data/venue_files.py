"""Recordings of Kraken, Coinbase, Bybit, Bitstamp and Bitfinex frames, in the forms in which people keep them.

Lines of `<local stamp> <frame>` or of bare frames; a JSON document that is one frame, a list of frames, or an object
whose lists are frames in order; and Bitstamp's log of `<local ms> <event> <json>`. A format is known by the venue's own
field names in the first bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from nanotick.data.archive import Source, Stream
from nanotick.data.format import Listing, Options
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.data.recorded_lines import split_line
from nanotick.data.venue_reader import Decoder, VenueReader
from nanotick.wire import bitstamp, bybit, coinbase, kraken
from nanotick.wire.bitfinex import BitfinexCodec
from nanotick.wire.json_text import MAX_SIZE, WireError, decode, epoch_ns
from nanotick.wire.messages import Frame, Message

_BLOCK = 1 << 20
_LOGGED = re.compile(rb"(\d{13}) (\w+) (\{.*\})\s*\Z")


def lines_of(stream: Stream, report: QualityReport | None) -> Iterator[tuple[int, bytes]]:
    """Lines with the offset of each; one beyond the bound is given empty, and damage is reported."""
    rest, at = b"", 0
    while block := stream.read(_BLOCK):
        pieces = (rest + block).split(b"\n")
        rest = pieces.pop()
        for piece in pieces:
            yield at, piece if len(piece) <= MAX_SIZE else b""
            at += len(piece) + 1
        if len(rest) > MAX_SIZE:
            at += len(rest)
            rest = b""
            if report is not None:
                report.anomaly(Anomaly.MALFORMED, f"{stream.name} byte {at}", f"a line of more than {MAX_SIZE:,} bytes")
    if stream.cut and report is not None:
        report.anomaly(Anomaly.TRUNCATED, f"{stream.name} byte {at + len(rest)}", f"{stream.cut}; all before is read")
    elif rest and not stream.cut:
        yield at, rest


def _document(source: Source) -> list[Any] | None:
    """Frames of a source that is one JSON document, or None when it is lines."""
    head = source.head(4096).lstrip()
    if not head.startswith((b"[", b"{")):
        return None
    first = head.partition(b"\n")[0]
    body = source.open().read(MAX_SIZE + 1)
    try:
        if len(first) < len(head.rstrip()):
            try:
                decode(first)
                return None  # the first line is a whole text
            except WireError:
                pass
        held = decode(body)
    except WireError:
        return None
    if isinstance(held, list) and held and all(isinstance(item, dict | list) for item in held):
        return held
    if isinstance(held, dict) and held and all(isinstance(item, list) for item in held.values()):
        return [frame for frames in held.values() for frame in frames]
    return [held]


def frames_of(source: Source, report: QualityReport | None) -> Iterator[Frame]:
    """Frames of a source."""
    held = _document(source)
    if held is not None:
        for number, item in enumerate(held):
            yield Frame(item, 0, f"{source.label} message {number}")
        return
    for at, line in lines_of(source.open(), report):
        line = line.strip()
        if line:
            try:
                stamp, data = split_line(line)
            except WireError:
                stamp, data = 0, line  # the codec will refuse it
            yield Frame(data, stamp, f"{source.label} byte {at}")


def _plain(decode_message: Callable[[Any], list[Message]]) -> Callable[[], Decoder]:
    def of_frame(frame: Frame) -> list[Message]:
        return decode_message(decode(frame.data) if isinstance(frame.data, bytes) else frame.data)

    return lambda: of_frame


def _bitstamp_logged() -> Decoder:
    def of_frame(frame: Frame) -> list[Message]:
        if frame.connection:
            return bitstamp.decode_logged(frame.connection, frame.data, "btcusd")
        return bitstamp.decode_message(decode(frame.data) if isinstance(frame.data, bytes) else frame.data)

    return of_frame


def _bitstamp_frames(source: Source, report: QualityReport | None) -> Iterator[Frame]:
    if _LOGGED.match(source.head(8192).partition(b"\n")[0]) is None:
        yield from frames_of(source, report)
        return
    for at, line in lines_of(source.open(), report):
        where = f"{source.label} byte {at}"
        found = _LOGGED.match(line)
        if found is not None:
            yield Frame(found[3], epoch_ns(int(found[1])), where, found[2].decode())
        elif line.strip():
            yield Frame(line, 0, where)


def bitfinex_decoder() -> Decoder:
    """A decoder that keeps each connection's channel numbers."""
    codecs: dict[str, BitfinexCodec] = {}

    def of_frame(frame: Frame) -> list[Message]:
        codec = codecs.setdefault(frame.connection, BitfinexCodec())
        return codec.decode_message(decode(frame.data) if isinstance(frame.data, bytes) else frame.data)

    return of_frame


@dataclass(frozen=True)
class VenueFiles:
    """Recordings of one venue."""

    name: str
    description: str
    venue: str
    markers: tuple[re.Pattern[bytes], ...]
    make_decoder: Callable[[], Decoder]
    frames: Callable[[Source, QualityReport | None], Iterator[Frame]] = frames_of
    extensions: tuple[str, ...] = (".json", ".jsonl", ".log")

    def sniff(self, head: bytes, source: Source) -> bool:
        """By the venue's field names; never a cryptofeed container."""
        if head.startswith(b'{"t":') or head.lstrip()[:1] not in (b"{", b"[", *(b"%d" % d for d in range(10))):
            return False
        return any(marker.search(head) for marker in self.markers)

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of the recordings, one after the other."""
        if self.venue == "KRAKEN":
            report.checks["checksums_ok"] += 0
            report.checks["checksums_bad"] += 0
        passes = 0

        def frames() -> Iterator[Frame]:
            nonlocal passes
            passes += 1
            for source in sources:
                yield from self.frames(source, report if passes > 1 else None)

        yield from VenueReader(self.venue, self.make_decoder, frames, options, report, listing)


def _patterns(*texts: bytes) -> tuple[re.Pattern[bytes], ...]:
    return tuple(re.compile(text) for text in texts)


KRAKEN = VenueFiles(
    "kraken",
    "Kraken spot recordings, WebSocket v1 and v2, checksums verified",
    "KRAKEN",
    _patterns(
        rb'"channelName"\s*:\s*"(book|trade)', rb'"book-\d+"\s*,\s*"',
        rb'"channel"\s*:\s*"(book|level3|trade)"\s*,\s*"type"', rb'"trade"\s*,\s*"[A-Z]+/[A-Z]+"', rb'"wsname"',
    ),
    _plain(kraken.decode_message),
)  # fmt: skip
COINBASE = VenueFiles(
    "coinbase",
    "Coinbase recordings, Advanced Trade and Exchange",
    "COINBASE",
    _patterns(
        rb'"channel"\s*:\s*"(l2_data|market_trades|subscriptions|heartbeats)"',
        rb'"type"\s*:\s*"(snapshot|l2update|match|last_match|received|open|done|change)"\s*,.*"product_id"',
        rb'"product_id"\s*:.*"type"\s*:\s*"(snapshot|l2update|match|last_match|received|open|done|change)"',
    ),
    _plain(coinbase.decode_message),
)
BYBIT = VenueFiles(
    "bybit",
    "Bybit v5 recordings, order book and trades",
    "BYBIT",
    _patterns(rb'"topic"\s*:\s*"(orderbook|publicTrade|tickers)\.'),
    _plain(bybit.decode_message),
)
BITSTAMP = VenueFiles(
    "bitstamp",
    "Bitstamp recordings: live orders (order by order), diff order book, trades",
    "BITSTAMP",
    _patterns(rb"^\d{13} (order_|trade )", rb'"channel"\s*:\s*"(diff_order_book|live_orders|live_trades|order_book)_'),
    _bitstamp_logged,
    _bitstamp_frames,
)
BITFINEX = VenueFiles(
    "bitfinex",
    "Bitfinex recordings: raw book (order by order), price book, trades",
    "BITFINEX",
    _patterns(rb'"event"\s*:\s*"subscribed".*"chanId"', rb'"serverId".*"platform"'),
    bitfinex_decoder,
)
