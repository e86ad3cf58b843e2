"""cryptofeed recordings (container format 2, `EXCHANGE.jsonl[.zst]`): one JSON object a line.

    {"t":"header","format":2,"exchange":"BINANCE","config":{...},"recorded":1633998511.13}
    {"t":"http","conn":"...","ts":1633998512.32,"url":"https://...","data":"<body>"}
    {"t":"recv","conn":"BINANCE.ws.1","ts":1633998512.06,"data":"<frame>"}    b64 for binary; also connect and send

The older form is text, one connection a file (`EXCHANGE.ws.1.0`, `EXCHANGE.0`): `wss://address <-> <seconds>`, then
`<seconds>: <frame>`; `https://url -> <seconds>: <body>` for requests.

Lines are grouped by connection, not by time, so all are put in order of arrival first. Frames of venues with a codec
become events; of every other venue `inspect` counts the frames by channel or type and says that there is no codec.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from nanotick.data.archive import Source, Stream
from nanotick.data.binance_lines import read_streams
from nanotick.data.format import Listing, Options
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.data.venue_files import bitfinex_decoder, lines_of
from nanotick.data.venue_reader import Decoder, VenueReader
from nanotick.wire import bitstamp, bybit, coinbase, kraken
from nanotick.wire.json_text import MAX_SIZE, WireError, decode, scaled
from nanotick.wire.messages import Frame, Message, Other

_BINANCE = {
    "BINANCE": "spot",
    "BINANCE_US": "spot",
    "BINANCE_TR": "spot",
    "BINANCE_FUTURES": "usdm",
    "BINANCE_DELIVERY": "coinm",
}
_BYBIT_MARKET = re.compile(r"(?:/public/|category=)(\w+)")
_OLD = re.compile(rb"(wss?://\S+ <-> \d{10}\.\d|https?://\S+ -> \d{10}\.\d+: )")
_OLD_LINE = re.compile(rb"(?:(https?://\S+) -> )?(\d{10}(?:\.\d+)?): (.*)\Z", re.DOTALL)
_QUERY_SYMBOL = re.compile(r"[?&]symbol=([A-Za-z0-9_]+)")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One line that came from the venue."""

    ts_recv: int
    kind: str  # recv or http
    data: str
    connection: str
    url: str  # of the request, or of the connection
    where: str


def _binary(held: Any) -> str:
    """The text of a binary frame, kept in base64; venues that compress their frames use gzip or raw deflate."""
    if not isinstance(held, str):
        raise WireError("expected the frame as text in data or in b64")
    try:
        raw = base64.b64decode(held, validate=True)
        if raw[:2] == b"\x1f\x8b":
            raw = zlib.decompressobj(31).decompress(raw, MAX_SIZE)
        return raw.decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError) as error:
        raise WireError(f"b64: {error}") from None


def _old_line(line: bytes, where: str) -> Recorded | None:
    """A frame or body of the older text form; None for what was sent, opened or asked for.

    Raises
    ------
    WireError
    """
    if line.startswith(b"configuration: ") or (line.startswith((b"wss://", b"ws://")) and b" <-" in line[:4096]):
        return None
    found = _OLD_LINE.match(line)
    if found is None:
        raise WireError(f"expected a time in seconds, a colon and a frame, found {line[:40]!r}")
    try:
        url, data = (found[1] or b"").decode(), found[3].decode()
    except UnicodeDecodeError as error:
        raise WireError(f"not UTF-8 at byte {error.start}") from None
    return Recorded(scaled(found[2].decode(), 9, "time"), "http" if url else "recv", data, "", url, where)


def read_container(source: Source, report: QualityReport) -> tuple[str, list[Recorded]]:
    """The exchange's name, and what it sent in order of arrival."""
    exchange: str = ""
    found: list[Recorded] = []
    addresses: dict[str, str] = {}  # of each connection
    old = _OLD.match(source.head(512)) is not None
    if old:
        exchange = source.name.partition(".")[0]
    for at, line in lines_of(source.open(), report):
        where = f"{source.label} byte {at}"
        if not line.strip():
            continue
        try:
            if old:
                if (frame := _old_line(line, where)) is not None:
                    found.append(frame)
                continue
            item = decode(line)
            if not isinstance(item, dict):
                raise WireError("expected an object")
            kind = item.get("t")
            if kind == "header":
                exchange = str(item.get("exchange"))[:64]
            elif kind in ("recv", "http"):
                data = item.get("data")
                if not isinstance(data, str):
                    data = _binary(item.get("b64"))
                stamp = scaled(item.get("ts"), 9, "ts")
                connection = str(item.get("conn"))
                url = str(item.get("url") or "") if kind == "http" else addresses.get(connection, "")
                found.append(Recorded(stamp, kind, data, connection, url, where))
            elif kind == "connect":
                addresses[str(item.get("conn"))] = str(item.get("addr") or "")
            elif kind not in ("send", "close"):
                raise WireError(f"no line of a recording has t={str(kind)[:20]!r}")
        except WireError as error:
            report.anomaly(Anomaly.MALFORMED, where, str(error))
    found.sort(key=lambda item: item.ts_recv)
    return exchange, found


