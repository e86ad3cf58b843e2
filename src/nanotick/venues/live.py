"""A live session, whole: its state directory, local side, journal, feeds, accounts, kill switch and control socket.

    state/                     one directory a desk
      identity.json            number of its client order ids
      killed.json, kill        the kill switch's latch and file
      sessions/0001/           one journal a session; the last one goes on if it was not ended, old ones are archives
      nanotick.log

`LiveSession` puts together what the modules of this floor do and owns nothing of its own but that order.
"""

from __future__ import annotations

import inspect
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from nanotick.core.arena import Arena
from nanotick.core.files import write_durable
from nanotick.core.instruments import InstrumentTable
from nanotick.core.log import Log, Logger
from nanotick.core.records import ALL_STRATEGIES, ControlAction, KillReason
from nanotick.core.ring import pop_records, push_records
from nanotick.engine.changes import load_class
from nanotick.engine.collect import Collector, make_ready
from nanotick.engine.kill import KillSwitch, read_latch, write_latch
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.output import RunCounters, RunOutput
from nanotick.engine.paper import PaperVenue, paper_next, paper_rows, paper_send, paper_take
from nanotick.engine.risk_status import risk_status
from nanotick.engine.session import Session
from nanotick.engine.session_archive import archive_session
from nanotick.engine.session_loop import run_due, run_events, run_next, run_unjournaled
from nanotick.engine.session_replay import session_header
from nanotick.engine.view import RunView
from nanotick.exchange.config import VenueConfig
from nanotick.risk.limits import RiskLimits
from nanotick.venues.control import ControlServer
from nanotick.venues.cores import planned
from nanotick.venues.feed_process import FeedProcess
from nanotick.venues.host import Host
from nanotick.venues.latency import Latencies
from nanotick.venues.limits import limits_of
from nanotick.venues.paper import PaperAccount
from nanotick.venues.pinned import PinnedRunner
from nanotick.venues.pinned_loop import ENTRIES
from nanotick.venues.registry import VenuePackage
from nanotick.venues.runner import AGAIN_NS, Phase, Runner
from nanotick.venues.trader import Trader
from nanotick.venues.trader_base import engine_orders
from nanotick.venues.working import Limiter, TraderConfig
from nanotick.wire.client_ids import SESSIONS

CAPACITY = Capacity(book_orders=1 << 18, book_levels=1 << 19, orders=1 << 18)
_LOOK_NS = 20_000_000  # between looks at the kill switch
_IDENTITY = "identity.json"


@dataclass(frozen=True)
class FeedSpec:
    """A feed to listen to: of which package, where, with which keys; for instruments whose orders go to `venue`."""

    package: VenuePackage
    venue: str
    endpoints: tuple[str, ...]
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AccountSpec:
    """An account to trade: of which package, where, with which keys. `paper` fills are simulated here, nothing sent."""

    package: VenuePackage
    endpoints: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Any] = field(default_factory=dict)
    paper: VenueConfig | None = None
    limited: bool = False  # keep the venue's published rate limits, counts shared with other processes of this machine


@dataclass
class LiveSettings:
    """What a session is.

    Attributes
    ----------
    directory : Path
        State directory.
    instruments : InstrumentTable
        An instrument's venue is where its orders go.
    setups : sequence of StrategySetup
    feeds, accounts
    duration : float
        Seconds of trading; 0 for until told to stop.
    flatten : bool
        Close positions at the end.
    heartbeat : float
        Seconds without a sign of the operator after which everything is killed; 0 for none asked.
    threading : str
        `inline`: all in the callback that brings the bytes. `pinned`: see `venues.pinned`.
    cores : mapping of str to sequence of int
        Processors for the parts of a pinned session; empty: chosen.
    """

    directory: Path
    instruments: InstrumentTable
    setups: Sequence[StrategySetup]
    feeds: Sequence[FeedSpec]
    accounts: Sequence[AccountSpec]
    limits: RiskLimits = field(default_factory=RiskLimits)
    trader: TraderConfig = field(default_factory=TraderConfig)
    mode: str = "paper"
    duration: float = 0.0
    flatten: bool = False
    heartbeat: float = 0.0
    currency: str = ""
    rates: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str = "UTC"
    sample_interval_ns: int = 1_000_000_000
    seed: int = 1
    capacity: Capacity = CAPACITY
    config: Mapping[str, Any] = field(default_factory=dict)
    code_hash: str = ""
    threading: str = "inline"
    cores: Mapping[str, Sequence[int]] = field(default_factory=dict)


