"""`nanotick top`: watch a running session, and act on it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

_OVER = "the session has ended"


def top(
    state: Path | None = None,
    *,
    interval: float = 0.0,
    count: int = 0,
    plain: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    of_run: Annotated[bool, Parameter(show=False, negative="")] = False,
) -> int:
    """Watch a running session: trades, strategies, positions, orders, depth, latencies, risk, connections and log.

    For example:

    nanotick top

    nanotick top state/us --json --interval 5 | jq .total.pnl

    Keys: p pause, f flatten, k kill, r resume, s symbol, tab pane, q leave, Q stop the session, ? help. Leaving does
    not end the session. Without a terminal it prints a line a second.

    Exit codes: 0 left, or the session has ended; 1 no session runs there.

    Parameters
    ----------
    state
        State directory; that of the last run by default.
    interval
        Seconds between two looks; a quarter on a terminal and one without unless given.
    count
        Lines to print, 0 for as long as the session lasts; without a terminal or with --json.
    plain
        Lines, also on a terminal.
    as_json
        Print the whole status as one line of JSON at each look.
    of_run
        Ctrl-C ends the session: for `nanotick run`, which starts this on its own terminal.
    """
    from nanotick.cli.run_session import last_state
    from nanotick.terminal.watcher import INTERVAL_S, watch_directory

    if interval < 0 or count < 0:
        raise ValueError(f"--interval, --count: expected 0 or more, found {min(interval, count)}")
    connect = watch_directory(state or last_state())
    if as_json or plain or not (sys.stdout.isatty() and sys.stdin.isatty()):
        return _lines(connect, interval or 1.0, count, as_json)
    connect().close()  # no session: say so instead of drawing
    from nanotick.terminal.app import Top

    return Top(connect, interval or INTERVAL_S, _interrupt if of_run else None).run() or 0


def _interrupt() -> None:
    """Ctrl-C, for the run that this terminal belongs to."""
    import os
    import signal

    os.kill(os.getppid(), signal.SIGINT)


def _lines(connect: Any, interval: float, count: int, as_json: bool) -> int:
    import json

    from nanotick.venues.control import ControlError

    client = connect()
    printed, number = 0, 0
    try:
        while True:
            try:
                seen = client.ask("status")
            except ControlError:
                if not as_json:
                    print(_OVER, file=sys.stderr)
                return 0
            if as_json:
                print(json.dumps(seen, separators=(",", ":")), flush=True)
            else:
                for trade in seen["trades"]:
                    if trade["number"] > number:
                        number = trade["number"]
                        print(trade_text(trade), flush=True)
                print(status_text(seen), flush=True)
            printed += 1
            if printed == count:
                return 0
            time.sleep(interval)
    finally:
        client.close()


def status_text(seen: dict[str, Any]) -> str:
    """A session in one line."""
    from nanotick.terminal.panes import span
    from nanotick.terminal.screen import clock

    ran = (seen["now"] - seen["started"]) / 1e9
    total, killed = seen["total"], f"  KILLED: {seen['kill_reason']}" if seen["killed"] else ""
    return (
        f"{clock(seen['now'])} {seen['mode']} {seen['phase']} {span(ran)}  {seen['events']:,} events  "
        f"{total['orders']:,} orders ({seen['open_orders']:,} open)  {total['fills']:,} fills  "
        f"P&L {total['pnl']:+,.2f}  {total['wins']:,} won {total['losses']:,} lost  "
        f"risk {seen['risk'].get('score', 0)}{killed}"
    )


def trade_text(trade: dict[str, Any]) -> str:
    """A fill in one line."""
    from nanotick.terminal.screen import clock, price_text

    return (
        f"{clock(trade['ts'])} {trade['symbol']:8} {trade['side']:4} {trade['qty']:>10,g} "
        f"{price_text(trade['price'], trade['decimals']):>12}  P&L {trade['profit']:>+10,.2f}  "
        f"total {trade['total']:>+12,.2f}  {trade['venue']}  {trade['strategy']}"
    )
