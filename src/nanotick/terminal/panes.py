"""What each pane of the live terminal shows, as Rich renderables made from a session's status and the room there is.

A pane is a function of (status, width, height): no widget, no state, so that each is tested with a dict. The status is
that of `LiveSession.status`, as it comes through the control socket.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from nanotick.terminal.screen import (
    clock,
    connections_table,
    money,
    orders_table,
    price_text,
    strategies_table,
)

LOG_STYLES = {"debug": "dim", "info": "", "warning": "yellow", "error": "red", "critical": "bold red"}
_LATE = {"decision": 100e3, "send": 1e6, "ack": 50e6, "fill": 1e9}  # ns at p99 that deserve a look

Status = Mapping[str, Any]
Pane = Callable[[Status, int, int], RenderableType]


def bar(share: float, width: int, style: str = "") -> Text:
    """A bar that is full at 1, green, yellow from half and red from nine tenths on unless a style is given."""
    share = min(1.0, max(0.0, share))
    style = style or ("red" if share >= 0.9 else "yellow" if share >= 0.5 else "green")
    full = min(width, round(share * width))
    if share > 0:
        full = max(1, full)
    return Text.assemble(("━" * full, style), ("━" * (width - full), "grey30"))


def duration(ns: float) -> str:
    """A time in its natural unit.

    >>> [duration(n) for n in (850, 12_340, 1_250_000, 2_500_000_000)]
    ['850 ns', '12.3 us', '1.25 ms', '2.50 s']
    """
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            value = ns / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return f"{ns:.0f} ns"


def span(seconds: float) -> str:
    """Minutes and seconds, with hours when there are any."""
    whole = int(max(0.0, seconds))
    minutes = f"{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 3600}:{minutes}" if whole >= 3600 else minutes


def header(seen: Status, width: int) -> Group:
    """Mode, phase, time and symbols; then what has come of it."""
    ran = (seen["now"] - seen["started"]) / 1e9 if seen["started"] else 0.0
    asked = float(seen.get("duration") or 0)
    phase = seen["phase"]
    style = {"trading": "bold green", "failed": "bold red"}.get(phase, "bold yellow")
    paused = [row["name"] for row in seen["strategies"] if row["paused"]]
    first = Text.assemble((f" {seen['mode']} ", "bold reverse"), " ", (phase, style), "  ")
    if paused:
        every = len(paused) == len(seen["strategies"])
        first.append(f"paused{'' if every else ': ' + ', '.join(paused)}  ", "bold yellow")
    if asked:
        first.append(f"{span(ran)} of {span(asked)} ")
        first.append_text(bar(ran / asked, 12, "cyan"))
    else:
        first.append(span(ran))
    names = [name for name, _ in seen["instruments"]]
    stamp = f"{clock(seen['now'])} UTC "
    room = width - first.cell_len - len(stamp) - 4
    while len(names) > 1 and len(" ".join(names)) + 5 > room:
        names.pop()
    more = len(seen["instruments"]) - len(names)
    first.append("  " + " ".join(names) + (f" +{more}" if more else ""), "cyan")
    first = _ends(first, stamp, width)
    total = seen["total"]
    wins, losses = total["wins"], total["losses"]
    score = int(seen["risk"].get("score", 0))
    second = Text.assemble(" P&L ", money(total["pnl"]), "  ", (f"{wins:,} won", "green"), " ",
                           (f"{losses:,} lost", "red"), f"  {total['fills']:,} fills of {total['orders']:,} orders, "
                           f"{seen['open_orders']:,} open")  # fmt: skip
    if width >= 100:
        second.append(f"  {seen['events']:,} events", "dim")
    second.truncate(max(1, width - 16), overflow="ellipsis")
    return Group(first, _ends(second, Text.assemble("risk ", bar(score / 100, 6), f" {score:>3} "), width))


def _ends(left: Text, right: Text | str, width: int) -> Text:
    right = Text(right, "dim") if isinstance(right, str) else right
    left.truncate(max(1, width - right.cell_len), overflow="ellipsis")
    return Text.assemble(left, " " * max(0, width - left.cell_len - right.cell_len), right, no_wrap=True)


def trades(seen: Status, width: int, height: int) -> RenderableType:
    """The last fills, newest first: time, symbol, side, quantity, price, profit, total, venue, strategy."""
    found = seen["trades"][::-1][: max(1, height - 1)]
    if not found:
        return Text("no fill yet", "dim")
    table = _table(collapse=width < 76)
    table.add_column("time", no_wrap=True)
    for name, side in (("symbol", "left"), ("", "left"), ("qty", "right"), ("price", "right"),
                       ("P&L", "right"), ("total", "right")):  # fmt: skip
        table.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
    with_venue = len({trade["venue"] for trade in found}) > 1 or width >= 76
    with_strategy = width >= 84
    for name, shown in (("venue", with_venue), ("strategy", with_strategy)):
        if shown:
            table.add_column(name, no_wrap=True, style="dim")
    short = with_venue and width < 64
    for trade in found:
        row: list[Any] = [
            Text(clock(trade["ts"]), "dim"), trade["symbol"], _side(trade["side"], short), f"{trade['qty']:,g}",
            price_text(trade["price"], trade["decimals"]), money(trade.get("profit", 0.0)),
            money(trade.get("total", trade["pnl"])),
        ]  # fmt: skip
        row += [trade["venue"]] * with_venue + [trade["strategy"]] * with_strategy
        table.add_row(*row)
    return table


def _table(collapse: bool = False) -> Table:
    return Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False, collapse_padding=collapse)


def _side(side: str, short: bool = False) -> Text:
    return Text(side[0] if short else side, "cyan" if side == "buy" else "magenta")


def ladder(seen: Status, width: int, height: int) -> RenderableType:
    """Levels of one book, asks above bids, and what of them is ours beside them."""
    book = seen["ladder"]
    decimals = book["decimals"]
    own: dict[tuple[str, float], float] = {}
    for side, price, qty in book["own"]:
        own[side, price] = own.get((side, price), 0.0) + qty
    levels = max(1, (height - 1) // 2)
    asks, bids = book["asks"][:levels], book["bids"][:levels]
    if not asks and not bids:
        return Text("no book yet", "dim")
    most = max([qty for _, qty in (*asks, *bids)], default=1.0) or 1.0
    room = max(0, min(14, width - 34))
    table = _table(collapse=width < 34)
    for name in ("own", "bid", "price", "ask"):
        table.add_column(name, justify="right" if name in ("bid", "price") else "left", no_wrap=True, min_width=4)
    if room:
        table.add_column("", no_wrap=True)
    for side, level in [("sell", x) for x in asks[::-1]] + [("buy", x) for x in bids]:
        price, qty = level
        mine = own.get((side, price), 0.0)
        mark = Text(f"{mine:,g}" if mine else "", "bold yellow")
        text = Text(price_text(price, decimals), "bold yellow" if mine else "")
        amount = Text(f"{qty:,g}", "green" if side == "buy" else "red")
        size = [bar(qty / most, room, "green" if side == "buy" else "red")] if room else []
        table.add_row(mark, amount if side == "buy" else "", text, "" if side == "buy" else amount, *size)
    return table


def strategies(seen: Status, width: int, height: int) -> RenderableType:
    """One row a strategy, and all together."""
    marked = [{**row, "name": row["name"] + " (paused)" * row["paused"]} for row in seen["strategies"]]
    return strategies_table({**seen, "strategies": marked})


def positions(seen: Status, width: int, height: int) -> RenderableType:
    """Open positions of every strategy, largest first."""
    if not seen["positions"]:
        return Text("flat", "dim")
    table = _table(collapse=width < 60)
    for name in ("symbol", "qty", "average", "mark", "open P&L"):
        table.add_column(name, justify="left" if name == "symbol" else "right", no_wrap=True)
    table.add_column("strategy", no_wrap=True, style="dim", overflow="ellipsis")
    for row in seen["positions"]:
        table.add_row(
            row["symbol"], f"{row['qty']:+,g}", price_text(row["average"], row["decimals"]),
            price_text(row["mark"], row["decimals"]), money(row["unrealised"]), row["strategy"],
        )  # fmt: skip
    return table


def orders(seen: Status, width: int, height: int) -> RenderableType:
    """Working orders, newest first."""
    return orders_table(seen["orders"]) if seen["orders"] else Text("no working order", "dim")


def latency(seen: Status, width: int, height: int) -> RenderableType:
    """Percentiles of every venue and stage."""
    if not seen["latency"]:
        return Text("nothing measured yet", "dim")
    table = _table(collapse=width < 60)
    table.add_column("stage", no_wrap=True)
    shown = [("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max")]
    for name in ("count", *(name for name, _ in shown)):
        table.add_column(name, justify="right", no_wrap=True)
    for venue, stages in seen["latency"].items():
        if len(seen["latency"]) > 1:
            table.add_row(Text(venue, "dim"))
        for stage, row in stages.items():
            late = row["p99"] > _LATE.get(stage, 1e12)
            times = [Text(duration(row[key]), "yellow" if late and key == "p99" else "") for _, key in shown]
            table.add_row(stage, f"{row['count']:,}", *times)
    return table


def risk(seen: Status, width: int, height: int) -> RenderableType:
    """How much of each limit is used: of the account, and the tightest of each strategy."""
    found = seen["risk"]
    if not found.get("rows"):
        return Text("risk tells nothing", "dim")
    table = _table(collapse=width < 60)
    for name in ("limit", "used", ""):
        table.add_column(name, no_wrap=True)
    room = max(6, min(24, width - 44))
    account = found["rows"][-1]
    for name, share in sorted(account["utilisation"].items(), key=lambda item: -item[1]):
        table.add_row(name.replace("_", " "), bar(share, room), f"{share:>4.0%}")
    for row in found["rows"][:-1]:
        words = f"breaker: {row['breaker']}" if row["breaker"] else "paused" if row["paused"] else ""
        if words:
            table.add_row(Text(row["name"], "dim"), Text(words, "red" if row["breaker"] else "yellow"), "")
        elif row["tightest"]:
            share = row["utilisation"][row["tightest"]]
            what = f"{share:>4.0%} {row['tightest'].replace('_', ' ')}"
            table.add_row(Text(row["name"], "dim"), bar(share, room), what)
    halted = [item["symbol"] for item in found.get("instruments", ()) if item["paused_ns"] or item["silent"]]
    if halted:
        table.add_row("paused here", Text(" ".join(halted), "yellow"), "")
    return table


def learning(seen: Status, width: int, height: int) -> RenderableType:
    """What strategies learn as they trade."""
    rows = list(seen.get("learning") or ())
    if not rows:
        return Text("no strategy of this session learns", "dim")
    table = _table()
    for name in rows[0]:
        table.add_column(str(name).replace("_", " "), no_wrap=True)
    for row in rows:
        table.add_row(*(f"{value:,.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    return table


def connections(seen: Status, width: int, height: int) -> RenderableType:
    """Feeds and accounts, and what troubles them."""
    return connections_table(dict(seen))


def log(seen: Status, width: int, height: int) -> RenderableType:
    """The end of the session's log, newest last."""
    lines = seen.get("log") or ()
    if not lines:
        return Text("nothing logged", "dim")
    return Text("\n").join(log_line(line) for line in lines[-max(1, height) :])


def log_line(line: str) -> Text:
    """One line of the log for people; a line that is no JSON as it is."""
    try:
        found = json.loads(line)
        stamp, level, message = found.pop("ts"), found.pop("level"), found.pop("message")
    except (ValueError, KeyError, AttributeError):
        return Text(line.strip(), "dim", no_wrap=True, overflow="ellipsis")
    fields = " ".join(f"{name}={value}" for name, value in found.items() if value not in ("", None))
    return Text.assemble(
        (f"{stamp[11:23]} ", "dim"), (f"{message} ", LOG_STYLES.get(level, "")), (fields, "dim"),
        no_wrap=True, overflow="ellipsis",
    )  # fmt: skip


# Name, title, pane; in the order that tab goes through them.
PANES: tuple[tuple[str, str, Pane], ...] = (
    ("trades", "trades", trades), ("ladder", "depth", ladder), ("strategies", "strategies", strategies),
    ("positions", "positions", positions), ("orders", "working orders", orders), ("latency", "latency", latency),
    ("risk", "risk limits", risk), ("connections", "connections", connections), ("learning", "learning", learning),
    ("log", "log", log),
)  # fmt: skip