class LiveSession:
    """A session from its start to its report.

    Parameters
    ----------
    host : Host
        With an event loop (`loop`) for the control socket; without one there is none.
    settings : LiveSettings
    log : Log, optional

    Attributes
    ----------
    resumed : bool
        It goes on where a crash left it.
    view : RunView
    runner : Runner
    kill : KillSwitch
    on_trade : callable
        `on_trade(trade)` for every fill, as in `RunView.take`.

    Raises
    ------
    SessionError, JournalError
        The directory's last session cannot go on; the message says what would help.
    """

    def __init__(self, host: Host, settings: LiveSettings, log: Log | None = None) -> None:
        self.host, self.settings, self.log = host, settings, log
        directory = settings.directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.number = _session_number(directory)
        self.journal, self.resumed = _next_journal(directory)
        self.session = Session.resume(self.journal) if self.resumed else self._fresh()
        self.local = self.session.local
        self.view = RunView(self.local)
        self.collector = Collector(self.local.arena, self.local.instruments, self.local.setups, self.local)
        self.latency = Latencies(self.local.instruments.venues)
        logger = log.bind() if log is not None else None
        self.notes: list[str] = []
        self._pinned: PinnedRunner | None = None
        self.runner = self._make_runner(logger)
        self.kill = KillSwitch(self.runner.session, directory, self.runner, heartbeat_ns=int(settings.heartbeat * 1e9))
        self.on_trade: Callable[[dict[str, Any]], None] = lambda trade: None
        self.control: ControlServer | None = None
        self.started_ns = self._again = 0
        self.ladder = 0
        self._connect_accounts()
        self._connect_feeds()
        self._warm()
        loop = getattr(host, "loop", None)
        if loop is not None:
            self.control = ControlServer(loop, directory, self._handlers())

    # --- putting together ---------------------------------------------------------------------------------------------

    def _fresh(self) -> Session:
        s = self.settings
        arena = Arena(s.capacity.arena_bytes)
        local = LocalSide(
            arena, s.instruments, s.setups, s.limits, s.capacity, s.seed, s.currency, s.rates, s.time_zone
        )
        config = {**s.config, "mode": s.mode, "session_number": self.number}
        return Session(
            local, self.journal, config=config, code_hash=s.code_hash, sample_interval_ns=s.sample_interval_ns
        )

    def _make_runner(self, log: Logger | None) -> Runner:
        s = self.settings
        common: dict[str, Any] = {
            "log": log, "latency": self.latency, "on_records": self._take, "resumed": self.session.begun,
        }  # fmt: skip
        if s.threading == "inline":
            return Runner(self.host, self.session, **common)
        if any(spec.paper is not None for spec in s.accounts):
            self.notes.append("fills are simulated here, in the callback that brings the prices: inline, not pinned")
            return Runner(self.host, self.session, **common)
        cores, notes = planned(s.cores, len(s.feeds))
        self.notes += notes
        spin = bool(getattr(self.host, "spin", False)) and cores.alone
        self._pinned = PinnedRunner(self.host, self.session, cores=cores, spin=spin, **common)
        self._pinned.on_stuck = lambda why: write_latch(s.directory, KillReason.ENGINE, why, self.host.now())
        return self._pinned

    def _connect_accounts(self) -> None:
        local, runner, table = self.local, self.runner, self.local.instruments
        number = self.number
        if self.resumed:
            number = int(session_header(self.journal)["config"].get("session_number", number))
        for spec in self.settings.accounts:
            venue = spec.package.table
            if spec.paper is not None:
                exchange = PaperVenue(Arena(1 << 32), table, spec.paper)
                runner.add_account(table.venues.index(venue), PaperAccount(self.host, exchange, runner.deliver, venue))
                continue
            trader = spec.package.load("trader")(
                self.host, table, venue, number, runner.settled(engine_orders(local.orders)), runner.deliver,
                self.settings.trader, log=self.log.bind() if self.log is not None else None,
                position=runner.settled(local.portfolio.position), price=local.portfolio.mark,
                limiter=self._limiter(spec) if spec.limited else None, **spec.endpoints, **spec.keys,
            )  # fmt: skip
            trader.on_latency = self.latency.recorder(table.venues.index(venue))
            if self.resumed:
                rows = (row for row in local.orders.orders.view[: local.orders.used] if 2 <= row["state"] < 7)
                trader.resume(rows, self.session.now, self.session.begun)
            runner.add_account(table.venues.index(venue), trader)

    def _limiter(self, spec: AccountSpec) -> Limiter:
        """The venue's published limits; every session of this state directory counts in one place."""
        table = self.local.instruments
        symbols = [item.symbol for item in table if item.venue == spec.package.table]
        shared = self.settings.directory / f"limits-{spec.package.name}"
        return limits_of(spec.package.name, symbols=symbols, shared=shared)

    def _connect_feeds(self) -> None:
        paper = bool(self.runner.papers)
        deliver = self.runner.deliver_market if paper else self.runner.deliver
        for number, spec in enumerate(self.settings.feeds):
            if self._pinned is not None:
                self._pinned.add_feed(self._feed_process(number, spec))
                continue
            feed = spec.package.load("feed")(
                self.host, self.local.instruments, spec.venue, deliver, spec.endpoints,
                log=self.log.bind() if self.log is not None else None, **spec.keys,
            )  # fmt: skip
            self.runner.add_feed(feed)

    def _feed_process(self, number: int, spec: FeedSpec) -> FeedProcess:
        assert self._pinned is not None
        name = f"feed-{number + 1}-{spec.package.name}.log"
        return FeedProcess(
            self.host, spec, self.local.instruments, self._pinned.deliver,
            self.settings.directory / name if self.log is not None else None, spin=self._pinned.spin,
            core=self._pinned.cores.feed(number), log=self.log.bind() if self.log is not None else None,
        )  # fmt: skip

    def _warm(self) -> None:
        """Compile what the first event and the first order would have to wait for."""
        paper = (paper_rows, paper_send, paper_take, paper_next) if self.runner.papers else ()
        pinned = (*ENTRIES, push_records, pop_records) if self._pinned is not None else ()
        for entry in (run_events, run_due, run_next, run_unjournaled, *paper, *pinned):
            make_ready(entry)
        for feed in self.runner.feeds:
            feed.new_frames()
        for account in self.runner.accounts.values():
            if isinstance(account, Trader):
                account.warm()
        self.latency.record(0, "send", 0)
        self.latency.reset()
        self.view.snapshot()

    # --- running ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect; trading begins when everything stands. Killed before and not lifted: it starts killed."""
        self.started_ns = self.host.now()
        self.kill.start(self.started_ns)
        if self.settings.duration > 0:
            self.runner.trade_at_most(self.settings.duration, self.settings.flatten)
        self.runner.start()
        self._look()

    def _look(self) -> None:
        if self.runner.phase == Phase.STOPPED:
            return
        self.host.at(self.host.now() + _LOOK_NS, self._look)
        if not self.runner.stuck:
            self.kill.poll(self.host.now())
        if self.kill.stop_requested:
            self.runner.stop("signal", flatten=self.settings.flatten)
        if self.kill.killed and not self.runner.stuck and self.runner.open_orders and self.host.now() >= self._again:
            self._again = self.host.now() + AGAIN_NS
            self.runner.control(ControlAction.CANCEL_EVERYTHING)  # for cancels that the venue has refused

    def _take(self, records: npt.NDArray[Any], marks: npt.NDArray[Any]) -> None:
        self.collector.records.append(records)
        self.collector.marks.append(marks)
        for trade in self.view.take(records):
            self.on_trade(trade)

    def stop(self, reason: str = "") -> None:
        """End it: orders cancelled or positions closed, connections closed."""
        self.runner.stop(reason, flatten=self.settings.flatten)

    @property
    def over(self) -> bool:
        """Whether nothing happens any more."""
        return self.runner.phase == Phase.STOPPED

    def close(self) -> None:
        """Make the journal durable, with its end if the session was ended as it should."""
        if self.control is not None:
            self.control.close()
            self.control = None
        self.kill.release()
        if self._pinned is not None and not self._pinned.close():
            if self.session.journal is not None:
                self.session.journal.fail()  # its memory stays: a step that does not end may still write to it
            return
        self.session.close(ended=self.runner.phase == Phase.STOPPED and not self.runner.open_orders)

    def output(self, compile_seconds: float = 0.0) -> RunOutput:
        """What the session has left, for a report."""
        now, first = self.session.now, self.started_ns
        seconds = max(1e-9, (now - first) / 1e9)
        counters = RunCounters(
            events=self.runner.events, seconds=seconds, compile_seconds=compile_seconds,
            total_seconds=compile_seconds + seconds, warm=True, first_ts=first, last_ts=max(now, first),
        )  # fmt: skip
        s = self.settings
        return self.collector.output(
            counters, config=dict(s.config), data=(), code_hash=s.code_hash, partial=False,
            sample_interval_ns=s.sample_interval_ns, currency=self.local.portfolio.currency,
            rates={name: str(rate) for name, rate in s.rates.items()}, time_zone=s.time_zone,
        )  # fmt: skip

    # --- operators ----------------------------------------------------------------------------------------------------

    def status(self, ladder: int | None = None) -> dict[str, Any]:
        """Everything about it, in plain values."""
        with self.runner.looking():
            return self._status(ladder)

    def _status(self, ladder: int | None) -> dict[str, Any]:
        now = self.host.now()
        latched = read_latch(self.settings.directory)
        return {
            "mode": self.settings.mode,
            "directory": str(self.settings.directory),
            "journal": str(self.journal),
            "now": now,
            "started": self.started_ns,
            "duration": self.settings.duration,
            "resumed": self.resumed,
            "killed": self.kill.killed,
            "kill_reason": latched.text if latched is not None and self.kill.killed else "",
            "latency": self.latency.summary(),
            "heartbeat": self.settings.heartbeat,
            "instruments": [[item.symbol, item.venue] for item in self.local.instruments],
            "risk": risk_status(self.local, now),
            **self.runner.status(),
            **self.view.snapshot(self.ladder if ladder is None else ladder),
        }

    def _handlers(self) -> dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
        return {
            "status": lambda r: self.status(self._instrument(r) if "symbol" in r else None),
            "strategies": lambda r: {"strategies": self.view.strategies()},
            "kill": self._do_kill,
            "resume": self._do_resume,
            "pause": lambda r: self._do_pause(r, ControlAction.PAUSE_STRATEGY),
            "unpause": lambda r: self._do_pause(r, ControlAction.RESUME_STRATEGY),
            "flatten": lambda r: {"commands": self.runner.control(ControlAction.FLATTEN, self._strategy(r))},
            "cancel": lambda r: {"commands": self.runner.control(ControlAction.CANCEL_EVERYTHING, self._strategy(r))},
            "set": self._do_set,
            "limit": self._do_limit,
            "reload": self._do_reload,
            "beat": self._do_beat,
            "stop": self._do_stop,
        }

    def _strategy(self, request: Mapping[str, Any]) -> int:
        name = request.get("strategy")
        if name in (None, "", "all"):
            return ALL_STRATEGIES
        if name not in self.local.names:
            raise ValueError(f"strategy: expected one of {', '.join(self.local.names)}, found {name!r}")
        return self.local.names.index(name)

    def _instrument(self, request: Mapping[str, Any]) -> int:
        return self.local.instruments.number(str(request["symbol"]), request.get("venue"))

    def _do_kill(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.kill.trip(KillReason.API, str(request.get("reason") or "control socket"))
        self.kill.poll(self.host.now())
        return {"killed": self.kill.killed}

    def _do_resume(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.kill.resume(self.host.now(), str(request.get("operator") or ""))
        return {"killed": self.kill.killed}

    def _do_pause(self, request: Mapping[str, Any], action: ControlAction) -> dict[str, Any]:
        chosen = self._strategy(request)
        for number in range(len(self.local.names)) if chosen == ALL_STRATEGIES else (chosen,):
            self.runner.control(action, number)
        return {"strategies": [row["name"] for row in self.view.strategies() if row["paused"]]}

    def _do_set(self, request: Mapping[str, Any]) -> dict[str, Any]:
        chosen = self._strategy(request)
        if chosen == ALL_STRATEGIES and len(self.local.names) > 1:
            raise ValueError(f"strategy: say which of {', '.join(self.local.names)}")
        number = 0 if chosen == ALL_STRATEGIES else chosen
        name, value = str(request.get("name")), request.get("value")
        if not isinstance(value, (int, float, bool)):
            raise ValueError(f"{name}: expected a number, found {value!r}")
        self.runner.set_parameter(number, name, value)
        return {"strategy": self.local.names[number], "parameters": self.view.parameters(number)}

    def _do_limit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        chosen = self._strategy(request)
        scope = len(self.local.names) if chosen == ALL_STRATEGIES else chosen
        self.runner.set_limit(scope, str(request.get("name")), request.get("value"))
        return {"scope": request.get("strategy") or "account", "name": request.get("name")}

    def _do_reload(self, request: Mapping[str, Any]) -> dict[str, Any]:
        chosen = self._strategy(request)
        if chosen == ALL_STRATEGIES:
            raise ValueError(f"strategy: say which of {', '.join(self.local.names)}")
        old = type(self.local.setups[chosen].strategy)
        file = str(request.get("file") or inspect.getsourcefile(old) or "")
        cls = load_class(Path(file), old.__qualname__, old.__module__)
        before = old.source_key()
        if cls.source_key() != before:
            self.runner.reload(chosen, cls)
        return {"strategy": self.local.names[chosen], "before": before, "code": cls.source_key()}

    def _do_beat(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.kill.beat(self.host.now())
        return {}

    def _do_stop(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.runner.stop(str(request.get("reason") or "asked to"), flatten=bool(request.get("flatten")))
        return {"phase": self.runner.phase.name.lower()}


def _session_number(directory: Path) -> int:
    """A number for client order ids that no session of this directory has had; begun at random, then counted."""
    path = directory / _IDENTITY
    try:
        found = json.loads(path.read_text("utf-8"))
        number = (int(found["session"]) + 1) % SESSIONS
    except FileNotFoundError:
        number = secrets.randbelow(SESSIONS)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); restore it, or remove it if no order is open") from error
    write_durable(path, json.dumps({"session": number}).encode())
    return number


def archive_old(directory: Path, keep: int = 10) -> list[Path]:
    """Compress the ended sessions of a state directory but for the newest; gives the archives made."""
    base = directory / "sessions"
    old = sorted(path for path in base.iterdir() if path.is_dir() and path.name.isdigit())[: -keep or None]
    return [archive_session(path) for path in old]


def _next_journal(directory: Path) -> tuple[Path, bool]:
    """Directory of the session that begins now, and whether it is the last one that goes on."""
    from nanotick.core.journal_segment import JournalError
    from nanotick.core.records import Kind
    from nanotick.engine.journaling import SessionMark
    from nanotick.engine.session_replay import last_record

    base = directory / "sessions"
    base.mkdir(mode=0o700, exist_ok=True)
    numbers = sorted(int(path.name.partition(".")[0]) for path in base.iterdir() if path.name[:1].isdigit())
    if numbers and (last := base / f"{numbers[-1]:04d}").is_dir():
        try:
            record = last_record(last)
        except JournalError:
            record = None  # died before its header was whole: nothing was ever sent
        if record is not None and (record["kind"][0] != Kind.SESSION or record["word"][0] != SessionMark.END):
            return last, True
    return base / f"{(numbers[-1] if numbers else 0) + 1:04d}", False
