"""The inputs of the benchmarks, by name: made once from their seeds and kept in a temporary directory.

    python -m benchmarks.generate            # list what there is
    python -m benchmarks.generate itch_10m   # make it (if need be) and print where it is

Files live in `NANOTICK_BENCH_DIR`, else in `nanotick-bench-<user>` in the system's temporary directory. A file's name
carries the version of its generator, and it is renamed into place when complete, so what is there is right.

    itch_10m, itch_10m_8k    NASDAQ ITCH 5.0, 10 million messages over 100 and 8,000 symbols
    levels, levels_hft       price-level market, 5 million rows, as nanotick events and as hftbacktest records
    many, many_hft           the same of 64 instruments, 100,000 rows each, merged by time (hft: one file, cut in 64)
    orders, orders_hft       order-by-order market, 4 million messages
    quotes                   500,000 best bids and offers
    binance_raw              500,000 rows as a raw Binance recording, gzip

`.npy` files hold one structured array each (`numpy.load(path, mmap_mode="r")`).
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import binance_raw, itch_day, level_stream, order_stream, quote_stream

VERSION = 2  # raise it when a generator's output changes
LEVEL_ROWS = 5_000_000
INSTRUMENTS = 64
ROWS_PER_INSTRUMENT = 100_000
QUOTES = 500_000
RAW_ROWS = 500_000


def directory() -> Path:
    """Return where the inputs live, made if need be."""
    named = os.environ.get("NANOTICK_BENCH_DIR")
    path = Path(named) if named else Path(tempfile.gettempdir()) / f"nanotick-bench-{os.getuid()}"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _save(path: Path, array: np.ndarray[Any, Any]) -> None:
    with path.open("wb") as out:
        np.save(out, array)


def _many(path: Path, hft: bool) -> None:
    streams = [level_stream.market_rows(ROWS_PER_INSTRUMENT, seed=100 + i) for i in range(INSTRUMENTS)]
    if hft:
        _save(path, np.concatenate([level_stream.as_hft(rows) for rows in streams]))
        return
    events = np.concatenate([level_stream.as_events(rows, i) for i, rows in enumerate(streams)])
    events = events[np.argsort(events["ts_recv"], kind="stable")]
    events["seq"] = np.arange(len(events))
    _save(path, events)


INPUTS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "itch_10m": ("itch", lambda path: itch_day.write_itch_day(path, 10_000_000, 100)),
    "itch_10m_8k": ("itch", lambda path: itch_day.write_itch_day(path, 10_000_000, 8_000)),
    "levels": ("npy", lambda path: _save(path, level_stream.as_events(level_stream.market_rows(LEVEL_ROWS)))),
    "levels_hft": ("npy", lambda path: _save(path, level_stream.as_hft(level_stream.market_rows(LEVEL_ROWS)))),
    "many": ("npy", lambda path: _many(path, hft=False)),
    "many_hft": ("npy", lambda path: _many(path, hft=True)),
    "orders": ("npy", lambda path: _save(path, order_stream.order_by_order_market()[1])),
    "orders_hft": ("npy", lambda path: _save(path, order_stream.order_by_order_market()[0])),
    "quotes": ("npy", lambda path: _save(path, quote_stream.quotes(QUOTES))),
    "binance_raw": ("gz", lambda path: binance_raw.write_binance_raw(path, RAW_ROWS)),
}


def input_path(name: str) -> Path:
    """Return the path of an input, making the file first if it is not there.

    Raises
    ------
    KeyError
        If there is no input of that name; the message lists the names.
    """
    if name not in INPUTS:
        raise KeyError(f"no input named {name!r}; there are: {', '.join(INPUTS)}")
    suffix, make = INPUTS[name]
    path = directory() / f"{name}-v{VERSION}.{suffix}"
    if not path.exists():
        print(f"making {path.name} ...", file=sys.stderr, flush=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        make(partial)
        partial.rename(path)
    return path


def main() -> None:
    """Make the inputs named on the command line and print their paths; without names, list them."""
    names = sys.argv[1:]
    if not names:
        print(__doc__)
    for name in names:
        print(input_path(name))


if __name__ == "__main__":
    main()
