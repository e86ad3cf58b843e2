"""What must be true before a session trades real money. Every point that is not stops it, with what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanotick.core.machine import OFF, Setting, settings
from nanotick.engine.kill import read_latch
from nanotick.risk.limits import RiskLimits
from nanotick.venues.clock import ClockState
from nanotick.venues.live import LiveSettings

_QUESTIONS, _ANSWER_S = 3, 5.0
LEAST_DISK = 2 << 30  # bytes: a busy day's journal and its snapshots
MUST_HAVE = (
    "max_position_share", "max_gross_exposure_share", "max_daily_loss_share", "max_drawdown_share",
    "max_orders_per_second", "max_order_value", "price_collar_share", "max_book_age_s",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One line of the checklist.

    Attributes
    ----------
    name : str
    ok : bool
    found : str
    todo : str
        What to do when it is not so.
    must : bool
        Whether it stops the session; otherwise it is advice.
    """

    name: str
    ok: bool
    found: str
    todo: str = ""
    must: bool = True


def checklist(asked: LiveSettings, machine: list[Setting] | None = None, clocks: Sequence[Point] = ()) -> list[Point]:
    """Look at everything that can be looked at on this machine.

    Parameters
    ----------
    machine : list of Setting, optional
        What `nanotick doctor` finds; looked up if not given.
    clocks : sequence of Point
        What the venues say of our clock (`venue_clocks`): where all of them find it good, a kernel that keeps it by
        other means than its own is no reason to stop.
    """
    measured = bool(clocks) and all(point.ok for point in clocks)
    points = [
        _limits(asked.limits, "account"),
        *(_limits(s.limits, s.name or s.strategy.name) for s in asked.setups if s.limits is not None),
        _kill(asked.directory),
        _private(asked.directory),
        _disk(asked.directory),
        _secure(asked),
        Point("strategies", bool(asked.setups), f"{len(asked.setups)}", "name one with --strategy"),
    ]
    for setting in machine if machine is not None else settings():
        if setting.name == "clock sync":
            todo = setting.command or "start chrony or systemd-timesyncd"
            points.append(Point(setting.name, setting.state != OFF, setting.found, todo, must=not measured))
    return [*points, *clocks]


def venue_clocks(asked: LiveSettings, host: Any) -> list[Point]:
    """Ask every venue for its time; a clock that is off is warned of, for orders are refused for it or come too late.

    Parameters
    ----------
    host : Sockets
    """
    points = []
    for spec in asked.accounts:
        if spec.paper is not None:
            continue
        trader = spec.package.load("trader")(
            host, asked.instruments, spec.package.table, 0, lambda number: None, lambda address, count: None,
            asked.trader, **spec.endpoints, **spec.keys,
        )  # fmt: skip
        if not trader.TIME:
            continue
        for _ in range(_QUESTIONS):
            if not _time_asked(trader, host):
                break
        clock, now = trader.clock, host.now()
        found, state = f"{clock.offset / 1e6:+,.1f} ms, ± {clock.error_at(now) / 1e6:,.1f}", clock.state(now)
        if state == ClockState.UNKNOWN:
            found = f"{trader.rest}{trader.TIME} has not answered"
        good = state in (ClockState.GOOD, ClockState.UNSURE)
        todo = "start chrony or systemd-timesyncd; within 50 ms is wanted"
        points.append(Point(f"clock of {trader.venue}", good, found, todo, must=False))
    return points


def _time_asked(trader: Any, host: Any) -> bool:
    """One question, its answer waited for; whether it came."""
    answers: list[int] = []
    waiting = True

    def told(sent: int, server: int, step: int) -> None:
        if waiting:
            answers.append(server)
            if server:
                trader.clock.sample(sent, host.now(), server, step)
            host.stop()

    trader.ask_time(told)
    host.run(_ANSWER_S)
    waiting = False
    return bool(answers and answers[0])


def refusals(points: list[Point]) -> str:
    """What stops the session, in words; empty when nothing does."""
    return "; ".join(f"{p.name}: {p.found} ({p.todo})" for p in points if p.must and not p.ok)


def _limits(limits: RiskLimits, whose: str) -> Point:
    missing = [name for name in MUST_HAVE if str(getattr(limits, name)) == "unlimited"]
    allowed = [name for name in ("self_trade", "crossed_book") if getattr(limits, name) != "refuse"]
    found = ", ".join([f"{name} unlimited" for name in missing] + [f"{name} allowed" for name in allowed])
    return Point(f"limits of {whose}", not found, found or "all set", "give each a number under `limits`")


def _kill(directory: Path) -> Point:
    latch = read_latch(directory)
    found = "not pulled" if latch is None else f"pulled: {latch.text or latch.reason or 'unknown'}"
    return Point("kill switch", latch is None, found, f"nanotick resume {directory} --operator NAME")


def _private(directory: Path) -> Point:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    good = found.st_uid == os.getuid() and not found.st_mode & 0o077
    return Point("state directory", good, f"mode {found.st_mode & 0o777:03o}", f"chmod 700 {directory}")


def _disk(directory: Path) -> Point:
    free = shutil.disk_usage(directory).free
    return Point("disk", free >= LEAST_DISK, f"{free / 2**30:.1f} GiB free", f"free {LEAST_DISK >> 30} GiB")


def _secure(asked: LiveSettings) -> Point:
    addresses = [url for feed in asked.feeds for url in feed.endpoints]
    addresses += [url for account in asked.accounts for url in account.endpoints.values()]
    plain = [url for url in addresses if url.startswith(("http://", "ws://"))]
    return Point("encryption", not plain, ", ".join(plain) or "TLS everywhere", "use https:// and wss:// addresses")


def shown(points: list[Point]) -> Any:
    """The checklist as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("", "before real money", "found", "what to do"):
        table.add_column(name)
    for point in points:
        mark = Text("ok", "green") if point.ok else Text("no", "bold red") if point.must else Text("hm", "yellow")
        table.add_row(mark, point.name, point.found, "" if point.ok else point.todo)
    return table
