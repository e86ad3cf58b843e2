"""`nanotick data`: convert recorded data into event files, look into it, and check it against its own oracle.

Exit codes: 0 done, 1 the data is bad (not readable, imperfect under --strict, or a check failed), 2 wrong usage.
NumPy, Numba and the formats are imported by the commands themselves, so that help is immediate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from nanotick.data.format import Options, Reading
    from nanotick.data.quality import QualityReport

PROGRESS_AFTER_S = 2.0
BAD_DATA = 1
USAGE = 2

app = App(name="data", help="Convert, inspect and validate recorded market data.")
app.command("nanotick.cli.synthetic:synthetic", name="synthetic", help="Generate a synthetic day as an event file.")
app.command(
    "nanotick.cli.yahoo:yahoo",
    name="yahoo",
    help="Fetch bars of the past from Yahoo as an event file.\n\nFor example:\n\n"
    "nanotick data yahoo AAPL MSFT --start 2026-01-02 --end 2026-07-01 -o daily.nt",
)

Format = Annotated[str, Parameter(name=["--format", "-f"], help="Source format; recognised by content when left out.")]
Symbols = Annotated[tuple[str, ...], Parameter(name="--symbol", help="Only this symbol; may be repeated.")]
Specs = Annotated[
    tuple[str, ...],
    Parameter(
        name="--instrument-spec",
        help="SYMBOL:tick=0.01,lot=1,price_decimals=2 (* for all), or a JSON/YAML file of symbol to fields.",
    ),
]
Settings = Annotated[tuple[str, ...], Parameter(name="--set", help="NAME=VALUE: an option of the format.")]
Day = Annotated[str, Parameter(name="--date", help="Trading day YYYY-MM-DD, where times are since midnight.")]
Venue = Annotated[str, Parameter(name="--venue", help="Name of the venue, over the format's own.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON and nothing else on standard output.")]
Strict = Annotated[bool, Parameter(name="--strict", negative="", help="Stop at the first anomaly.")]

Output = Annotated[
    Path | None, Parameter(name=["--output", "-o"], help="OUT.nt, .nt.zst, .parquet, or .npz (hftbacktest).")
]
Target = Annotated[str, Parameter(name="--to", help="event (by the suffix of OUT), or itch: a NASDAQ ITCH 5.0 file.")]
BaseLatency = Annotated[
    int | None,
    Parameter(
        name="--correct-latency",
        help="Where rows were received before they were sent, shift receive times: the fastest then took this many ns.",
    ),
]


def fail(message: str, code: int) -> int:
    """Say on standard error what went wrong; gives the exit code back."""
    from rich.console import Console
    from rich.markup import escape

    # a message may hold brackets of its own: pip install 'nanotick[databento]'
    Console(stderr=True).print(f"[red]error:[/] {escape(message)}", highlight=False, markup=True, soft_wrap=True)
    return code


def _options(
    symbols: tuple[str, ...], specs: tuple[str, ...], settings: tuple[str, ...], day: str, venue: str
) -> Options:
    from datetime import date

    from nanotick.data.format import Options, parse_specs

    values = dict(item.partition("=")[::2] for item in settings)
    return Options(symbols, parse_specs(specs), date.fromisoformat(day) if day else None, venue, values)


def _chunks(reading: Reading, quiet: bool) -> Iterator[Any]:
    """Chunks of a reading, with a progress bar once it has taken more than two seconds."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    started, events = time.monotonic(), 0
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True)
    task = None
    try:
        for chunk in reading:
            yield chunk
            events += len(chunk)
            taken = time.monotonic() - started
            if taken > PROGRESS_AFTER_S and not quiet and console.is_terminal:
                if task is None:
                    progress.start()
                    task = progress.add_task("", total=reading.total)
                text = f"{events:,} events, {events / taken / 1e6:.2f} M/s"
                progress.update(task, completed=reading.progress(), description=text)
    finally:
        progress.stop()


def _summary(report: QualityReport, instruments: list[dict[str, Any]]) -> dict[str, Any]:
    return {**report.as_dict(), "instruments": instruments}


def _print(summary: dict[str, Any], report: QualityReport, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary))
        return
    from rich.console import Console

    console = Console()
    for table in report.tables():
        console.print(table)
    names = [f"{item['symbol']}@{item['venue']}" for item in summary["instruments"]]
    console.print(
        f"{len(names)} instruments: {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}", highlight=False
    )
    for stamp in ("first_ts", "last_ts"):
        console.print(f"{stamp}: {_time_text(summary[stamp])}", highlight=False)
    for note in report.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)


def _time_text(stamp: int | None) -> str:
    if stamp is None:
        return "none"
    from datetime import UTC, datetime

    seconds, rest = divmod(stamp, 1_000_000_000)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest:09d} UTC"
    except (ValueError, OverflowError):
        return f"{stamp} ns"


