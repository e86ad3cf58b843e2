"""Raw Binance recordings to event files, and one depth message to rows.

The conversion is the whole of `nanotick data convert`: the gzip file read twice (for its scales and for its events),
every message checked and scanned, the update-id chain followed, both time orders put in place, and the event file
written and synced. hftbacktest's converter reads the same file and stops before writing.
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.generate import input_path
from benchmarks.peer import hftbacktest_convert
from benchmarks.registry import benchmark
from benchmarks.timing import median_cpu_seconds, rate
from nanotick.core.records import EVENT
from nanotick.data.archive import open_sources
from nanotick.data.binance_markets import Markets
from nanotick.data.convert import convert_to_events
from nanotick.data.format import Reading
from nanotick.wire.binance_scan import scan_lines

SLICES = 25
MESSAGES = 800  # of a slice: its rows fill one chunk of the converter
LEVELS = 20


def _convert(target: Path) -> int:
    reading = Reading(open_sources([input_path("binance_raw")]), "binance")
    convert_to_events(reading, reading, target)
    return reading.report.events["LEVEL"] + reading.report.events["TRADE"] + reading.report.events.get("QUOTE", 0)


@benchmark(
    "binance_convert",
    "raw Binance JSON (gzip) -> event file, whole conversion",
    unit="rows/s",
    peer=hftbacktest_convert(),
    reach=">= 1500000",
)
def binance_convert() -> float:
    """Levels, trades and quotes a second."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "raw.nt"
        return rate(_convert(target), lambda _: _convert(target), lambda: None)


def _depth_lines() -> bytes:
    bids = ",".join(f'["{28145.10 - i / 10:.2f}","{i + 1}.868"]' for i in range(LEVELS))
    asks = ",".join(f'["{28145.20 + i / 10:.2f}","{i + 1}.887"]' for i in range(LEVELS))
    line = (
        '1680652700600379000 {{"stream":"btcusdt@depth@0ms","data":{{"e":"depthUpdate","E":1680652700594,'
        '"T":1680652700586,"s":"BTCUSDT","U":{u},"u":{u},"pu":{before},"b":[{bids}],"a":[{asks}]}}}}\n'
    )
    return "".join(line.format(u=i + 1, before=i, bids=bids, asks=asks) for i in range(MESSAGES)).encode()


@benchmark("binance_depth_message", "depth JSON of 20 + 20 levels -> 40 event rows", unit="ns", reach="<= 600")
def binance_depth_message() -> float:
    """Nanoseconds a message, fully checked."""
    data = np.frombuffer(_depth_lines(), dtype=np.uint8)
    rows = np.zeros(MESSAGES * LEVELS * 2 + 1, dtype=EVENT)
    markets = Markets()
    markets.add("BTCUSDT")
    markets.records["price_decimals"][0], markets.records["qty_decimals"][0] = 1, 3
    state = markets.state
    begin = int(data.ctypes.data)

    state["capacity"], state["out_address"] = len(rows), rows.ctypes.data

    def scan(address: int) -> None:
        for _ in range(SLICES):
            state["rows"] = markets.records["mode"][0] = 0
            if scan_lines(address, begin, begin + len(data)) != MESSAGES * LEVELS * 2:
                raise RuntimeError("the scan stopped before the end of its input")

    return median_cpu_seconds(scan, lambda: int(state.ctypes.data)) / (SLICES * MESSAGES) * 1e9
