"""Databento DBN files of every version and schema, through Databento's own decoder (the extra `databento`).

Prices are kept at DBN's nine decimals. What a schema gives:

    mbo                              ADD, MODIFY, REDUCE, CLEAR, TRADE; a fill is followed by the change it makes
    mbp-1 tbbo cmbp-1 tcbbo bbo cbbo QUOTE, and TRADE where the record is one
    mbp-10                           LEVEL for every level that changed, and TRADE
    trades                           TRADE
    ohlcv-*                          BAR, stamped at its end
    status, imbalance, definition    STATUS, IMBALANCE, INSTRUMENT
    statistics, system, mappings     none (counted only)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.fixed import from_scaled
from nanotick.core.instruments import Instrument
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind, TradingStatus
from nanotick.data.archive import BLOCK, Source
from nanotick.data.format import SKIPPED, Listing, Options
from nanotick.data.quality import Anomaly, BadDataError, QualityReport

_UNDEFINED = (1 << 63) - 1
_UNDEFINED_TIME = (1 << 64) - 1
_SIDE = {"B": 1, "A": -1}
_MBO = {"A": Kind.ADD, "M": Kind.MODIFY, "C": Kind.REDUCE, "R": Kind.CLEAR, "T": Kind.TRADE}
_BAR_NS = {0x20: 10**9, 0x21: 60 * 10**9, 0x22: 3600 * 10**9, 0x23: 86_400 * 10**9, 0x24: 86_400 * 10**9}
_QUOTES = ("MBP1Msg", "CMBP1Msg", "BBOMsg", "CBBOMsg")
_STATUS = {1: 4, 2: 4, 3: 5, 4: 5, 5: 6, 6: 6, 7: 1, 8: 3, 9: 2, 10: 7, 15: 7}


def _library() -> Any:
    try:
        import databento_dbn
    except ImportError as error:
        raise BadDataError("Databento files need their decoder: pip install 'nanotick[databento]'") from error
    return databento_dbn


def _price(value: int) -> int:
    return 0 if value == _UNDEFINED else value


def _code(value: Any) -> Any:
    """The plain value of a field the library gives as an enumeration."""
    return getattr(value, "value", value)


class _Reader:
    """Records of one file into rows of events."""

    def __init__(self, source: Source, report: QualityReport, listing: Listing) -> None:
        self._source, self._report, self._listing = source, report, listing
        self._symbols: dict[int, str] = {}
        self._numbers: dict[int, int] = {}
        self._levels: dict[int, dict[tuple[int, int], int]] = {}
        self.venue = "DBN"
        self.rows: list[tuple[int, ...]] = []
        self.records = 0

    def metadata(self, meta: Any) -> None:
        """Take the symbols of instrument ids."""
        self.venue = str(meta.dataset) or "DBN"
        for symbol, intervals in (meta.mappings or {}).items():
            for interval in intervals:
                mapped = interval["symbol"] if isinstance(interval, dict) else interval.symbol
                if str(mapped).isdigit():
                    self._symbols[int(mapped)] = symbol
                elif symbol.isdigit():
                    self._symbols[int(symbol)] = str(mapped)

    def _number(self, identity: int) -> int:
        number = self._numbers.get(identity)
        if number is None:
            symbol = self._symbols.get(identity, f"ID-{identity}")
            number = self._numbers[identity] = self._listing.number(Instrument(symbol, self.venue, 9, 0, "0.01"))
        return number

    def _add(self, record: Any, kind: int, **values: int) -> None:
        number = self._number(record.instrument_id)
        if number == SKIPPED:
            return
        sent = record.ts_event
        recv = getattr(record, "ts_recv", sent)
        sent = recv if sent == _UNDEFINED_TIME else sent
        recv = sent if recv == _UNDEFINED_TIME else recv
        shift = values.get("shift", 0)
        stamps = (min(sent + shift, _UNDEFINED), min(recv + shift, _UNDEFINED))
        seq, flags = getattr(record, "sequence", 0), values.get("flags", int(Flag.LAST)) | BOTH_SIDES
        fields = [values.get(name, 0) for name in ("price", "qty", "id", "word")]
        fields[2] = fields[2] - (1 << 64) if fields[2] > _UNDEFINED else fields[2]
        self.rows.append((*stamps, seq, *fields, number, 0, int(kind), values.get("side", 0), flags))

    def _trade(self, record: Any) -> None:
        side = _SIDE.get(str(_code(record.side)), 0)
        flags = int(Flag.LAST | Flag.PRINTABLE)
        self._add(record, Kind.TRADE, price=_price(record.price), qty=record.size, side=side, flags=flags)

    def record(self, record: Any) -> None:
        """Events of one record."""
        self.records += 1
        name = type(record).__name__
        self._report.message(name.removesuffix("Msg").lower())
        if name == "MBOMsg":
            self._mbo(record)
        elif name in _QUOTES:
            top = record.levels[0]
            if str(_code(getattr(record, "action", ""))) == "T":
                self._trade(record)
            bid, ask = _price(top.bid_px), _price(top.ask_px)
            self._add(record, Kind.QUOTE, price=bid, qty=top.bid_sz, id=ask, word=top.ask_sz)
        elif name == "MBP10Msg":
            self._mbp10(record)
        elif name == "TradeMsg":
            self._trade(record)
        elif name == "OHLCVMsg":
            self._bar(record)
        elif name.startswith("InstrumentDefMsg"):
            self._definition(record)
        elif name == "StatusMsg":
            word = _STATUS.get(int(_code(record.action)), int(TradingStatus.UNKNOWN))
            self._add(record, Kind.STATUS, word=word, id=int(_code(record.reason)))
        elif name == "ImbalanceMsg":
            side = _SIDE.get(str(_code(record.side)), 0)
            self._add(
                record,
                Kind.IMBALANCE,
                price=_price(record.ref_price),
                qty=record.paired_qty,
                word=record.total_imbalance_qty,
                id=_price(record.ind_match_price),
                side=side,
                flags=int(Flag.LAST | Flag.AUCTION),
            )

    def _mbo(self, record: Any) -> None:
        action, flags = str(_code(record.action)), int(record.flags)
        kind = _MBO.get(action)
        if kind is None:
            return  # F and N: a fill changes the book by the record that follows it
        told = (int(Flag.LAST) if flags & 128 else 0) | (int(Flag.SNAPSHOT) if flags & 32 else 0)
        if kind == Kind.TRADE:
            told |= int(Flag.PRINTABLE)
        side = _SIDE.get(str(_code(record.side)), 0)
        price = 0 if kind in (Kind.REDUCE, Kind.CLEAR) else _price(record.price)
        self._add(record, kind, price=price, qty=record.size, id=record.order_id, side=side, flags=told)

    def _mbp10(self, record: Any) -> None:
        if str(_code(record.action)) == "T":
            self._trade(record)
        now: dict[tuple[int, int], int] = {}
        for level in record.levels:
            for side, price, size in ((1, level.bid_px, level.bid_sz), (-1, level.ask_px, level.ask_sz)):
                if price != _UNDEFINED and size:
                    now[side, price] = size
        before = self._levels.get(record.instrument_id, {})
        changed = [(key, 0) for key in before if key not in now]
        changed += [(key, size) for key, size in now.items() if before.get(key) != size]
        self._levels[record.instrument_id] = now
        for i, ((side, price), size) in enumerate(changed):
            last = int(Flag.LAST) if i + 1 == len(changed) else 0
            self._add(record, Kind.LEVEL, price=price, qty=size, side=side, flags=last)

    def _bar(self, record: Any) -> None:
        above = record.high - max(record.open, record.close)
        below = min(record.open, record.close) - record.low
        if not (0 <= above < 1 << 31 and 0 <= below < 1 << 31):
            where = f"{self._source.label} record {self.records}"
            self._report.anomaly(Anomaly.UNSUPPORTED, where, "a bar whose wicks are longer than 2.1 at nine decimals")
            above, below = (min(max(0, x), (1 << 31) - 1) for x in (above, below))
        shift = _BAR_NS.get(int(_code(record.rtype)), 0)
        word = above << 32 | below
        self._add(record, Kind.BAR, price=record.close, qty=record.volume, id=record.open, word=word, shift=shift)

    def _definition(self, record: Any) -> None:
        symbol = str(record.raw_symbol)
        self._symbols.setdefault(record.instrument_id, symbol)
        number = self._number(record.instrument_id)
        tick = record.min_price_increment
        if number != SKIPPED and 0 < tick < _UNDEFINED:
            item = self._listing.instruments[number]
            step = format(from_scaled(tick, 9).normalize(), "f")
            self._listing.instruments[number] = self._listing.specified(replace(item, tick_size=step))
        self._add(record, Kind.INSTRUMENT, qty=1)

    def take(self) -> npt.NDArray[Any]:
        """The events so far."""
        events = np.array(self.rows, dtype=EVENT) if self.rows else np.zeros(0, dtype=EVENT)
        self.rows = []
        return events


class DatabentoFormat:
    """DBN files."""

    name = "databento"
    description = "Databento DBN, every schema (needs the extra databento)"
    extensions = (".dbn", ".dbn.zst")

    def sniff(self, head: bytes, source: Source) -> bool:
        """By its magic; fragments, which have none, by name."""
        return head[:3] == b"DBN" or ".dbn" in source.name

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of each file in turn."""
        library = _library()
        for source in sources:
            stream = source.open()
            first = stream.read(BLOCK)
            reader = _Reader(source, report, listing)
            named = first[:3] == b"DBN"
            version = 3 if named else next((v for v in (1, 2, 3) if f".v{v}." in source.name), 1)
            try:
                if named:
                    decoder = library.DBNDecoder()
                else:
                    report.note(f"{source.label}: a fragment without metadata, taken as DBN version {version}")
                    decoder = library.DBNDecoder(has_metadata=False, input_version=version)
                while first:
                    decoder.write(first)
                    for record in decoder.decode():
                        if isinstance(record, library.Metadata):
                            reader.metadata(record)
                        else:
                            reader.record(record)
                    if reader.rows:
                        yield reader.take()
                    first = stream.read(BLOCK)
                left = len(decoder.buffer())
            except (library.DBNError, ValueError, OverflowError) as error:
                if reader.rows:
                    yield reader.take()
                report.anomaly(Anomaly.MALFORMED, f"{source.label} after record {reader.records}", str(error))
                continue
            if left or stream.cut:
                where = f"{source.label} after record {reader.records}"
                report.anomaly(Anomaly.TRUNCATED, where, stream.cut or f"{left} bytes of an unfinished record are left")


FORMAT = DatabentoFormat()
