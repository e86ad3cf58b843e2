"""Print the table of counts for real recordings: what each holds, what it became, and what was wrong with it.

Usage: python -m tools.data_counts DIRECTORY

The directory is the one the tests read (`NANOTICK_SHARED_DATA`). The table in docs/data-formats.md is its output.
"""

import sys
import time
from pathlib import Path

from nanotick.data.archive import open_sources
from nanotick.data.bookcheck import BookCheck
from nanotick.data.format import Reading
from nanotick.data.quality import BadDataError

FILES = (
    "us_exchange_feeds/nasdaq_itch/*.itch50*",
    "us_exchange_feeds/nasdaq_itch/*ITCH_50.gz",
    "us_exchange_feeds/nasdaq_itch/*.pcap",
    "us_exchange_feeds/iex/*.xz",
    "lobster/*.zip",
    "lobster/*.xz",
    "nautilus/cme_databento/*.zst",
    "equity_ticks_bars/equity/usa/tick/*/20131007*.zip",
    "equity_ticks_bars/taq_highfrequency/*Raw.csv.xz",
)


def row(path: Path) -> str:
    """One line of the table."""
    started = time.perf_counter()
    reading = Reading(open_sources([path]))
    check = BookCheck(reading.report, instruments=1 << 14)
    for chunk in reading:
        check.feed(chunk)
    check.finish()
    taken = time.perf_counter() - started
    report = reading.report
    messages = " ".join(f"{kind} {count:,}" for kind, count in sorted(report.messages.items()))
    events = " ".join(f"{kind} {count:,}" for kind, count in sorted(report.events.items()))
    wrong = ", ".join(f"{kind} {places.count:,}" for kind, places in sorted(report.anomalies.items())) or "none"
    return f"| {path.name} | {reading.format_names} | {messages} | {events} | {wrong} | {taken:.2f} |"


def main(arguments: list[str]) -> int:
    """Print the table."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    print("| file | format | messages | events | anomalies | seconds |")
    print("|---|---|---|---|---|---|")
    for pattern in FILES:
        for path in sorted(Path(arguments[0]).glob(pattern)):
            try:
                print(row(path), flush=True)
            except BadDataError as error:
                print(f"| {path.name} | | | | {error} | |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