def _binance_line(item: Recorded) -> bytes:
    """A line of a Binance recording; a REST snapshot is given the symbol that its address names."""
    body = item.data.strip().replace("\n", " ")
    symbol = _QUERY_SYMBOL.search(item.url)
    if item.kind == "http" and symbol and body.startswith('{"lastUpdateId"') and '"symbol"' not in body[:200]:
        body = f'{{"symbol":"{symbol[1]}",{body[1:]}'
    return f"{item.ts_recv} {body}\n".encode()


def _by_market(exchange: str, items: list[Recorded]) -> dict[str, list[Recorded]]:
    """Frames by venue name: Bybit's markets use the same symbols and are told apart by the address."""
    if exchange != "BYBIT":
        return {exchange: items}
    markets: dict[str, list[Recorded]] = {}
    for item in items:
        found = _BYBIT_MARKET.search(item.url)
        markets.setdefault(f"BYBIT_{found[1].upper()}" if found else "BYBIT", []).append(item)
    return markets


def _bitstamp(frame: Frame) -> list[Message]:
    return bitstamp.decode_frame(frame.data, frame.url.rstrip("/").rpartition("/")[2])


def _of_data(decode_frame: Callable[[bytes], list[Message]]) -> Callable[[], Decoder]:
    return lambda: lambda frame: decode_frame(frame.data)


def _without_bodies(decoder: Decoder) -> Decoder:
    return lambda frame: [Other("http body")] if frame.url.startswith("http") else decoder(frame)


_CODECS: dict[str, Callable[[], Decoder]] = {
    "KRAKEN": _of_data(kraken.decode_frame),
    "COINBASE": _of_data(coinbase.decode_frame),
    "BYBIT": _of_data(bybit.decode_frame),
    "BITSTAMP": lambda: _bitstamp,
    "BITFINEX": lambda: _without_bodies(bitfinex_decoder()),
}


def _kind_of(data: str) -> str:
    """Channel or type of a frame of a venue without a codec, for counting."""
    try:
        message: Any = json.loads(data)
    except (ValueError, RecursionError):
        return "not JSON"
    if isinstance(message, list):
        name = next((item for item in message[1:3] if isinstance(item, str)), "")
        return f"list {name[:40]}".strip()
    if not isinstance(message, dict):
        return type(message).__name__
    for key in ("channel", "topic", "ch", "table", "method", "event", "type", "feed", "subject", "op"):
        value = message.get(key)
        if isinstance(value, str):
            return value[:48]
    nested = message.get("arg") or message.get("params")
    if isinstance(nested, dict) and isinstance(nested.get("channel"), str):
        return str(nested["channel"])[:48]
    return "object " + " ".join(sorted(message)[:4])[:44]


class Cryptofeed:
    """Containers of recorded frames of one exchange each."""

    name = "cryptofeed"
    description = "cryptofeed JSON lines: Binance, Coinbase, Kraken, Bitstamp, Bybit, Bitfinex; others are counted"
    extensions = (".jsonl", ".jsonl.zst")

    def sniff(self, head: bytes, source: Source) -> bool:
        """By the header line."""
        return (head.startswith(b'{"t":"header"') and b'"exchange"' in head) or _OLD.match(head) is not None

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of the recordings, one after the other."""
        for source in sources:
            exchange, items = read_container(source, report)
            if exchange in _BINANCE:
                yield from self._binance(exchange, source, items, options, report, listing)
            elif exchange in _CODECS:
                if exchange == "KRAKEN":
                    report.checks["checksums_ok"] += 0
                    report.checks["checksums_bad"] += 0
                for venue, part in _by_market(exchange, items).items():

                    def frames(part: list[Recorded] = part) -> Iterator[Frame]:
                        for item in part:
                            yield Frame(item.data.encode(), item.ts_recv, item.where, item.connection, item.url)

                    yield from VenueReader(venue, _CODECS[exchange], frames, options, report, listing)
            else:
                for item in items:
                    report.message(f"{item.kind} {_kind_of(item.data)}" if item.kind == "recv" else "http body")
                report.note(
                    f"{source.label}: no codec for {exchange or 'an unnamed venue'}; its frames are only counted"
                )

    def _binance(
        self,
        exchange: str,
        source: Source,
        items: list[Recorded],
        options: Options,
        report: QualityReport,
        listing: Listing,
    ) -> Iterator[npt.NDArray[Any]]:
        settings = {"market": _BINANCE[exchange], **options.settings}
        venue = options.venue or (exchange if exchange in ("BINANCE_US", "BINANCE_TR") else "")
        told = Options(options.symbols, options.specs, options.day, venue, settings)
        body = b"".join(_binance_line(item) for item in items)

        def stream() -> Stream:
            parts = [body]
            return Stream(source.label, lambda: parts.pop() if parts else b"")

        yield from read_streams([(source.label, stream)], told, report, listing)


FORMAT = Cryptofeed()
