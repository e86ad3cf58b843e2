"""One live run from its set-up to its report: what `nanotick run` does."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from nanotick.cli.checklist import checklist, refusals, shown, venue_clocks
from nanotick.cli.live_config import LOG_LEVELS, PROFILES, TIER_1, LiveConfig
from nanotick.cli.run_screen import RunScreen
from nanotick.core.instruments import InstrumentTable
from nanotick.core.log import Log
from nanotick.research import run_config as rc
from nanotick.risk.limits import RiskLimits
from nanotick.venues.collecting import collecting_between
from nanotick.venues.embedded import EmbeddedVenues
from nanotick.venues.limits import VENUES
from nanotick.venues.live import AccountSpec, FeedSpec, LiveSession, LiveSettings, archive_old
from nanotick.venues.registry import VenuePackage, package

MARKET = "us-equities"
BACKTEST_SECONDS = 60
INTERRUPTED = 130
_PLAIN_S = 5.0  # between lines without a terminal
_PATIENCE_S = 60.0  # until everything must stand
_LISTED_S = 30.0  # until a venue has said what it lists


class LiveRun:
    """Set-up, session, report.

    Parameters
    ----------
    asked : LiveConfig
    environment : mapping
        With the keys.
    live : bool, optional
        Draw the screen; by default if standard output is a terminal.
    quiet : bool
    backtest : bool
        One before the embedded exchange opens.
    """

    def __init__(
        self, asked: LiveConfig, environment: Mapping[str, str], live: bool | None, quiet: bool, backtest: bool
    ) -> None:
        self.asked, self.environment, self.quiet = asked, environment, quiet
        self.console = Console(stderr=True)
        self.live = (sys.stdout.isatty() and sys.stdin.isatty() if live is None else live) and not quiet
        self.backtest = backtest and asked.embedded
        self.profile = PROFILES[asked.mode]
        self.directory = Path(asked.state) if asked.state else default_state(asked.mode)
        self.session: LiveSession | None = None
        self._interrupts = 0
        self._next_line = 0.0
        self._screen: RunScreen | None = None
        self._unsaid: list[tuple[str, str]] = []

    def say(self, text: str, style: str = "") -> None:
        """A line for people; while the screen has the terminal, one for afterwards."""
        if self._screen is not None:
            self._unsaid.append((text, style))
        elif not self.quiet:
            self.console.print(Text(text, style=style), soft_wrap=True)

    # --- the parts ----------------------------------------------------------------------------------------------------

    def run(self, json_path: Path | None, html: Path | None) -> int:
        """Everything; gives the exit code."""
        from nanotick.venues.sockets import Sockets

        for note in self.asked.notes:
            self.say(note, "dim")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        remember(self.directory)
        log = Log(self.directory / "nanotick.log", LOG_LEVELS[self.asked.log_level])
        venues: EmbeddedVenues | None = None
        try:
            if self.asked.embedded:
                venues = self._open_embedded()
            with Sockets(spin=bool(self.profile["spin"]), log=log) as host:
                began = time.perf_counter()
                session = self._session(host, venues, log)
                self.session = session
                compiled = time.perf_counter() - began
                try:
                    self._trade(host, session)
                finally:
                    session.close()
                    self._end_screen()
            code = self._report(session, compiled, json_path, html)
            for path in archive_old(self.directory):
                self.say(f"archived {path}", "dim")
            return code
        finally:
            if venues is not None:
                venues.close()
            log.close()

    def _open_embedded(self) -> EmbeddedVenues:
        from nanotick.cli.progress import RunProgress

        record = self.directory / "market.nt" if self.backtest else None
        with RunProgress("opening the exchange", self.quiet) as progress:
            progress.waiting("compiling the market's kernels, once: about a minute on two cores")
            venues = EmbeddedVenues(
                MARKET, ("alpaca", "polygon"), (), self.asked.run.seed,
                record=record, record_seconds=BACKTEST_SECONDS,
            )  # fmt: skip
        self.say(f"embedded exchange: Alpaca at {venues.address('alpaca')}, Polygon at {venues.address('polygon')}")
        if record is not None:
            self._first_backtest(record)
        return venues

    def _first_backtest(self, record: Path) -> None:
        from nanotick.cli.progress import RunProgress, cold_sentence
        from nanotick.research.backtest import backtest

        with RunProgress("backtest", self.quiet) as progress:
            progress.waiting(cold_sentence("run_replay"))
            result = backtest(
                record, rc.build_setups(self.asked.run), symbols=self.asked.run.symbols, cash=self.asked.run.cash,
                limits=rc.build_limits(self.asked.run.limits), venue=rc.build_venue(self.asked.run),
            )  # fmt: skip
        figures = result.statistics
        self.say(
            f"backtest of {BACKTEST_SECONDS} s of this market: {result.output.counters.events:,} events, "
            f"{result.statistics.total.fills:,} fills, P&L {figures.total.net:+,.2f}",
        )

    def _session(self, host: Any, venues: EmbeddedVenues | None, log: Log) -> LiveSession:
        from nanotick.cli.progress import RunProgress, cold_sentence

        settings = self._settings(host, venues)
        if self.asked.mode == "live":
            self._check(settings, host)
        with RunProgress("starting the session", self.quiet) as progress:
            progress.waiting(cold_sentence("run_events"))
            session = LiveSession(host, settings, log)
        for note in session.notes:
            self.say(note, "yellow")
        if session.resumed:
            self.say(f"goes on with the session in {session.journal}: it was not ended", "yellow")
        return session

    def _check(self, settings: LiveSettings, host: Any) -> None:
        """The list of what must be true before real money is traded; raises if something is not."""
        points = checklist(settings, clocks=venue_clocks(settings, host))
        if not self.quiet:
            self.console.print(shown(points))
        if words := refusals(points):
            raise rc.RunConfigError(f"not traded for real: {words}")

    def _settings(self, host: Any, venues: EmbeddedVenues | None) -> LiveSettings:
        asked, run = self.asked, self.asked.run
        names = asked.venues or (("alpaca",) if asked.embedded else ())
        if not names:
            raise rc.RunConfigError("no venue: give --venue NAME; `nanotick venue list` names them")
        packages = [package(name) for name in names]
        table = self._instruments(packages, host)
        setups = rc.build_setups(run)(table)
        mode = asked.mode
        duration = asked.duration if asked.duration is not None else float(self.profile["duration"])
        from nanotick.research.backtest import code_hash_of

        return LiveSettings(
            directory=self.directory, instruments=table, setups=setups,
            feeds=self._feeds(packages, venues), accounts=[self._account(p, venues) for p in packages],
            limits=rc.build_limits(run.limits) or RiskLimits(), trader=asked.orders, mode=mode, duration=duration,
            flatten=asked.flatten or asked.embedded, heartbeat=asked.heartbeat, currency=run.currency, rates=run.rates,
            time_zone=run.time_zone or "America/New_York", sample_interval_ns=int(run.sample_interval * 1e9),
            seed=run.seed, config=run.as_dict(), code_hash=code_hash_of(list(setups)),
            threading=asked.threading, cores=asked.cores,
        )  # fmt: skip

    def _instruments(self, packages: list[VenuePackage], host: Any) -> InstrumentTable:
        symbols = self.asked.run.symbols or (TIER_1 if self.asked.embedded else ())
        if not symbols:
            raise rc.RunConfigError("no symbols: give --symbols A,B")
        items = []
        for each in packages:
            if each.instrument is None:
                items += self._listed(each, host, symbols)
            else:
                items += [each.instrument(symbol) for symbol in symbols]
        return InstrumentTable(items)

    def _listed(self, source: VenuePackage, host: Any, symbols: Sequence[str]) -> list[Any]:
        """Instruments as the venue lists them."""
        kind = "live" if self.asked.mode in ("live", "shadow") else "paper"
        rest = self.asked.endpoints.get(f"{source.name}.rest", _endpoints(source, kind)["rest"])
        answers: list[tuple[Any, str]] = []

        def done(found: Any, why: str) -> None:
            answers.append((found, why))
            host.stop()

        source.load("listed")(host, rest, symbols, done)
        host.run(_LISTED_S)
        found, why = answers[0] if answers else (None, f"{rest}: no answer in {_LISTED_S:g} s")
        if found is None:
            raise rc.RunConfigError(f"{source.name}: {why}")
        return [found[symbol][0] for symbol in symbols]

    def _feeds(self, packages: list[VenuePackage], venues: EmbeddedVenues | None) -> list[FeedSpec]:
        names = self.asked.feeds or (("polygon",) if self.asked.embedded else tuple(p.name for p in packages))
        found = []
        for name in names:
            source = package(name)
            venue = next((p.table for p in packages if p.name == name), packages[0].table)
            kind = "embedded" if venues is not None else "paper"
            if venues is None and (self.asked.mode == "live" or any(self._fills_here(p) for p in packages)):
                kind = "live"  # real prices, whoever fills
            if venues is not None:
                url = venues.address(name, "ws") + source.paths.get("data", "")
                keys = source.keys("feed", {}, {"key": venues.key, "secret": venues.secret})
            else:
                url = self.asked.endpoints.get(f"{name}.data") or _endpoints(source, kind)["data"]
                keys = source.keys("feed", self.environment)
            urls = tuple(part.strip() for part in url.split(","))
            found.append(FeedSpec(source, venue, urls, {**keys, **source.feed_settings.get(kind, {})}))
        return found

    def _fills_here(self, source: VenuePackage) -> bool:
        """Whether nothing is sent to a venue: in the shadow, and on paper without a paper account."""
        if self.asked.mode == "shadow":
            return True
        if self.asked.mode != "paper":
            return False
        keys = [any(self.environment.get(name) for name in names) for names in source.trader_keys.values()]
        return "paper" not in source.endpoints or (not source.feed_keys and not all(keys))

    def _account(self, source: VenuePackage, venues: EmbeddedVenues | None) -> AccountSpec:
        if venues is not None:
            keys = source.keys("trader", {}, {"key": venues.key, "secret": venues.secret})
            address = venues.address(source.name)
            stream = venues.address(source.name, "ws") + source.paths["stream"]
            return AccountSpec(source, {"rest": address + source.paths["rest"], "stream": stream}, keys)
        mode = self.asked.mode
        if self._fills_here(source):
            if mode == "paper":
                self.say(
                    f"{source.name}: no keys of a paper account: fills are simulated here, on live prices", "yellow"
                )
            return AccountSpec(source, paper=rc.build_venue(self.asked.run))
        endpoints = dict(source.endpoints[mode])
        endpoints.pop("data", None)
        for name in endpoints:
            endpoints[name] = self.asked.endpoints.get(f"{source.name}.{name}", endpoints[name])
        return AccountSpec(source, endpoints, source.keys("trader", self.environment), limited=source.name in VENUES)

    # --- trading ------------------------------------------------------------------------------------------------------

    def _trade(self, host: Any, session: LiveSession) -> None:
        session.kill.catch({signal.SIGUSR1: "kill", signal.SIGTERM: "stop", signal.SIGHUP: "stop"})
        before = signal.signal(signal.SIGINT, lambda number, frame: self._interrupted())
        deadline = time.monotonic() + _PATIENCE_S
        if self.live:
            self._screen = RunScreen(self.directory)
        elif not self.quiet:
            session.on_trade = self._trade_line
        try:
            session.start()
            self._watch(host, session, deadline)
            with collecting_between(host):
                host.run()
        finally:
            signal.signal(signal.SIGINT, before)

    def _watch(self, host: Any, session: LiveSession, deadline: float) -> None:
        from nanotick.venues.runner import Phase

        if session.over:
            host.stop()
            return
        if self._interrupts:
            session.stop("Ctrl-C")
        if self._screen is not None and not self._screen.alive:
            self._end_screen()
            self.say("the session goes on: `nanotick top` shows it again, Ctrl-C ends it")
            session.on_trade = self._trade_line
        if session.runner.phase == Phase.CONNECTING and time.monotonic() > deadline:
            waiting = [f"{s['venue']} {s['protocol']}: {s['state']} {s.get('error') or s.get('reason') or ''}".strip()
                       for s in (*session.runner.status()["feeds"], *session.runner.status()["accounts"])]  # fmt: skip
            self.say(f"not connected after {_PATIENCE_S:.0f} s: {'; '.join(waiting)}", "red")
            deadline = time.monotonic() + _PATIENCE_S
        if not self.quiet and not self.live and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _PLAIN_S
            self._line(session)
        host.at(host.now() + 50_000_000, lambda: self._watch(host, session, deadline))

    def _end_screen(self) -> None:
        """The terminal is ours again."""
        if self._screen is None:
            return
        self._screen.close()
        self._screen, self.live = None, False
        for text, style in self._unsaid:
            self.say(text, style)
        self._unsaid.clear()

    def _interrupted(self) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            raise KeyboardInterrupt

    def _line(self, session: LiveSession) -> None:
        total = session.view.profit(len(session.local.names))
        orders, fills = sum(session.view.orders), sum(session.view.fills)
        running = (session.host.now() - session.started_ns) / 1e9
        _print_later(
            f"{running:6.1f} s  {session.runner.phase.name.lower()}  {session.runner.events:,} events  "
            f"{orders:,} orders  {fills:,} fills  P&L {total:+,.2f}"
        )

    def _trade_line(self, trade: dict[str, Any]) -> None:
        from nanotick.terminal.screen import clock

        wins = "+" if trade["pnl"] >= 0 else "-"
        _print_later(
            f"{clock(trade['ts'])} {trade['symbol']:6} {trade['side']:4} {trade['qty']:>10,g} "
            f"{trade['price']:>12,.{trade['decimals']}f}  {wins} P&L {trade['pnl']:+,.2f}  {trade['venue']}  "
            f"{trade['strategy']}"
        )

    # --- after --------------------------------------------------------------------------------------------------------

    def _report(self, session: LiveSession, compiled: float, json_path: Path | None, html: Path | None) -> int:
        from nanotick.cli.backtest import show
        from nanotick.research.results import BacktestResult

        result = BacktestResult(session.output(compiled))
        target = html or (self.directory / "report.html" if self.asked.embedded and not json_path else None)
        show(result, json_path, target, f"{self.asked.mode} session, {', '.join(session.local.instruments.venues)}")
        if session.runner.phase.name == "FAILED" or session.runner.breaks():
            for words in session.runner.breaks():
                self.say(words, "red")
            return 1
        for account in session.runner.accounts.values():
            words = account.status()["refusal"]
            if words:
                self.say(f"orders were refused here, unsent; the last: {words}", "yellow")
        if not self.quiet:
            self.say(f"journal: {session.journal}; `nanotick replay {session.journal} --verify` repeats it", "dim")
        return INTERRUPTED if self._interrupts else 0


_lines: list[str] = []
_wake = threading.Event()
_thread: threading.Thread | None = None


def _endpoints(source: VenuePackage, kind: str) -> Mapping[str, str]:
    """Addresses of a kind of account; of the live one where the venue has no other."""
    return source.endpoints.get(kind) or source.endpoints["live"]


def _print_later(line: str) -> None:
    """Print from another thread: a terminal that stalls holds nobody up; lines beyond 1,000 are left out."""
    global _thread
    if len(_lines) < 1000:
        _lines.append(line)
    if _thread is None:
        _thread = threading.Thread(target=_printer, daemon=True)
        _thread.start()
    _wake.set()


def _printer() -> None:
    while True:
        _wake.wait()
        _wake.clear()
        while _lines:
            print(_lines.pop(0), file=sys.stderr, flush=True)


def state_base() -> Path:
    """Folder of state directories that nobody named."""
    from platformdirs import user_state_path

    return user_state_path("nanotick")


def default_state(mode: str) -> Path:
    """State directory of a mode."""
    return state_base() / mode


def remember(directory: Path) -> None:
    """Which state directory `nanotick status` means when none is named."""
    base = state_base()
    base.mkdir(parents=True, exist_ok=True)
    (base / "last").write_text(str(directory.resolve()), encoding="utf-8")


def last_state() -> Path:
    """The state directory used last.

    Raises
    ------
    ValueError
        There is none.
    """
    try:
        return Path((state_base() / "last").read_text("utf-8").strip())
    except OSError:
        raise ValueError("no session has been run here: name its state directory") from None
