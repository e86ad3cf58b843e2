"""What a run leaves behind: the one value an engine's runner returns and research reads.

The runner fills a `RunOutput`; results, statistics and reports are computed from it and from nothing else, so any run
(a backtest, a simulation, a live session read back from its journal) is reported alike.

`records` holds everything the run added, in journal order, as 64-byte `EVENT` rows; rows with `kind >= 128` are read
through `.view(COMMAND)`. The data itself is not repeated there.

- commands: `ts` when it was decided, `id` client order id, `strategy`
- private reports: `ts_venue` when it happened at the venue, `ts_recv` when it was known here, `id` client order id;
  a FILL carries its side, `word` the fee at the instrument's value scale, `flags` FillReason | MAKER
- RISK: `ts_recv` when refused, `word` the check, `price` what was found, `qty` the limit, `id` client order id (0: the
  intent had none yet), `side` of the intent, `seq` strategy
- SIGNAL: `ts_recv`, `id` code, `price` value bits, `word` strategy
- SAMPLE: `ts_recv`, `id` strategy. With `instrument == ACCOUNT`: `price` cash, `qty` equity, `word` gross exposure,
  all in micro units (1e-6) of the account's currency. Else of one position: `price` cash that this position brought, at
  value scale and net of fees, `qty` fees so far, `word` position in quantity units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import EVENT
from nanotick.core.zone import local_offsets

ACCOUNT = 0xFFFF_FFFF  # instrument of a SAMPLE that speaks of a whole account
MICRO = 1_000_000  # account figures are integers of 1e-6 currency units

# Best bid and offer at the sample times, the same for every strategy.
MARK_SAMPLE = np.dtype(
    [
        ("ts", "<i8"),  # ns UTC, local time
        ("bid", "<i8"),  # price units, 0: this side is empty
        ("ask", "<i8"),
        ("instrument", "<u4"),
        ("pad", "<u4"),
    ]
)

# What is left at the end, one row a strategy and instrument it traded or could have traded.
FINAL_POSITION = np.dtype(
    [
        ("strategy", "<i4"),
        ("instrument", "<u4"),
        ("qty", "<i8"),  # quantity units, negative: short
        ("cost", "<i8"),  # value units: what the open quantity cost (average price times quantity)
        ("realised", "<i8"),  # value units, gross of fees
        ("fees", "<i8"),  # value units, negative: rebates
    ]
)

# Where in the queue a resting order stood: one row an order, written when it was accepted and completed when it ended.
QUEUE_SAMPLE = np.dtype(
    [
        ("id", "<i8"),  # client order id
        ("ts", "<i8"),  # ns UTC, venue time of acceptance
        ("ahead_start", "<i8"),  # quantity units before us when accepted, -1 unknown
        ("ahead_end", "<i8"),  # quantity units before us when it was filled or gone, -1 unknown
        ("distance_ticks", "<i8"),  # from our side's best price when it ended, 0: at the touch, negative: better
    ]
)


@dataclass(frozen=True)
class FinalIndicator:
    """An indicator of a strategy as the run left it.

    Attributes
    ----------
    name : str
        The strategy's attribute, `flow[2]` for the third of a fixed number.
    described : str
        Class and parameters as they were at the end: `EMA(period=12.0)`.
    instrument : int
        Whose it is where the strategy keeps one for each instrument, else -1.
    ready : bool
        Whether its warm-up was over.
    values : mapping
        Reading to value; NaN where there was nothing to compute it from.
    """

    name: str
    described: str
    instrument: int
    ready: bool
    values: Mapping[str, float]


@dataclass(frozen=True)
class StrategyRun:
    """One strategy as it ran.

    Attributes
    ----------
    name : str
        Unique within the run.
    parameters : mapping
        Name to value, defaults included.
    instruments : tuple of int
        Numbers of the instruments it subscribed to.
    cash : int
        Starting cash, micro units.
    calls : mapping
        Callback name to how often it ran.
    intents : int
        Orders, cancels and replaces it asked for, refused ones included.
    class_name, doc : str
        Where it comes from and the first line of its docstring.
    indicators : tuple of FinalIndicator
        In the order of the attributes, then of the instruments.
    indicators_left_out : int
        How many more there were.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    instruments: tuple[int, ...] = ()
    cash: int = 0
    calls: Mapping[str, int] = field(default_factory=dict)
    intents: int = 0
    class_name: str = ""
    doc: str = ""
    indicators: tuple[FinalIndicator, ...] = ()
    indicators_left_out: int = 0


