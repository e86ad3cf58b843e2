"""hftbacktest 2.x event files (.npz): read into events, and written for its engine.

    ev u8   kind in the low byte; bit 31 exchange side, bit 30 local side, bit 29 buy, bit 28 sell
    exch_ts i8, local_ts i8 (ns), px f8, qty f8, order_id u8, ival i8, fval f8

Prices there are binary floats. Each is taken as the shortest decimal that rounds to it, which recovers what was
converted; the scale is what those decimals need. Kinds correspond one to one but for: its clear "up to a price", which
becomes a clear of the side; its order cancel and our REDUCE, which need the order's remaining quantity and are tracked.
Source: hftbacktest 2.4 `types.py` and the page "Data".
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument
from nanotick.core.records import BUY, EVENT, SELL, Flag, Kind
from nanotick.data.archive import Source
from nanotick.data.format import SKIPPED, Listing, Options
from nanotick.data.inferred import inferred_instrument
from nanotick.data.quality import Anomaly, BadDataError, QualityReport

HFT_EVENT = np.dtype(
    [
        ("ev", "<u8"), ("exch_ts", "<i8"), ("local_ts", "<i8"), ("px", "<f8"), ("qty", "<f8"), ("order_id", "<u8"),
        ("ival", "<i8"), ("fval", "<f8"),
    ]
)  # fmt: skip
DEPTH, TRADE, DEPTH_CLEAR, DEPTH_SNAPSHOT, DEPTH_BBO = 1, 2, 3, 4, 5
ADD_ORDER, CANCEL_ORDER, MODIFY_ORDER, FILL = 10, 11, 12, 13
EXCH_EVENT, LOCAL_EVENT, BUY_EVENT, SELL_EVENT = 1 << 31, 1 << 30, 1 << 29, 1 << 28
_KINDS = {
    DEPTH: Kind.LEVEL,
    TRADE: Kind.TRADE,
    DEPTH_CLEAR: Kind.CLEAR,
    DEPTH_SNAPSHOT: Kind.LEVEL,
    ADD_ORDER: Kind.ADD,
    CANCEL_ORDER: Kind.DELETE,
    MODIFY_ORDER: Kind.MODIFY,
    FILL: Kind.EXECUTE,
}
_REQUIRED = {"ev": "u", "exch_ts": "i", "local_ts": "i", "px": "f", "qty": "f"}
_CHUNK = 1 << 16
_MAX_PLACES = 12
_MAX_HEADER = 1 << 16


def _header(data: bytes) -> tuple[np.dtype[Any], int, int]:
    """Record type, number of records and offset of the first, of a .npy file.

    Raises
    ------
    ValueError
        It is no .npy file, or holds Python objects.
    """
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file, max_header_size=_MAX_HEADER)
    if dtype.hasobject or dtype.names is None or len(shape) != 1:
        raise ValueError(f"expected one dimension of records, found {shape} of {dtype}")
    for name, kinds in _REQUIRED.items():
        if name not in dtype.names or dtype[name].kind not in kinds or dtype[name].itemsize != 8 or dtype[name].shape:
            raise ValueError(f"expected {name} of an hftbacktest event, found {str(dtype)[:80]}")
    return dtype, int(shape[0]), file.tell()


def decimal_places(values: npt.NDArray[np.float64]) -> int:
    """Decimal places of the shortest decimals that round to these floats (at most 12)."""
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        for places in range(_MAX_PLACES):
            if np.array_equal(np.round(finite, places), finite):
                return places
    return _MAX_PLACES


class HftbacktestNpz:
    """Event arrays of hftbacktest."""

    name = "hftbacktest"
    description = "hftbacktest 2.x event files (.npz)"
    extensions = (".npz",)

    def sniff(self, head: bytes, source: Source) -> bool:
        """A .npy member with the fields of its event."""
        return head.startswith(b"\x93NUMPY") and b"'exch_ts'" in head[:1024] and b"'local_ts'" in head[:1024]

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of the files; every file is of one symbol, given by `--set symbol=` or its own name."""
        for source in sources:
            symbol = options.setting("symbol") or source.path.name.partition(".")[0].partition("_")[0].upper()
            price_places = qty_places = 0
            for chunk in _chunks(source, None):
                price_places = max(price_places, decimal_places(chunk["px"]))
                qty_places = max(qty_places, decimal_places(chunk["qty"]))
            known = inferred_instrument(symbol, options.venue or "HFTBACKTEST", price_places, qty_places)
            number = listing.number(known)
            if number == SKIPPED:
                continue
            item = listing.instruments[number]
            report.note(f"{symbol}: prices were binary floats; taken at {item.price_decimals} decimals")
            venue = list(dict.fromkeys(i.venue for i in listing)).index(item.venue)
            for chunk in _chunks(source, report):
                rows = _events(chunk, item, report, source.label)
                rows["instrument"], rows["venue"] = number, venue
                yield rows