@app.command
def inspect(
    *files: Path,
    format_name: Format = "",
    as_json: Json = False,
    symbol: Symbols = (),
    instrument_spec: Specs = (),
    settings: Settings = (),
    day: Day = "",
    venue: Venue = "",
    strict: Strict = False,
) -> int:
    """Say what FILES hold: messages by type, events by kind, instruments, times and anomalies.

    Source files of every format and event files (.nt, .nt.zst, .parquet) alike.
    """
    from nanotick.data.archive import open_sources
    from nanotick.data.bookcheck import BookCheck
    from nanotick.data.checks import EventChecks
    from nanotick.data.eventfile import EventFileError
    from nanotick.data.format import Reading
    from nanotick.data.quality import BadDataError, QualityReport

    if not files:
        return fail("name at least one file: nanotick data inspect FILE", USAGE)
    report = QualityReport(strict)
    try:
        options = _options(symbol, instrument_spec, settings, day, venue)
        reading = Reading(open_sources(files), format_name, options, report)
        checks = (EventChecks(report), BookCheck(report))
        for chunk in _chunks(reading, as_json):
            for check in checks:
                check.feed(chunk)
        for check in checks:
            check.finish()
    except (BadDataError, EventFileError, ValueError) as error:
        return fail(str(error), BAD_DATA)
    _print(_summary(report, [item.as_dict() for item in reading.listing]), report, as_json)
    return 0


@app.command
def convert(
    *sources: Path,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="OUT.nt, .nt.zst, .parquet, or .npz (hftbacktest)."),
    ] = None,
    format_name: Format = "",
    strict: Strict = False,
    symbol: Symbols = (),
    instrument_spec: Specs = (),
    settings: Settings = (),
    day: Day = "",
    venue: Venue = "",
    correct_latency: BaseLatency = None,
    to: Target = "event",
    as_json: Json = False,
) -> int:
    """Convert SOURCES, together and in order of arrival, into one event file."""
    from nanotick.data.archive import open_sources
    from nanotick.data.convert import convert_to_events
    from nanotick.data.eventfile import EventFileError
    from nanotick.data.format import Reading
    from nanotick.data.quality import BadDataError, QualityReport
    from nanotick.data.to_itch import write_itch

    if not sources:
        return fail("name at least one source: nanotick data convert SOURCE... -o OUT.nt", USAGE)
    if to not in ("event", "itch"):
        return fail(f"--to: expected event or itch, found {to!r}", USAGE)
    target = output or Path(f"{sources[0].name}.{'nt' if to == 'event' else 'itch50'}")
    report = QualityReport(strict)
    try:
        options = _options(symbol, instrument_spec, settings, day, venue)
        reading = Reading(open_sources(sources), format_name, options, report)
        work = _chunks(reading, as_json)
        if to == "itch":
            write_itch(reading, work, target)
        else:
            convert_to_events(reading, work, target, correct_latency)
    except (BadDataError, EventFileError, ValueError) as error:
        return fail(str(error), BAD_DATA)
    except OSError as error:
        return fail(f"{target}: {error.strerror or error}; choose another place with -o", BAD_DATA)
    summary = {**_summary(report, [item.as_dict() for item in reading.listing]), "output": str(target)}
    _print(summary, report, as_json)
    if not as_json:
        print(f"wrote {target} ({target.stat().st_size:,} bytes)")
    return 0


@app.command
def validate(
    *files: Path,
    format_name: Format = "",
    as_json: Json = False,
    symbol: Symbols = (),
    settings: Settings = (),
    day: Day = "",
    venue: Venue = "",
) -> int:
    """Check FILES against what they carry to be checked by; exit code 1 if anything does not agree.

    LOBSTER: every book row against the messages. Kraken: checksums. Binance: update ids. Others: sequence and books.
    """
    from nanotick.data.archive import open_sources
    from nanotick.data.convert import validate_sources
    from nanotick.data.eventfile import EventFileError
    from nanotick.data.format import Reading
    from nanotick.data.quality import BadDataError, QualityReport

    if not files:
        return fail("name at least one file: nanotick data validate --format lobster MESSAGES ORDERBOOK", USAGE)
    report = QualityReport()
    try:
        options = _options(symbol, (), settings, day, venue)
        reading = Reading(open_sources(files), format_name, options, report)
        result, good = validate_sources(reading, _chunks(reading, as_json))
    except (BadDataError, EventFileError, ValueError) as error:
        return fail(str(error), BAD_DATA)
    if as_json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            if not isinstance(value, (dict, list)):
                print(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")
        for table in report.tables()[1:]:
            from rich.console import Console

            Console().print(table)
    return 0 if good else BAD_DATA


@app.command
def formats() -> int:
    """List the source formats."""
    from nanotick.data.format import FORMATS, get_format

    for name in FORMATS:
        found = get_format(name)
        print(f"{name:12} {found.description} ({', '.join(found.extensions)})")
    return 0