@dataclass(frozen=True)
class RunCounters:
    """How much was done and how long it took.

    Attributes
    ----------
    events : int
        Recorded rows processed.
    seconds : float
        Wall time of the event loop alone.
    compile_seconds : float
        Spent on compiling or loading kernels and strategies before the first event.
    total_seconds : float
        From the call to the result, reading included.
    warm : bool
        Nothing had to be compiled.
    first_ts, last_ts : int
        ns UTC of the data that was run.
    by_instrument : mapping
        Instrument number to the number of its rows.
    """

    events: int = 0
    seconds: float = 0.0
    compile_seconds: float = 0.0
    total_seconds: float = 0.0
    warm: bool = True
    first_ts: int = 0
    last_ts: int = 0
    by_instrument: Mapping[int, int] = field(default_factory=dict)

    @property
    def events_per_second(self) -> float:
        """Rows per second of the event loop."""
        return self.events / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class DataFile:
    """One input of a run."""

    path: str
    rows: int
    digest: str  # hexadecimal


@dataclass(frozen=True)
class RunOutput:
    """Everything a run leaves.

    Attributes
    ----------
    records : numpy.ndarray
        Dtype `EVENT`, journal order; see the module's docstring.
    instruments : InstrumentTable
    strategies : tuple of StrategyRun
        In order of their numbers.
    counters : RunCounters
    marks : numpy.ndarray
        Dtype `MARK_SAMPLE`, by time.
    positions : numpy.ndarray
        Dtype `FINAL_POSITION`.
    queue : numpy.ndarray
        Dtype `QUEUE_SAMPLE`.
    queue_lost : int
        Ended orders that found it full.
    order_strategy : mapping
        Client order id to strategy number, for reports whose NEW command lies before `records` starts (a resumed run).
    check_names : mapping
        Number of a risk check to its name.
    check_units : mapping
        Number of a risk check to what its found value and limit are: `qty`, `price`, `value`, `micro`, `ns`, `ppm` or
        `count`.
    config : mapping
        The complete configuration, defaults included.
    data : tuple of DataFile
    code_hash, journal_hash, state_hash : str
        Hexadecimal; what another run must reproduce.
    partial : bool
        Stopped before the end of the data.
    sample_interval_ns : int
    session_offset_ns : int
        Of the market's local time from UTC, for hours in reports, where no time zone says it.
    time_zone : str
        IANA name of the market's local time.
    currency : str
        Of the accounts; empty: the one all instruments settle in.
    rates : mapping of str to str
        Units of it in one unit of another settlement currency.
    """

    records: npt.NDArray[Any]
    instruments: InstrumentTable
    strategies: tuple[StrategyRun, ...]
    counters: RunCounters = field(default_factory=RunCounters)
    marks: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0, MARK_SAMPLE))
    positions: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0, FINAL_POSITION))
    queue: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0, QUEUE_SAMPLE))
    queue_lost: int = 0
    order_strategy: Mapping[int, int] = field(default_factory=dict)
    check_names: Mapping[int, str] = field(default_factory=dict)
    check_units: Mapping[int, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[DataFile, ...] = ()
    code_hash: str = ""
    journal_hash: str = ""
    state_hash: str = ""
    partial: bool = False
    sample_interval_ns: int = 1_000_000_000
    session_offset_ns: int = 0
    time_zone: str = "UTC"
    currency: str = ""
    rates: Mapping[str, str] = field(default_factory=dict)

    def local_offset(self, ts: Any) -> npt.NDArray[np.int64]:
        """The market's local time less UTC at moments (ns UTC), ns."""
        return local_offsets(self.time_zone, ts) + self.session_offset_ns

    def rate(self, instrument: int) -> float:
        """Account currency in one unit of what an instrument settles in; 1 where no rate was given."""
        settled = self.instruments[instrument].currency
        return float(self.rates[settled]) if settled in self.rates and settled != self.currency else 1.0

    def __post_init__(self) -> None:
        for name, dtype in (
            ("records", EVENT),
            ("marks", MARK_SAMPLE),
            ("positions", FINAL_POSITION),
            ("queue", QUEUE_SAMPLE),
        ):
            found = getattr(self, name).dtype
            if found != dtype:
                raise TypeError(f"RunOutput.{name}: expected dtype {dtype}, found {found}")
