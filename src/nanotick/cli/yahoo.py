"""`nanotick data yahoo`: bars of the past from Yahoo as an event file."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def yahoo(
    *symbols: str,
    start: date,
    end: date,
    interval: str = "1d",
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("yahoo.nt"),
    price_decimals: int = 4,
    outside_hours: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Fetch bars from Yahoo: consolidated, rounded, revised without notice. For research, not to trade at.

    For example:

    nanotick data yahoo AAPL MSFT --start 2026-01-02 --end 2026-07-01 -o daily.nt

    nanotick data yahoo SPY --interval 1m --start 2026-06-01 --end 2026-06-06 --json

    Parameters
    ----------
    symbols
        Yahoo's own symbols.
    start
        First day.
    end
        The day after the last.
    interval
        1m, 2m, 5m, 15m, 30m, 60m, 90m, 1h, 1d, 5d or 1wk.
    output
        OUT.nt, OUT.nt.zst or OUT.parquet.
    price_decimals
        Decimals that prices are rounded to.
    outside_hours
        Bars before the open and after the close too.
    as_json
        Print one object: output, events, left_out, symbols, interval.
    """
    from nanotick.cli.data import BAD_DATA, USAGE, fail
    from nanotick.cli.progress import RunProgress, print_json
    from nanotick.core.instruments import Instrument
    from nanotick.venues.yahoo.history import HistoryError, fetch, interval_ns, write_bars

    if not symbols or start >= end:
        return fail("expected at least one symbol, and a start before the end; see --help", USAGE)
    try:
        interval_ns(interval)
        bars = {}
        with RunProgress("fetching", as_json) as progress:
            for number, symbol in enumerate(symbols):
                item = Instrument(symbol, "YAHOO", price_decimals, 0)
                bars[item] = fetch(symbol, interval, start, end, outside_hours)
                progress.share(number + 1, len(symbols))
        now = int(datetime.now(UTC).timestamp()) * 1_000_000_000
        count, left_out = write_bars(output, bars, interval, now)
    except (HistoryError, ImportError, ValueError) as error:
        return fail(str(error), BAD_DATA)
    found = {
        "output": str(output),
        "events": count,
        "left_out": dict(left_out),
        "symbols": list(symbols),
        "interval": interval,
    }
    if as_json:
        print_json(found)
    else:
        without = "".join(f", {number:,} left out ({reason})" for reason, number in left_out.items())
        print(f"{output}: {count:,} bars of {', '.join(symbols)}{without}")
    return 0