def _chunks(source: Source, report: QualityReport | None) -> Iterator[npt.NDArray[Any]]:
    stream = source.open()
    head = stream.read(_MAX_HEADER)
    try:
        dtype, count, start = _header(head)
    except Exception as error:  # NumPy parses the header as Python text and raises whatever that gives
        raise BadDataError(f"{source.label}: no array of events: {str(error)[:200]}") from None
    rest, done = head[start:], 0
    while True:
        whole = min(len(rest) // dtype.itemsize, count - done)
        if whole:
            yield np.frombuffer(rest, dtype=dtype, count=whole)
            done += whole
            rest = rest[whole * dtype.itemsize :]
        block = stream.read(_CHUNK * 64) if done < count else b""
        if not block:
            break
        rest += block
    if report is not None and (done < count or stream.cut):
        reason = stream.cut or f"{done:,} records of {count:,}"
        report.anomaly(Anomaly.TRUNCATED, f"{source.label} record {done}", reason)


def _events(chunk: npt.NDArray[Any], item: Instrument, report: QualityReport, label: str) -> npt.NDArray[Any]:
    kinds = (chunk["ev"] & 0xFF).astype(np.int64)
    ev = chunk["ev"]
    rows = np.zeros(len(chunk), dtype=EVENT)
    for code, kind in _KINDS.items():
        rows["kind"][kinds == code] = int(kind)
    for code, number in enumerate(np.bincount(kinds, minlength=14)):
        if number:
            name = Kind(_KINDS[code]).name if code in _KINDS else f"kind {code}"
            report.message(name, int(number))
            if code not in _KINDS:
                report.anomaly(Anomaly.UNSUPPORTED, label, f"events of kind {code} have no counterpart", int(number))
    rows["side"] = np.where(ev & BUY_EVENT != 0, BUY, np.where(ev & SELL_EVENT != 0, SELL, 0))
    rows["ts_venue"], rows["ts_recv"] = chunk["exch_ts"], chunk["local_ts"]
    bad = np.zeros(len(chunk), dtype=np.bool_)
    clear = kinds == DEPTH_CLEAR
    for target, name, decimals in (("price", "px", item.price_decimals), ("qty", "qty", item.qty_decimals)):
        held = np.where(clear, 0.0, chunk[name])
        with np.errstate(all="ignore"):
            units = np.rint(held * 10.0**decimals)
            off = ~(np.abs(units) < 2.0**62) | (np.abs(units / 10.0**decimals - held) > 1e-15 * np.abs(held))
        bad |= off
        rows[target] = np.where(off, 0, units).astype(np.int64)
    if clear.any() and (chunk["px"][clear] != 0).any():
        report.note("clears up to a price became clears of the side")
    if "order_id" in (chunk.dtype.names or ()) and chunk.dtype["order_id"] == np.uint64:
        rows["id"] = (chunk["order_id"] & np.uint64((1 << 63) - 1)).astype(np.int64)
    rows["flags"] = (
        np.where(ev & EXCH_EVENT != 0, int(Flag.VENUE), 0)
        | np.where(ev & LOCAL_EVENT != 0, int(Flag.LOCAL), 0)
        | np.where((kinds == DEPTH_SNAPSHOT) | clear, int(Flag.SNAPSHOT), 0)
        | np.where((kinds == TRADE) | (kinds == FILL), int(Flag.PRINTABLE), 0)
    )
    last = np.ones(len(rows), dtype=np.bool_)
    last[:-1] = (rows["ts_recv"][1:] != rows["ts_recv"][:-1]) | (rows["ts_venue"][1:] != rows["ts_venue"][:-1])
    rows["flags"] |= np.where(last, int(Flag.LAST), 0).astype(np.uint8)
    if bad.any():
        reason = "a price or quantity is no number at the instrument's scale; give its decimals with --instrument-spec"
        report.anomaly(Anomaly.MALFORMED, label, reason, int(bad.sum()))
    return rows[~bad & (rows["kind"] != 0)]


_CODES = {Kind.ADD: ADD_ORDER, Kind.MODIFY: MODIFY_ORDER, Kind.DELETE: CANCEL_ORDER, Kind.EXECUTE: FILL}


def to_hftbacktest(events: npt.NDArray[Any], instrument: Instrument) -> npt.NDArray[Any]:
    """Events of one instrument as hftbacktest's records.

    Parameters
    ----------
    events : numpy.ndarray
        EVENT records in both time orders, shape (n,).
    instrument : Instrument
        Their scales.

    Returns
    -------
    numpy.ndarray
        `HFT_EVENT` records, shape (m,), m <= n: quotes, marks and other kinds its engine has no record for are left
        out; REDUCE becomes MODIFY to what remains, REPLACE a cancel and a new order.
    """
    codes = np.zeros(len(events), dtype=np.uint64)
    kind, flags = events["kind"], events["flags"]
    snapshot = flags & int(Flag.SNAPSHOT) != 0
    codes[kind == Kind.LEVEL] = DEPTH
    codes[(kind == Kind.LEVEL) & snapshot] = DEPTH_SNAPSHOT
    codes[kind == Kind.CLEAR] = DEPTH_CLEAR
    codes[kind == Kind.TRADE] = TRADE
    for ours, theirs in _CODES.items():
        codes[kind == ours] = theirs
    out = np.zeros(len(events), dtype=HFT_EVENT)
    out["ev"] = (
        codes
        | np.where(flags & int(Flag.VENUE) != 0, EXCH_EVENT, 0).astype(np.uint64)
        | np.where(flags & int(Flag.LOCAL) != 0, LOCAL_EVENT, 0).astype(np.uint64)
        | np.where(events["side"] > 0, BUY_EVENT, 0).astype(np.uint64)
        | np.where(events["side"] < 0, SELL_EVENT, 0).astype(np.uint64)
    )
    out["exch_ts"], out["local_ts"] = events["ts_venue"], events["ts_recv"]
    out["px"] = events["price"] / 10.0**instrument.price_decimals
    out["qty"] = events["qty"] / 10.0**instrument.qty_decimals
    out["order_id"] = np.where(kind == Kind.TRADE, 0, events["id"]).astype(np.uint64)
    clears = kind == Kind.CLEAR
    out["px"][clears] = np.where(events["side"][clears] < 0, np.finfo(np.float64).max, 0.0)
    if np.isin(kind, [int(Kind.REDUCE), int(Kind.REPLACE)]).any():
        return _tracked(events, out, instrument)
    return out[codes != 0]


def _tracked(events: npt.NDArray[Any], out: npt.NDArray[Any], instrument: Instrument) -> npt.NDArray[Any]:
    """With REDUCE and REPLACE, which need what is left of each order."""
    left: dict[int, list[int]] = {}  # order: side, price, remaining
    scale, unit = 10.0**instrument.qty_decimals, 10.0**instrument.price_decimals
    rows: list[Any] = []
    for event, row in zip(events, out, strict=True):
        kind, order, qty = int(event["kind"]), int(event["id"]), int(event["qty"])
        if kind in (Kind.ADD, Kind.MODIFY):
            left[order] = [int(event["side"]), int(event["price"]), qty]
        elif kind == Kind.DELETE:
            left.pop(order, None)
        elif kind in (Kind.REDUCE, Kind.EXECUTE, Kind.REPLACE) and order in left:
            held = left[order]
            row = row.copy()
            side = BUY_EVENT if held[0] > 0 else SELL_EVENT
            bits = int(row["ev"]) & (EXCH_EVENT | LOCAL_EVENT)
            if kind == Kind.REPLACE:
                row["ev"], row["px"], row["qty"] = bits | side | CANCEL_ORDER, held[1] / unit, held[2] / scale
                rows.append(row.copy())
                del left[order]
                order = int(event["word"])
                left[order] = [held[0], int(event["price"]), qty]
                row["ev"], row["order_id"] = bits | side | ADD_ORDER, order
                row["px"], row["qty"] = int(event["price"]) / unit, qty / scale
            else:
                held[2] -= qty
                if kind == Kind.REDUCE:
                    code = MODIFY_ORDER if held[2] > 0 else CANCEL_ORDER
                    row["ev"], row["px"], row["qty"] = bits | side | code, held[1] / unit, max(0, held[2]) / scale
                else:
                    row["ev"] = bits | side | FILL
                if held[2] <= 0:
                    del left[order]
        if int(row["ev"]) & 0xFF:
            rows.append(row)
    return np.array(rows, dtype=HFT_EVENT)


def write_hftbacktest(path: Path | str, events: npt.NDArray[Any], instrument: Instrument) -> Path:
    """Write events of one instrument as the `.npz` that hftbacktest loads (array `data`)."""
    path = Path(path)
    with open(path, "wb") as file:
        np.savez_compressed(file, data=to_hftbacktest(events, instrument))
    return path


FORMAT = HftbacktestNpz()
