"""What `nanotick run --test` makes of a session: facts in, checks out, and nothing that touches a session.

A check passes (it held), fails (it is broken) or warns: not as it should be, but no reason to refuse, as a slow
machine, a feature that is not there, a loss in a market of a minute. The verdict is that none fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PASS, FAIL, WARN = "pass", "fail", "warn"
MARKS = {PASS: "\u2705", FAIL: "\u274c", WARN: "\u26a0\ufe0f "}  # check mark, cross, warning sign
TRADING_DAY_S = 6.5 * 3600

# ns: mean times that a stage should keep; one that does not is a warning, for it says as much of the machine's load
BUDGETS = {"decision": 15_800.0, "send": 100_000.0}
REJECTED_SOME, REJECTED_MOST = 0.05, 0.50
API_CALL_NS = 100_000.0
CUT_PATIENCE_S, CUT_MOST_S = 10.0, 30.0  # later than the first is worth a look, than the second is broken
KILL_PATIENCE_S, KILL_MOST_S = 3.0, 10.0


@dataclass
class Facts:
    """What a test session was seen to do.

    Attributes
    ----------
    seconds : float
        Of trading.
    latency : mapping
        As `Latencies.summary`.
    utilisation : mapping of str to float
        Greatest share of each of the account's limits that was ever used.
    cut : mapping
        `done` (the connections were cut), `recovered_s` (until feed and account stood again; negative: never),
        `messages_after`.
    kill : mapping
        `done`, `killed`, `latched`, `cleared_s` (until no order worked; negative: never), `orders_while` (sent while
        killed), `lifted`, `orders_after`.
    positions, venue_positions : mapping of str to float
        At the end, ours and the venue's.
    replay : str
        What the journal's replay found to differ; empty when nothing; None when it was not replayed.
    """

    seconds: float = 0.0
    phase: str = ""
    events: int = 0
    signals: int = 0
    orders: int = 0
    fills: int = 0
    fill_share: float = 0.0
    rejected: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)  # of rejections, by name
    working: int = 0  # orders at the end
    refused: int = 0
    pnl: float = 0.0
    capital: float = 0.0
    exposure_most: float = 0.0
    target: float = 0.0
    learning: Sequence[Any] = ()
    latency: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    utilisation: Mapping[str, float] = field(default_factory=dict)
    cut: Mapping[str, Any] = field(default_factory=dict)
    kill: Mapping[str, Any] = field(default_factory=dict)
    up_share: float = 0.0
    positions: Mapping[str, float] = field(default_factory=dict)
    venue_positions: Mapping[str, float] | None = None
    breaks: Sequence[str] = ()
    replay: str | None = None
    replayed: int = 0
    machine: Sequence[tuple[str, str, str]] = ()  # name, state, found
    interrupted: bool = False


@dataclass(frozen=True)
class Check:
    """One line of the verdict."""

    name: str
    mark: str
    words: str


def judge(facts: Facts) -> list[Check]:
    """Every check of a session."""
    return [
        *_trading(facts), *_latency(facts), *_money(facts), *_risk(facts), *_recovery(facts), *_books(facts),
        *_machine(facts),
    ]  # fmt: skip


def passed(checks: Sequence[Check]) -> bool:
    """The verdict."""
    return bool(checks) and all(check.mark != FAIL for check in checks)


def _check(name: str, good: bool, words: str, otherwise: str = FAIL) -> Check:
    return Check(name, PASS if good else otherwise, words)


def _trading(f: Facts) -> list[Check]:
    ended = "by Ctrl-C" if f.interrupted else f"as {f.phase or 'nothing'}"
    found = [
        _check("session", f.phase == "stopped" and not f.interrupted and f.seconds > 0,
               f"{f.seconds:.0f} s of trading, ended {ended}"),
        _check("market data", f.events > 0, f"{f.events:,} events, {f.events / max(f.seconds, 1e-9):,.0f} a second"),
        Check("signals", PASS if f.signals else WARN,
              f"{f.signals:,} recorded" if f.signals else "these strategies record none; they decide from the book"),
        _check("orders", f.orders > 0,
               f"{f.orders:,} sent, {f.rejected:,} rejected by the venue, {f.refused:,} refused by risk"),
        _check("fills", f.fills > 0, f"{f.fills:,} fills; {f.fill_share:.1%} of the quantity sent"),
    ]  # fmt: skip
    if f.orders:
        share, most = f.rejected / f.orders, max(f.reasons, key=lambda name: f.reasons[name], default="")
        words = (
            f"{share:.1%} of new orders; more than {REJECTED_SOME:.0%} deserve a look, {REJECTED_MOST:.0%} is broken"
        )
        words += f"; mostly {most.replace('_', ' ').lower()}" if most else ""
        mark = PASS if share <= REJECTED_SOME else WARN if share < REJECTED_MOST else FAIL
        found.append(Check("rejections", mark, words))
    if f.learning:
        found.append(Check("learning", PASS, f"{len(f.learning)} learners updated"))
    else:
        found.append(Check("learning", WARN, "not there yet: no strategy of this session learns"))
    return found


def _us(ns: float) -> str:
    return f"{ns / 1000:,.1f} us"


def _latency(f: Facts) -> list[Check]:
    found = []
    for venue, stages in f.latency.items():
        for stage, row in stages.items():
            mean = float(row["mean"])
            words = f"mean {_us(mean)}, p50 {_us(row['p50'])}, p99 {_us(row['p99'])} of {row['count']:,}"
            name = f"latency {venue} {stage}"
            budget = BUDGETS.get(stage)
            if budget is not None:
                found.append(_check(name, mean <= budget, f"{words}; budget {_us(budget)} mean", WARN))
            elif stage == "ack":
                words += (
                    f"; {_us(API_CALL_NS)} with the API call is not reachable over REST: this is a whole HTTP request"
                )
                found.append(Check(name, PASS if row["p50"] <= API_CALL_NS else WARN, words))
            else:
                found.append(Check(name, PASS, words + "; no budget: the market decides it"))
    measured = {stage for stages in f.latency.values() for stage in stages}
    missing = [stage for stage in ("decision", "send", "ack") if stage not in measured]
    if missing:
        found.append(Check("latency", FAIL, f"never measured: {', '.join(missing)}"))
    return found


def _money(f: Facts) -> list[Check]:
    day = f.pnl / f.seconds * TRADING_DAY_S if f.seconds > 0 else 0.0
    use = f.exposure_most / f.capital if f.capital > 0 else 0.0
    return [
        _check("P&L", f.pnl >= 0, f"{f.pnl:+,.2f} on {f.capital:,.0f}", WARN),
        _check("capital use", 0 < use, f"at most {f.exposure_most:,.0f} at work, {use:.1%} of capital", WARN),
        _check("daily target", day >= f.target,
               f"at this rate {day:+,.0f} a day, target {f.target:,.0f}; a minute says little about a day", WARN),
    ]  # fmt: skip


def _risk(f: Facts) -> list[Check]:
    over = {name: share for name, share in f.utilisation.items() if share > 1.0}
    most = max(f.utilisation, key=lambda name: f.utilisation[name], default="")
    if not f.utilisation:
        limits = Check("limits", FAIL, "risk told nothing of its limits")
    elif over:
        limits = Check("limits", FAIL, "; ".join(f"{name} at {share:.0%}" for name, share in over.items()))
    else:
        limits = Check("limits", PASS, f"none exceeded; the nearest was {most.replace('_', ' ')} at "
                       f"{f.utilisation[most]:.0%}")  # fmt: skip
    k = f.kill
    if not k.get("done"):
        return [limits, Check("kill switch", FAIL, "was never pulled: the session was too short")]
    cleared = float(k.get("cleared_s", -1))
    return [
        limits,
        _check("kill switch", bool(k.get("killed")), "pulled: the engine is killed" if k.get("killed") else
               "pulled, and the engine went on"),
        _check("kill latch", bool(k.get("latched")), "kept in the state directory: a restart would start killed"
               if k.get("latched") else "nothing in the state directory: a restart would trade"),
        _check("kill cancels", 0 <= cleared <= KILL_PATIENCE_S,
               f"no order worked after {cleared:.2f} s; {KILL_PATIENCE_S:.0f} s is asked" if cleared >= 0 else
               "orders went on working", WARN if 0 <= cleared <= KILL_MOST_S else FAIL),
        _check("kill refuses", k.get("orders_while", 1) == 0, f"{k.get('orders_while', 1)} orders sent while killed"),
        _check("kill lifted", bool(k.get("lifted")) and k.get("orders_after", 0) > 0,
               f"by its operator; {k.get('orders_after', 0):,} orders since"),
    ]  # fmt: skip


def _recovery(f: Facts) -> list[Check]:
    cut = f.cut
    if not cut.get("done"):
        return [Check("reconnection", FAIL, "the connections were never cut: the session was too short")]
    took = float(cut.get("recovered_s", -1))
    after = cut.get("messages_after", 0) > 0
    good = 0 <= took <= CUT_PATIENCE_S and after
    words = (
        f"feed and account stream cut, live again after {took:.2f} s, {cut.get('messages_after', 0):,} messages since"
        if took >= 0
        else "feed and account stream cut, and never live again"
    )
    return [
        _check("reconnection", good, words, WARN if after and 0 <= took <= CUT_MOST_S else FAIL),
        _check("uptime", f.up_share >= 0.995, f"{f.up_share:.2%} of the time, the cut included; 99.5% is asked", WARN),
    ]


def _books(f: Facts) -> list[Check]:
    found = []
    ours = {symbol: qty for symbol, qty in f.positions.items() if qty}
    if f.venue_positions is None:
        found.append(Check("positions", FAIL, "the venue did not tell its positions"))
    else:
        theirs = {symbol: qty for symbol, qty in f.venue_positions.items() if qty}
        differ = sorted(s for s in ours.keys() | theirs.keys() if ours.get(s, 0) != theirs.get(s, 0))
        words = f"{len(ours)} held, each equal to the venue's" if not differ else "; ".join(
            f"{s}: {ours.get(s, 0):+g} here, {theirs.get(s, 0):+g} there" for s in differ
        )  # fmt: skip
        found.append(_check("positions", not differ, words))
    found.append(_check("orders left", f.working == 0, f"{f.working} still work at the venue" if f.working else "none"))
    found.append(_check("reconciliation", not f.breaks, "no break" if not f.breaks else "; ".join(f.breaks)))
    if f.replay is None:
        found.append(Check("journal", FAIL, "was not replayed"))
    else:
        good = not f.replay and f.replayed > 0
        words = f.replay or f"replayed: {f.replayed:,} commands, every one the same"
        found.append(_check("journal", good, words))
    return found


def _machine(f: Facts) -> list[Check]:
    return [Check(f"machine: {name}", PASS if state == "on" else WARN, f"{state}, {found}") for name, state, found in
            f.machine]  # fmt: skip
