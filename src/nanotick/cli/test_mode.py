"""`nanotick run --test`: a minute against the embedded exchange in which everything that must hold is tried.

    1/4 of the time   feed and account stream are cut, as a network that fails does it
    1/2               the kill switch is pulled; two seconds later its operator lifts it
    end               orders are cancelled, positions compared with the venue's, the journal replayed

The venues, the sockets, the protocols and the session are those of `nanotick run`; nothing is replaced.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nanotick.cli.live_config import LiveConfig
from nanotick.cli.run_session import INTERRUPTED, LiveRun, state_base
from nanotick.cli.test_judgement import FAIL, MARKS, PASS, WARN, Check, Facts, judge, passed
from nanotick.core.journal_segment import JournalError
from nanotick.core.records import KillReason, Kind, RejectReason
from nanotick.engine.kill import read_latch
from nanotick.venues.embedded import EmbeddedVenues
from nanotick.venues.feed import State
from nanotick.venues.live import LiveSession, LiveSettings
from nanotick.venues.runner import Phase
from nanotick.venues.working import TraderState

SECONDS = 60.0
TARGET_SHARE = 0.01  # of capital a day, when no target is given
_PROGRESS_S = 10.0
_KILLED_S = 2.0
_SHOWN = ("numa", "huge pages", "real-time class", "pinning", "locked memory", "cpu governor")
_SECOND = 1_000_000_000


class TestMode(LiveRun):
    """A run that is put to the test.

    Parameters
    ----------
    asked : LiveConfig
        Of an embedded mode.
    environment : mapping
    quiet : bool
        No progress; the checks are printed by `run` unless it writes JSON to standard output.
    target : float
        Profit of a day that is hoped for; 1 % of capital if 0.
    """

    __test__ = False  # no test of pytest's

    def __init__(self, asked: LiveConfig, environment: Mapping[str, str], quiet: bool, target: float = 0.0) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        asked = replace(
            asked, state=asked.state or str(state_base() / "test" / stamp),
            duration=SECONDS if asked.duration is None else asked.duration,
        )  # fmt: skip
        super().__init__(asked, environment, False, quiet, False)
        self.facts = Facts(target=target)
        self._cut: dict[str, Any] = {}
        self._kill: dict[str, Any] = {}
        self._venues: EmbeddedVenues | None = None
        self._most: dict[str, float] = {}
        self._down = self._looks = 0
        self._began = 0
        self._next_progress = _PROGRESS_S

    def _open_embedded(self) -> EmbeddedVenues:
        self._venues = super()._open_embedded()
        return self._venues

    def _settings(self, host: Any, venues: EmbeddedVenues | None) -> LiveSettings:
        return replace(super()._settings(host, venues), flatten=False)  # positions stay, to be compared

    # --- while it trades ----------------------------------------------------------------------------------------------

    def _trade(self, host: Any, session: LiveSession) -> None:
        self._look_at(host, session)
        super()._trade(host, session)

    def _trade_line(self, trade: dict[str, Any]) -> None:
        """Fills are counted, not listed."""

    def _line(self, session: LiveSession) -> None:
        """Progress has its own pace."""

    def _look_at(self, host: Any, session: LiveSession) -> None:
        if session.over:
            return
        if session.runner.phase == Phase.TRADING:
            now = host.now()
            self._began = self._began or now
            seconds = (now - self._began) / _SECOND
            self._sample(session)
            whole = float(self.asked.duration or SECONDS)
            self._try_cut(session, seconds, whole)
            self._try_kill(session, now, seconds, whole)
            if seconds >= self._next_progress:
                self._next_progress += _PROGRESS_S
                self._progress(session, seconds, whole)
        host.at(host.now() + 100_000_000, lambda: self._look_at(host, session))

    def _sample(self, session: LiveSession) -> None:
        self._looks += 1
        self._down += not _stands(session)
        account = session.status()["risk"]["rows"][-1] if self._looks % 5 == 0 else {"utilisation": {}}
        for name, share in account["utilisation"].items():
            self._most[name] = max(self._most.get(name, 0.0), share)
        self.facts.exposure_most = max(
            self.facts.exposure_most, session.view._account(len(session.local.names), "")["exposure"]
        )

    def _try_cut(self, session: LiveSession, seconds: float, whole: float) -> None:
        cut = self._cut
        feeds = [*session.runner.feeds, *(account.stream for account in session.runner.accounts.values())]  # type: ignore[attr-defined]
        if not cut and seconds >= whole / 4:
            for feed in feeds:
                feed.cut()
            cut.update(done=True, at=seconds, recovered_s=-1.0, reconnects=sum(feed.reconnects for feed in feeds))
        elif cut and cut["recovered_s"] < 0:
            again = sum(feed.reconnects for feed in feeds) >= cut["reconnects"] + len(feeds)
            if again and _stands(session):
                cut.update(recovered_s=seconds - cut["at"], messages=_messages(session))
        elif cut:
            cut["messages_after"] = _messages(session) - cut["messages"]

    def _try_kill(self, session: LiveSession, now: int, seconds: float, whole: float) -> None:
        kill, sent = self._kill, sum(session.view.orders)
        if not kill and seconds >= whole / 2:
            session.kill.trip(KillReason.API, "test mode")
            session.kill.poll(now)
            session.runner._drain()  # what was sent before counts as before
            kill.update(done=True, killed=session.kill.killed, at=seconds, cleared_s=-1.0, lifted=False,
                        latched=read_latch(self.directory) is not None, sent=sum(session.view.orders))  # fmt: skip
        elif kill and not kill["lifted"]:
            if kill["cleared_s"] < 0 and session.runner.open_orders == 0:
                kill["cleared_s"] = seconds - kill["at"]
            if seconds - kill["at"] >= _KILLED_S:
                kill.update(orders_while=sent - kill["sent"], sent=sent)
                session.kill.resume(now, "test mode")
                kill["lifted"] = not session.kill.killed and read_latch(self.directory) is None
        elif kill:
            kill["orders_after"] = sent - kill["sent"]

    def _progress(self, session: LiveSession, seconds: float, whole: float) -> None:
        total = session.view._account(len(session.local.names), "total")
        decided = session.latency.summary().get(session.local.instruments.venues[0], {}).get("decision", {})
        notes = ["feed cut and back" if self._cut.get("recovered_s", -1) >= 0 else "feed cut"] if self._cut else []
        notes += ["kill pulled and lifted" if self._kill.get("lifted") else "killed"] if self._kill else []
        self.say(
            f"{seconds:3.0f} of {whole:.0f} s  {session.runner.events:,} events  {total['orders']:,} orders  "
            f"{total['fills']:,} fills  P&L {total['pnl']:+,.2f}  decision {decided.get('mean', 0) / 1000:,.1f} us mean"
            + "".join(f"  {note}" for note in notes)
        )

    # --- after --------------------------------------------------------------------------------------------------------

    def _report(self, session: LiveSession, compiled: float, json_path: Path | None, html: Path | None) -> int:
        checks = self._judge(session, compiled)
        good = passed(checks)
        if json_path is not None:
            text = json.dumps({"passed": good, "checks": [asdict(check) for check in checks],
                               "facts": asdict(self.facts), "journal": str(session.journal)}, indent=1)  # fmt: skip
            if str(json_path) == "-":
                print(text)
            else:
                json_path.write_text(text + "\n", encoding="utf-8")
        if str(json_path) != "-":
            print(verdict(checks))
        return INTERRUPTED if self._interrupts else 0 if good else 1

    def _judge(self, session: LiveSession, compiled: float) -> list[Check]:
        from nanotick.core.machine import settings
        from nanotick.engine.session_replay import replay
        from nanotick.research.results import BacktestResult

        facts, total = self.facts, session.view._account(len(session.local.names), "total")
        result = BacktestResult(session.output(compiled))
        figures = result.statistics.total
        local = session.local
        facts.seconds = (session.session.now - self._began) / _SECOND if self._began else 0.0
        facts.phase, facts.interrupted = session.runner.phase.name.lower(), bool(self._interrupts)
        facts.events, facts.orders, facts.fills = session.runner.events, total["orders"], total["fills"]
        facts.rejected, facts.refused, facts.pnl = total["rejected"], total["refused"], total["pnl"]
        facts.signals, facts.fill_share = len(result.signals["ts"]), figures.fill_ratio
        facts.capital = total["equity"] - total["pnl"]
        facts.target = facts.target or TARGET_SHARE * facts.capital
        facts.latency, facts.utilisation = session.latency.summary(), self._most
        facts.cut, facts.kill = self._cut, self._kill
        facts.up_share = 1 - self._down / self._looks if self._looks else 0.0
        facts.positions = {
            item.symbol: local.portfolio.position(n) / 10**item.qty_decimals for n, item in enumerate(local.instruments)
        }
        facts.venue_positions = self._venue_positions()
        facts.working, facts.reasons = session.runner.open_orders, _reasons(session.journal)
        facts.breaks = session.runner.breaks()
        facts.machine = [(s.name, s.state, s.found) for s in settings() if s.name in _SHOWN]
        try:
            found = replay(session.journal)
            facts.replayed, ended = found.commands, "" if found.ended else "the session was not ended"
            facts.replay = str(found.difference) if found.difference is not None else ended
        except (ValueError, RuntimeError, OSError) as error:
            facts.replay = str(error)
        return judge(facts)

    def _venue_positions(self) -> dict[str, float] | None:
        """What the venue says that we hold; None when it does not answer."""
        venues = self._venues
        if venues is None:
            return None
        keys = {"APCA-API-KEY-ID": venues.key, "APCA-API-SECRET-KEY": venues.secret}
        request = urllib.request.Request(venues.address("alpaca") + "/v2/positions", headers=keys)
        try:
            with urllib.request.urlopen(request, timeout=5.0) as answer:
                rows = json.load(answer)
            return {row["symbol"]: _signed(row) for row in rows}
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _signed(row: Mapping[str, Any]) -> float:
    qty = float(row["qty"])
    return -abs(qty) if row.get("side") == "short" else qty


def _reasons(journal: Path) -> dict[str, int]:
    """Why the venue rejected new orders, counted."""
    from nanotick.core.journal_reader import JournalReader

    reader = JournalReader(journal)
    try:
        found: Counter[str] = Counter()
        for records in reader.batches():
            for word in records["word"][records["kind"] == int(Kind.REJECTED)]:
                found[RejectReason(int(word)).name] += 1
        return dict(found)
    except JournalError:
        return {}  # the replay says what is wrong with it
    finally:
        reader.close()


def _stands(session: LiveSession) -> bool:
    """Whether every feed is live and every account ready."""
    runner = session.runner
    return all(feed.state == State.LIVE for feed in runner.feeds) and all(
        account.state == TraderState.READY for account in runner.accounts.values()
    )


def _messages(session: LiveSession) -> int:
    return sum(int(feed.status()["messages"]) for feed in session.runner.feeds)


def verdict(checks: list[Check], width: Callable[[str], int] = len) -> str:
    """Every check on a line, and what they come to."""
    names = max(width(check.name) for check in checks)
    lines = [f"{MARKS[check.mark]} {check.name:<{names}}  {check.words}" for check in checks]
    count = {mark: sum(check.mark == mark for check in checks) for mark in (PASS, WARN, FAIL)}
    words = (
        "fit to trade against the embedded exchange"
        if passed(checks)
        else f"NOT fit: see the lines marked {MARKS[FAIL]}"
    )
    lines.append(f"\n{MARKS[PASS] if passed(checks) else MARKS[FAIL]} {words}  "
                 f"({count[PASS]} held, {count[WARN]} to be looked at, {count[FAIL]} broken)")  # fmt: skip
    return "\n".join(lines)
