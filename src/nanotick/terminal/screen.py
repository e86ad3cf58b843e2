"""The live screen of a simulation, and the tables that every screen draws from a view's values.

It fits 80 columns and 24 rows; what does not fit is left out from the bottom.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from nanotick.engine.view import RunView


def money(amount: float) -> Text:
    """A profit in green, a loss in red."""
    return Text(f"{amount:+,.2f}", style="green" if amount > 0 else "red" if amount < 0 else "dim")


class LiveScreen:
    """Accounts, positions, a depth ladder and the last trades of a run.

    Parameters
    ----------
    view : RunView
    title : str
    ladder : int
        Number of the instrument whose depth is shown.
    trades : int
        How many of the last fills are listed.
    """

    def __init__(self, view: RunView, title: str, ladder: int = 0, trades: int = 6) -> None:
        self.view, self.title, self.ladder, self.trades = view, title, ladder, trades

    def render(self, header: str, height: int = 24) -> Group:
        """The screen; `header` says what kind of run it is and how far it is."""
        seen = self.view.snapshot(self.ladder, 3, self.trades)
        top = Text.assemble((f" {self.title} ", "bold reverse"), "  ", header)
        lower = Table.grid(padding=(0, 2))
        rows = max(3, height - 14 - len(seen["strategies"]))
        lower.add_row(depth_table(seen["ladder"]), positions_table(seen["positions"][:rows]))
        return Group(top, Text(), strategies_table(seen), Text(), lower, Text(), trades_table(seen["trades"]))


def status_screen(seen: dict[str, Any]) -> Group:
    """A running session, from its status."""
    ran = (seen["now"] - seen["started"]) / 1e9
    head = Text.assemble(
        (f" {seen['mode']} ", "bold reverse"), f"  {seen['phase']}  {clock(seen['now'])} UTC  {ran:,.0f} s  ",
        f"{seen['events']:,} events  {seen['commands']:,} commands  {seen['open_orders']:,} open orders",
    )  # fmt: skip
    parts: list[Any] = [head]
    if seen["killed"]:
        parts.append(Text(f"KILLED: {seen['kill_reason']}", style="bold red"))
    parts += [Text(), connections_table(seen), Text(), strategies_table(seen)]
    if seen["positions"]:
        parts += [Text(), positions_table(seen["positions"][:10])]
    if seen["orders"]:
        parts += [Text(), orders_table(seen["orders"][:10])]
    if seen["latency"]:
        parts += [Text(), latency_table(seen["latency"])]
    return Group(*parts)


def connections_table(seen: dict[str, Any]) -> Table:
    """Feeds and accounts: their states, and what is wrong."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("connection", "state", "messages", "trouble"):
        table.add_column(name, justify="right" if name == "messages" else "left")
    for feed in seen["feeds"]:
        style = "green" if feed["state"] == "LIVE" else "yellow"
        table.add_row(f"{feed['protocol']} prices", Text(feed["state"].lower(), style), f"{feed['messages']:,}",
                      feed["error"])  # fmt: skip
    for account in seen["accounts"]:
        style = "green" if account["state"] == "ready" else "red" if account["state"] == "broken" else "yellow"
        words, clock_style = clock_words(account.get("clock"))
        trouble = Text(account["reason"] or account["refusal"] or _unbooked(account))
        if words and (not trouble or clock_style):
            trouble = Text("  ").join([part for part in (trouble, Text(words, clock_style or "dim")) if part])
        table.add_row(f"{account['protocol']} account", Text(account["state"], style), f"{account['sent']:,}",
                      trouble)  # fmt: skip
    return table


def _unbooked(account: dict[str, Any]) -> str:
    """Fees that count as 0, in assets of which no price is known."""
    fees = account.get("fees_unconverted") or {}
    return f"fees not booked: {', '.join(f'{amount} {asset}' for asset, amount in fees.items())}" if fees else ""


def clock_words(told: dict[str, Any] | None) -> tuple[str, str]:
    """How far a venue's clock is from ours, and the style if that is a trouble; nothing while nothing is known."""
    if not told or told["state"] == "UNKNOWN":
        return "", ""
    if told["state"] == "STOPPED":
        return "its clock stands", "red"
    words = f"clock {told['offset_ns'] / 1e6:+,.1f} ± {told['error_ns'] / 1e6:,.1f} ms"
    return words, "red" if told["state"] == "ALARM" else ""


