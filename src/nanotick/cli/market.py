"""`nanotick market`: descriptions of living markets, estimated from recordings, simulated, and measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from nanotick.core.instruments import InstrumentTable
    from nanotick.exchange.agents.description import MarketDescription
    from nanotick.exchange.agents.facts import FactSheet
    from nanotick.exchange.agents.observe import Observation

Json = Annotated[bool, Parameter(name="--json", negative="")]
Format = Annotated[str, Parameter(name=["--format", "-f"])]

app = App(name="market", help="Simulated markets: list and show descriptions, fit them to data, run and measure them.")
app.command("nanotick.cli.market_simulate:simulate", name="simulate")


@app.command(name="list")
def list_markets(*, as_json: Json = False) -> int:
    """List the market descriptions that come with nanotick.

    For example:

    nanotick market list

    Parameters
    ----------
    as_json
        Print a list of objects: name, about, instruments, venues, hours.
    """
    from nanotick.cli.progress import print_json
    from nanotick.exchange.agents.description import read_description, shipped

    rows: list[dict[str, Any]] = []
    for name in shipped():
        market = read_description(name)
        rows.append(
            {
                "name": name,
                "about": market.about,
                "instruments": len(market.instruments),
                "venues": list(market.venues),
                "hours": market.session.hours,
            }
        )
    if as_json:
        print_json(rows)
        return 0
    for row in rows:
        venues = ", ".join(row["venues"])
        print(
            f"{row['name']:<14} {row['instruments']:>3} instruments at {venues}, {row['hours']:g} hours: {row['about']}"
        )
    return 0


@app.command
def show(market: str, *, as_json: Json = False) -> int:
    """Show a market description: a shipped one by name, or a YAML file, checked.

    For example:

    nanotick market show us-equities

    nanotick market show crypto > mine.yaml

    Parameters
    ----------
    market
        Name (`nanotick market list`) or YAML file.
    as_json
        As JSON instead of YAML.
    """
    import msgspec

    from nanotick.cli.progress import print_json
    from nanotick.exchange.agents.description import description_text, read_description

    found = read_description(market)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        print(description_text(found), end="")
    return 0


def open_events(files: tuple[Path, ...], data_format: str = "") -> tuple[list[Any], InstrumentTable]:
    """Events of event files and recordings, one array a file, and their instruments, which must be the same."""
    from nanotick.core.instruments import InstrumentTable
    from nanotick.data.archive import open_sources
    from nanotick.data.eventfile import EventFile
    from nanotick.data.format import Reading
    from nanotick.data.ordering import order_events

    parts: list[Any] = []
    table: InstrumentTable | None = None
    for path in files:
        if not path.exists():
            raise FileNotFoundError(2, "does not exist; `nanotick market simulate -o day.nt` makes one", str(path))
        if not data_format and path.name.endswith((".nt", ".nt.zst", ".parquet")):
            file = EventFile.open(path)
            events, here = file.events, file.instruments
        else:
            reading = Reading(open_sources([path]), data_format)
            events = order_events(reading.events())
            here = InstrumentTable(reading.listing)
        if table is not None and list(here) != list(table):
            raise ValueError(f"{path}: holds {here.names()}, the file before {table.names()}; give files of one market")
        table = here
        parts.append(events)
    if table is None:
        raise ValueError("no data: name at least one file")
    return parts, table


def observe_files(files: tuple[Path, ...], data_format: str, progress: Any, keep_flows: bool) -> Observation:
    """Observe files, reporting progress by events."""
    from nanotick.exchange.agents.observe import observe_market

    parts, table = open_events(files, data_format)
    total = sum(len(part) for part in parts)

    def chunks() -> Iterator[Any]:
        done = 0
        for part in parts:
            for start in range(0, len(part), 1 << 18):
                chunk = part[start : start + (1 << 18)]
                yield chunk
                done += len(chunk)
                progress.share(done, max(1, total))

    return observe_market(chunks(), table, keep_flows=keep_flows)


@app.command
def fit(
    *files: Path,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    name: str = "fitted",
    excitation: bool = True,
    lean: float = 0.5,
    data_format: Format = "",
    as_json: Json = False,
) -> int:
    """Estimate a market description from recorded data: rates, sizes, excitation, volatility, the day's shape.

    For example:

    nanotick market fit day.nt -o mine.yaml

    nanotick market fit GOOG_2012-06-21_10.zip --name goog -o goog.yaml && nanotick market simulate goog.yaml

    Parameters
    ----------
    files
        Event files, or recordings in any format of `nanotick data formats`.
    output
        Where the description goes; NAME.yaml when left out.
    name
        Of the description.
    excitation
        Estimate how order events bring forth others.
    lean
        How far the fitted market's orders follow its fundamental value, 0 to 1.
    data_format
        Format of the recordings, when it is not recognised.
    as_json
        Print one object: output and, by instrument, the figures of the estimate.
    """
    from dataclasses import asdict

    from nanotick.cli.progress import RunProgress, cold_sentence, print_json
    from nanotick.exchange.agents.description import description_text
    from nanotick.exchange.agents.fit import fit_market

    target = output or Path(f"{name}.yaml")
    with RunProgress("reading", as_json) as progress:
        progress.waiting(cold_sentence())
        seen = observe_files(files, data_format, progress, True)
        progress.waiting("estimating")
        found = fit_market(seen, name, excitation=excitation, lean=lean)
    target.write_text(description_text(found.description), encoding="utf-8")
    if as_json:
        rows = [asdict(item) for item in found.instruments]
        print_json({"output": str(target), "instruments": rows, "skipped": list(found.skipped)})
        return 0
    for item in found.instruments:
        print(
            f"{item.name}: {item.events:,} order events, {item.market_orders:,} trades in {item.seconds:,.0f} s; "
            f"volatility {item.volatility:.3%}, spread {item.spread_ticks:.2f} ticks, branching {item.branching:.2f}"
        )
        for note in item.notes:
            print(f"  note: {note}")
    for skipped in found.skipped:
        print(f"left out, too little: {skipped}")
    print(f"{target}: run it with `nanotick market simulate {target}`")
    return 0


def _described(files: tuple[Path, ...], symbols: tuple[str, ...]) -> MarketDescription | None:
    """The described market that is to be simulated, None when files of events are given."""
    from nanotick.exchange.agents.description import read_description, shipped

    yaml = [path for path in files if path.suffix in (".yaml", ".yml") or str(path) in shipped()]
    if not yaml:
        return None
    if len(files) > 1:
        raise ValueError(f"{yaml[0]} is a described market: give it alone, and files of events with --against")
    chosen = tuple(s for text in symbols for s in text.split(",") if s)
    found = read_description(yaml[0])
    return found.only(chosen) if chosen else found


@app.command
def facts(
    *files: Path,
    seeds: int = 1,
    seed: int = 1,
    duration: float | None = None,
    symbols: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    against: Annotated[tuple[Path, ...], Parameter(name="--against", negative="")] = (),
    svg: Path | None = None,
    data_format: Format = "",
    as_json: Json = False,
) -> int:
    """Measure the stylised facts of a market, simulated or recorded, and set two side by side.

    Of a described market the impact of large orders is measured too, over all seeds together.

    For example:

    nanotick market facts day.nt

    nanotick market facts us-equities --symbols SPY,AAPL,QQQ,META,PFE --seeds 5

    nanotick market facts simulated.nt --against GOOG_2012-06-21_10.zip --svg facts.svg

    Parameters
    ----------
    files
        Event files, or recordings in any format of `nanotick data formats`, of one market; or one described market, a
        name of `nanotick market list` or a YAML file, which is simulated.
    seeds
        How many runs of a described market, from `seed` on.
    seed
        The first of them.
    duration
        Seconds of a described market's time; the whole session when left out.
    symbols
        Only these of a described market, separated by commas.
    against
        A second market, usually a real recording; may be repeated for its parts.
    svg
        Draw the curves behind the facts here.
    data_format
        Format of the recordings, when it is not recognised.
    as_json
        Print a list of one object a market: label and facts.
    """
    from nanotick.cli.progress import RunProgress, cold_sentence, print_json
    from nanotick.exchange.agents.facts import stylised_facts
    from nanotick.exchange.agents.metaorders import simulated_facts

    described = _described(files, symbols)
    if seeds < 1 or (duration is not None and duration <= 0):
        raise ValueError(f"seeds must be 1 or more and duration positive, found {seeds} and {duration}")
    sheets: list[FactSheet] = []
    with RunProgress("measuring", as_json) as progress:
        progress.waiting(cold_sentence())
        if described is not None:
            sheets += simulated_facts(
                described, range(seed, seed + seeds), duration, lambda done: progress.share(round(done * 1e4), 10_000)
            )
        for group in (() if described is not None else files, against):
            if group or not sheets:
                seen = observe_files(group, data_format, progress, False)
                sheets.append(stylised_facts(seen, ", ".join(path.name for path in group)))
    if svg is not None:
        from nanotick.research.facts_picture import write_facts_picture

        write_facts_picture(sheets, svg)
    if as_json:
        print_json([sheet.as_dict() for sheet in sheets])
    else:
        print_facts(sheets)
        if svg is not None:
            print(f"picture: {svg}")
    return 0


def print_facts(sheets: list[FactSheet]) -> None:
    """A table: a fact a row, a market a column."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("fact")
    for sheet in sheets:
        table.add_column(sheet.label, justify="right")
    for heading in ("reported range", "what", "source"):
        table.add_column(heading, overflow="fold")
    names = list(dict.fromkeys(fact.name for sheet in sheets for fact in sheet.facts))
    for name in names:
        cells = []
        described = None
        for sheet in sheets:
            fact = next((f for f in sheet.facts if f.name == name), None)
            described = described or fact
            if fact is None or fact.value is None:
                cells.append("-" if fact is None else f"- ({fact.note})")
            else:
                cells.append(f"{fact.value:.3f}{'' if fact.holds else ' (outside)'}")
        assert described is not None
        high = "" if described.high == float("inf") else f"{described.high:g}"
        table.add_row(name, *cells, f"{described.low:g} to {high}".strip(), described.what, described.source)
    Console().print(table)
