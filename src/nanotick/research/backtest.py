"""`nanotick.backtest`: recorded data and strategies in, a result out."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.fixed import to_scaled
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.pages import release_pages
from nanotick.data.eventfile import EventFile, EventFileError
from nanotick.data.ordering import merge_events, order_events
from nanotick.engine.backtest import Backtest, Recording
from nanotick.engine.local import Capacity, StrategySetup
from nanotick.exchange.config import VenueConfig
from nanotick.research.results import BacktestResult
from nanotick.risk.limits import RiskLimits
from nanotick.strategies import built_in
from nanotick.strategy.base import Strategy

Data = str | Path | tuple[npt.NDArray[Any], InstrumentTable]
Progress = Callable[[int, int, float], None]
Chooser = Callable[[InstrumentTable], Sequence[StrategySetup]]
_EVENT_SUFFIXES = (".nt", ".nt.zst", ".parquet")


def backtest(
    data: Data | Sequence[Data],
    strategies: Strategy | str | StrategySetup | Sequence[Strategy | str | StrategySetup] | Chooser,
    *,
    venue: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    cash: str | int | Decimal = "50000",
    currency: str = "",
    rates: Mapping[str, str | int | Decimal] | None = None,
    time_zone: str = "",
    symbols: Iterable[str] = (),
    start: str | datetime | int | None = None,
    end: str | datetime | int | None = None,
    sample_interval: float = 1.0,
    seed: int = 1,
    progress: Progress | None = None,
    capacity: Capacity | None = None,
    data_format: str = "",
    config: Mapping[str, Any] | None = None,
) -> BacktestResult:
    """Run strategies over recorded data.

    Parameters
    ----------
    data : path, (events, InstrumentTable), or a sequence of them
        Event files (`.nt`, `.nt.zst`, `.parquet`), any source format that `nanotick data` reads, or arrays of EVENT
        records. Inputs that follow each other in time are run one after the other, inputs that overlap are merged.
    strategies : Strategy, name of a built-in one, StrategySetup, a sequence of them, or a function
        The function is given the instruments of the run and returns setups.
    venue : VenueConfig, optional
        Latency, queue, fee and impact models of the replay exchange.
    limits : RiskLimits, optional
        For every strategy whose setup brings none of its own.
    cash : decimal
        Starting cash of each strategy, account currency.
    currency : str
        Of the accounts. By default what all instruments settle in; USD when that is several.
    rates : mapping of str to decimal
        Account currency in one unit of another settlement currency, for example {"USDT": "0.9998", "BTC": 60000};
        constant over the run. A rate that is missing is an error.
    time_zone : str
        IANA name, for example "America/New_York": whose midnight begins a trading day (daily loss, days of statistics),
        and of hours in reports. By default the venue's.
    symbols : iterable of str
        Trade and replay only these.
    start, end : ISO 8601 text, datetime or ns UTC, optional
        Strategies hear of nothing before `start` (the book is built all the same); rows from `end` on are left out.
    sample_interval : float
        Seconds between samples of accounts and marks.
    seed : int
        Of `ctx.random` and of drawn latencies.
    progress : callable, optional
        `progress(rows_done, rows, seconds)`.
    config : mapping, optional
        Kept in the result for the report.

    Returns
    -------
    BacktestResult
        Also after Ctrl-C, then with `partial` set.

    Raises
    ------
    FileNotFoundError, ValueError
        No data, or something about the request is wrong; the message says what would help.
    """
    inputs = load_inputs(data, symbols, end, data_format)
    run = prepare(
        inputs,
        strategies,
        venue=venue,
        limits=limits,
        cash=cash,
        currency=currency,
        rates=rates,
        time_zone=time_zone,
        start=start,
        sample_interval=sample_interval,
        seed=seed,
        capacity=capacity,
        config=config,
    )
    return BacktestResult(run.run(progress))


@dataclass(frozen=True)
class Inputs:
    """Opened data: what several runs can share.

    Attributes
    ----------
    instruments : InstrumentTable
    recordings : tuple of Recording
        In order of time, numbered by `instruments`; mapped files stay mapped.
    """

    instruments: InstrumentTable
    recordings: tuple[Recording, ...]

    def until(self, end: int) -> Inputs:
        """The rows that arrive before `end`, ns UTC; everything for 0. Nothing is copied.

        Raises
        ------
        ValueError
            There are none.
        """
        if not end:
            return self
        cut = [replace(r, events=r.events[: int(np.searchsorted(r.events["ts_recv"], end))]) for r in self.recordings]
        kept = tuple(r for r in cut if len(r.events))
        if not kept:
            raise ValueError(f"the data holds nothing before {end} ns UTC")
        return Inputs(self.instruments, kept)


def load_inputs(
    data: Data | Sequence[Data],
    symbols: Iterable[str] = (),
    end: str | datetime | int | None = None,
    data_format: str = "",
) -> Inputs:
    """Open data for one run or for many; see `backtest` for the parameters.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no data, or none for these symbols and times.
    """
    items = [data] if isinstance(data, (str, Path, tuple)) else list(data)
    if not items:
        raise ValueError("no data: give at least one file; `nanotick data synthetic -o day.nt` makes one")
    opened = [_open(item, data_format) for item in items]
    table, recordings = _recordings(opened, tuple(symbols), _nanoseconds(end))
    return Inputs(table, tuple(recordings))


def prepare(
    inputs: Inputs,
    strategies: Strategy | str | StrategySetup | Sequence[Strategy | str | StrategySetup] | Chooser,
    *,
    venue: VenueConfig | None = None,
    limits: RiskLimits | None = None,
    cash: str | int | Decimal = "50000",
    currency: str = "",
    rates: Mapping[str, str | int | Decimal] | None = None,
    time_zone: str = "",
    start: str | datetime | int | None = None,
    sample_interval: float = 1.0,
    seed: int = 1,
    capacity: Capacity | None = None,
    config: Mapping[str, Any] | None = None,
) -> Backtest:
    """A run over opened data, ready to go; see `backtest` for the parameters."""
    table = inputs.instruments
    chosen = strategies if isinstance(strategies, (Strategy, str, StrategySetup, Sequence)) else strategies(table)
    setups = setups_of(chosen, to_scaled(str(cash), 6, "cash"))
    return Backtest(
        recordings=inputs.recordings,
        instruments=table,
        setups=setups,
        venue_config=venue or VenueConfig(),
        limits=limits or RiskLimits(),
        sample_interval_ns=int(sample_interval * 1e9),
        start_ts=_nanoseconds(start),
        capacity=capacity or Capacity(),
        seed=seed,
        config=config or {},
        code_hash=code_hash_of(setups),
        currency=currency,
        rates=rates or {},
        time_zone=time_zone or (venue or VenueConfig()).time_zone,
    )


def _open(item: Data, data_format: str) -> tuple[str, str, npt.NDArray[Any], InstrumentTable]:
    """Name, digest, events and instruments of one input."""
    if isinstance(item, tuple):
        events, table = item
        return "events", _digest(events), np.ascontiguousarray(events), table
    path = Path(item)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; `nanotick data synthetic -o day.nt` makes a day of data, "
            "`nanotick data convert SOURCE -o day.nt` converts a recording"
        )
    if not data_format and path.name.endswith(_EVENT_SUFFIXES):
        try:
            file = EventFile.open(path)
        except EventFileError as error:
            raise ValueError(str(error)) from error
        return path.name, _digest(file.events), file.events, file.instruments
    from nanotick.data.archive import open_sources
    from nanotick.data.format import Reading

    reading = Reading(open_sources([path]), data_format)
    events = order_events(reading.events())
    return path.name, _digest(events), events, InstrumentTable(reading.listing)


def _digest(events: npt.NDArray[Any]) -> str:
    """Names the content: of every row of small inputs, of up to 131,072 evenly spread rows of larger ones."""
    digest = hashlib.blake2b(f"{len(events)}".encode(), digest_size=16)
    step = max(1, len(events) // 65_536)
    block = 4_096 * step
    for start in range(0, len(events), block):
        rows = events[start : start + block]
        digest.update(np.ascontiguousarray(rows[::step]).tobytes())
        release_pages(rows)
    return digest.hexdigest()


def _recordings(
    opened: list[tuple[str, str, npt.NDArray[Any], InstrumentTable]], symbols: tuple[str, ...], end: int
) -> tuple[InstrumentTable, list[Recording]]:
    wanted: list[Instrument] = []
    for _, _, _, table in opened:
        for instrument in table:
            if (not symbols or instrument.symbol in symbols) and instrument not in wanted:
                wanted.append(instrument)
    if not wanted:
        known = sorted({i.symbol for _, _, _, table in opened for i in table})
        raise ValueError(f"none of the symbols {', '.join(symbols)} is in the data; there are {', '.join(known[:20])}")
    union = InstrumentTable(wanted)
    parts = [(name, digest, _renumbered(events, table, union, end)) for name, digest, events, table in opened]
    parts = [part for part in parts if len(part[2])]
    if not parts:
        raise ValueError("the data holds no events for these symbols and times: nothing to run")
    parts.sort(key=lambda part: int(part[2]["ts_recv"][0]))
    follows = all(
        int(later[2]["ts_recv"][0]) >= int(earlier[2]["ts_recv"][-1]) for earlier, later in itertools.pairwise(parts)
    )
    if len(parts) == 1 or follows:
        return union, [Recording(events, name, digest) for name, digest, events in parts]
    joined = hashlib.blake2b("".join(digest for _, digest, _ in parts).encode(), digest_size=16).hexdigest()
    merged = merge_events([events for _, _, events in parts])
    return union, [Recording(merged, " + ".join(name for name, _, _ in parts), joined)]


def _renumbered(events: npt.NDArray[Any], table: InstrumentTable, union: InstrumentTable, end: int) -> npt.NDArray[Any]:
    """Events of the wanted instruments, numbered by the union; the very same array when nothing has to change."""
    if end:
        events = events[: int(np.searchsorted(events["ts_recv"], end))]
    wanted = list(union)
    numbers = np.array([wanted.index(i) if i in wanted else -1 for i in table], dtype=np.int64)
    if np.array_equal(numbers, np.arange(len(union))) and len(numbers) == len(union):
        return events
    mapped = numbers[events["instrument"]]
    kept = events[mapped >= 0].copy()
    kept["instrument"] = mapped[mapped >= 0]
    return kept


def setups_of(
    strategies: Strategy | str | StrategySetup | Sequence[Strategy | str | StrategySetup], cash: int
) -> list[StrategySetup]:
    """Setups of strategies given as names, instances or setups; `cash` where none is said."""
    several = [strategies] if isinstance(strategies, (Strategy, str, StrategySetup)) else list(strategies)
    setups: list[StrategySetup] = []
    for item in several:
        if isinstance(item, StrategySetup):
            setups.append(item)
        elif isinstance(item, str):
            setups.append(StrategySetup(built_in(item)(), cash=cash, name=item))
        else:
            setups.append(StrategySetup(item, cash=cash))
    if not setups:
        raise ValueError("no strategy: give one, for example strategies='imbalance'")
    return [replace(s, cash=cash) if s.cash == 0 else s for s in setups]


def _nanoseconds(moment: str | datetime | int | None) -> int:
    if moment is None:
        return 0
    if isinstance(moment, int):
        return moment
    when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    if when.tzinfo is None:
        raise ValueError(f"{moment}: give the time zone, for example 2026-01-05T14:30:00+00:00")
    whole = when.replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000_000 + when.microsecond * 1_000


def code_hash_of(setups: Sequence[StrategySetup]) -> str:
    """Digest of the source of all strategies."""
    keys = "|".join(type(s.strategy).source_key() for s in setups)
    return hashlib.blake2b(keys.encode(), digest_size=16).hexdigest()


__all__ = ["Capacity", "Data", "Inputs", "StrategySetup", "backtest", "load_inputs", "prepare"]
