"""A session that is none: what `LiveSession.status` tells, and a client that keeps what it is asked."""

from __future__ import annotations

import threading
from pathlib import Path

from nanotick.venues.control import ControlError
from tests.patience import PATIENCE_S

SYMBOLS = ("SPY", "NVDA", "QQQ", "TSLA", "AAPL", "MSFT", "IBIT", "META", "AMZN", "GOOGL")
STARTED = 1_772_461_800_000_000_000  # 14:30 UTC
NAMES = ("market_making", "statistical_arbitrage", "momentum")


def account(name, pnl, paused=False):
    return {
        "name": name, "cash": 50_000.0, "equity": 50_000 + pnl, "pnl": pnl, "drawdown": 12.5, "max_drawdown": 31.0,
        "exposure": 18_230.0, "net_exposure": -2_110.0, "wins": 41, "losses": 17, "orders": 1_204, "fills": 96,
        "refused": 3, "rejected": 1, "paused": paused, "parameters": {"gamma": 0.1},
    }  # fmt: skip


def trade(number, symbol="SPY", profit=1.25):
    return {
        "number": number, "ts": STARTED + number * 1_234_567_891, "symbol": symbol, "venue": "ALPACA",
        "strategy": NAMES[number % 3], "side": "buy" if number % 2 else "sell", "qty": 100.0, "price": 501.02 + number,
        "decimals": 4, "fee": 0.0, "maker": True, "profit": profit, "pnl": 60.0, "total": 123.45 + number,
        "order": 1000 + number,
    }  # fmt: skip


def order(number, price=501.0):
    return {
        "id": number, "symbol": "SPY", "venue": "ALPACA", "strategy": NAMES[0], "side": "buy", "type": "limit",
        "tif": "DAY", "qty": 100.0, "filled": 20.0, "price": price, "decimals": 4, "state": "working", "ts": STARTED,
    }  # fmt: skip


def risk_row(name, score, breaker=""):
    return {
        "name": name, "score": score, "tightest": "gross_exposure", "paused": False, "breaker": breaker, "found": 0,
        "limit": 0, "refused": 3, "orders": 10, "messages": 20, "drawdown_scale_ppm": 1_000_000,
        "utilisation": {"gross_exposure": score / 100, "daily_loss": 0.031, "order_rate": 0.115, "drawdown": 0.02},
    }  # fmt: skip


def status(directory=Path("state"), **changes):
    stage = {"count": 12_044, "mean": 14_000.0, "min": 9_000, "p50": 12_340, "p90": 20_000, "p99": 48_100,
             "p999": 210_000, "max": 1_420_000, "negative": 0, "clipped": 0}  # fmt: skip
    return {
        "mode": "balanced", "directory": str(directory), "journal": "sessions/0001", "now": STARTED + 21_377_000_000,
        "started": STARTED, "duration": 60.0, "resumed": False, "killed": False, "kill_reason": "", "heartbeat": 0.0,
        "instruments": [[symbol, "ALPACA"] for symbol in SYMBOLS],
        "latency": {"ALPACA": {"decision": stage, "send": {**stage, "p50": 71_000, "p99": 160_000},
                               "ack": {**stage, "p50": 1_250_000, "p99": 4_100_000, "max": 9_000_000},
                               "fill": {**stage, "count": 96, "p50": 211_000_000, "p99": 3.2e9, "max": 5e9}}},
        "risk": {"score": 42, "killed": "", "rows": [*(risk_row(n, 40 - i) for i, n in enumerate(NAMES)),
                                                     risk_row("account", 42)], "instruments": []},
        "phase": "trading", "reason": "", "events": 1_204_551, "turns": 96_000, "open_orders": 7, "sequence": 1,
        "commands": 2_408, "withheld": 0,
        "feeds": [{"venue": "ALPACA", "protocol": "polygon", "state": "LIVE", "renewing": False,
                   "endpoint": "ws://127.0.0.1:1", "messages": 88_231, "error": "", "reconnects": 0, "gaps": 0}],
        "accounts": [{"venue": "ALPACA", "protocol": "alpaca", "state": "ready", "reason": "", "refusal": "",
                      "sent": 2_408, "orders": 7, "unknown": 0, "unanswered": 0, "breaks": []}],
        "currency": "USD", "strategies": [account(n, p) for n, p in zip(NAMES, (131.2, -12.75, 5.0), strict=True)],
        "total": account("total", 123.45),
        "positions": [{"symbol": s, "venue": "ALPACA", "strategy": NAMES[0], "qty": q, "average": 501.11, "mark": 501.4,
                       "decimals": 4, "value": q * 501.4, "unrealised": q * 0.29, "realised": 1.0}
                      for s, q in (("SPY", 200.0), ("QQQ", -150.0), ("NVDA", 75.0))],
        "orders": [order(1), order(2, 500.5)],
        "ladder": {"symbol": "SPY", "venue": "ALPACA", "decimals": 4,
                   "bids": [[501.0 - i * 0.5, 300.0 + 40 * i] for i in range(10)],
                   "asks": [[501.5 + i * 0.5, 280.0 + 35 * i] for i in range(10)],
                   "own": [["buy", 501.0, 80.0], ["buy", 500.5, 100.0]]},
        "trades": [trade(n, SYMBOLS[n % 10], (-1) ** n * 3.5 * n) for n in range(1, 16)], "trade_number": 15,
        **changes,
    }  # fmt: skip


class FakeSession:
    """Counts what it is asked; may refuse, hang or end."""

    def __init__(self, directory=Path("state"), **changes):
        self.asked = []
        self.changes = changes
        self.directory = directory
        self.over = False
        self.answering = threading.Event()
        self.answering.set()
        self.gave_up = False
        self.refusal = ""

    def connect(self):
        if self.over:
            raise ControlError("no session is running there")
        return self

    def ask(self, do, **fields):
        if self.over:
            raise ControlError("the session has ended")
        if do == "status":
            if not self.answering.wait(PATIENCE_S):
                self.gave_up = True
                raise ControlError("timed out")
            found = status(self.directory, **self.changes)
            if "symbol" in fields:
                found["ladder"]["symbol"] = fields["symbol"]
            return found
        self.asked.append((do, fields))
        if self.refusal:
            raise ControlError(self.refusal)
        if do == "kill":
            self.changes |= {"killed": True, "kill_reason": fields.get("reason", "")}
        if do == "resume":
            self.changes["killed"] = False
        if do in ("pause", "unpause"):
            rows = [account(n, 1.0, do == "pause") for n in NAMES]
            self.changes["strategies"] = rows
            return {"strategies": [row["name"] for row in rows if row["paused"]]}
        return {"commands": 4, "killed": self.changes.get("killed", False), "phase": "stopping"}

    def close(self):
        pass