def orders_table(orders: list[dict[str, Any]]) -> Table:
    """Open orders."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("order", "side", "quantity", "filled", "price", "state", "strategy"):
        table.add_column(name, justify="right" if name in ("quantity", "filled", "price") else "left")
    for row in orders:
        table.add_row(
            row["symbol"], Text(row["side"], style="cyan" if row["side"] == "buy" else "magenta"),
            f"{row['qty']:,g}", f"{row['filled']:,g}", price_text(row["price"], row["decimals"]),
            Text(row["state"].replace("_", " "), style="red" if row["state"] == "unknown" else ""),
            Text(row["strategy"], style="dim"),
        )  # fmt: skip
    return table


def latency_table(latency: dict[str, dict[str, Any]]) -> Table:
    """Percentiles of every stage, microseconds."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("latency", "count", "p50 us", "p99 us", "p99.9 us", "max us"):
        table.add_column(name, justify="left" if name == "latency" else "right")
    for venue, stages in latency.items():
        for stage, row in stages.items():
            table.add_row(f"{venue} {stage}", f"{row['count']:,}", *(f"{row[p] / 1000:,.1f}" for p in
                          ("p50", "p99", "p999", "max")))  # fmt: skip
    return table


def strategies_table(seen: dict[str, Any]) -> Table:
    """One row a strategy, and all together."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name, side in (("strategy", "left"), ("P&L", "right"), ("drawdown", "right"), ("exposure", "right"),
                       ("orders", "right"), ("fills", "right"), ("refused", "right")):  # fmt: skip
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for row in [*seen["strategies"], seen["total"]]:
        table.add_row(
            Text(row["name"], style="bold" if row is seen["total"] else ""),
            money(row["pnl"]),
            f"{row['drawdown']:,.2f}",
            f"{row['exposure']:,.0f}",
            f"{row['orders']:,}",
            f"{row['fills']:,}",
            f"{row['refused']:,}",
        )
    return table


def positions_table(positions: list[dict[str, Any]]) -> Table:
    """Open positions."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in ("position", "quantity", "average", "mark", "unrealised"):
        table.add_column(name, justify="left" if name == "position" else "right")
    for row in positions:
        table.add_row(
            row["symbol"],
            f"{row['qty']:+,g}",
            price_text(row["average"], row["decimals"]),
            price_text(row["mark"], row["decimals"]),
            money(row["unrealised"]),
        )
    return table


def depth_table(ladder: dict[str, Any]) -> Table:
    """A book's levels, asks above bids."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("bid", justify="right")
    table.add_column(ladder["symbol"], justify="right", header_style="bold")
    table.add_column("ask", justify="left")
    decimals = ladder["decimals"]
    for price, qty in ladder["asks"][::-1]:
        table.add_row("", price_text(price, decimals), Text(f"{qty:,g}", style="red"))
    for price, qty in ladder["bids"]:
        table.add_row(Text(f"{qty:,g}", style="green"), price_text(price, decimals), "")
    return table


def trades_table(trades: list[dict[str, Any]]) -> Table:
    """The last fills, a line each."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    for side in ("left", "left", "left", "right", "right", "right", "left", "left"):
        table.add_column(justify=side)  # type: ignore[arg-type]
    for trade in trades:
        table.add_row(*trade_line(trade))
    return table


def trade_line(trade: dict[str, Any]) -> tuple[Text, ...]:
    """Time, symbol, side, quantity, price, the strategy's P&L, venue, strategy."""
    return (
        Text(clock(trade["ts"]), style="dim"),
        Text(trade["symbol"]),
        Text(trade["side"], style="cyan" if trade["side"] == "buy" else "magenta"),
        Text(f"{trade['qty']:,g}"),
        Text(price_text(trade["price"], trade["decimals"])),
        money(trade["pnl"]),
        Text(trade["venue"], style="dim"),
        Text(trade["strategy"], style="dim"),
    )


def price_text(price: float, decimals: int) -> str:
    """A price without the zeros that its scale has beyond cents.

    >>> price_text(1501.02, 4), price_text(0.1234, 4), price_text(7, 0)
    ('1,501.02', '0.1234', '7')
    """
    text = f"{price:,.{decimals}f}"
    if decimals > 2:
        kept = text.rstrip("0")
        text = kept.ljust(len(text) - decimals + 2, "0")
    return text


def clock(ts: int) -> str:
    """Time of day of a UTC stamp, to the millisecond."""
    moment = datetime.fromtimestamp(ts // 1_000_000_000, UTC)
    return f"{moment:%H:%M:%S}.{ts // 1_000_000 % 1_000:03d}"
