"""What risk says of a run, in plain values: for a terminal, an API, a log.

    utilisation of a limit   what is used of it, from 0 to 1; 1 when a breaker has tripped over it
    score                    100 times the largest utilisation, rounded up; 100 when killed, paused or tripped

A score of 0 is nothing used of anything, 100 that the nearest limit is reached. It is the maximum and no mean on
purpose: a limit that is about to stop trading is not made up for by others that are far away.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nanotick.core.records import KillReason
from nanotick.engine.local import LocalSide
from nanotick.risk.dynamic import VOLATILITY_UNIT, WATCH, WATCH_MARKET, WATCH_ROW
from nanotick.risk.records import CHECK_NAMES, PPM, SECOND_NS, UNLIMITED, Limit

_MICRO = 1_000_000


def risk_status(local: LocalSide, now: int) -> dict[str, Any]:
    """The state of risk between two events.

    Parameters
    ----------
    local : LocalSide
    now : int
        Local time, ns UTC: for rates.

    Returns
    -------
    dict
        `score` (0 to 100), `killed` (name of the reason, or empty), `rows` (one a strategy and, last, the account:
        name, score, tightest limit, paused, breaker with what was found and the limit, drawdown scale, utilisations by
        limit) and `instruments` with dynamic limits (volatility in ppm of an interval, scale of the account's limits,
        ns for which new risk is paused). Text, numbers, lists and dicts only.
    """
    root = local.arena["risk.root"].view[0]
    names = [*local.names, "account"]
    rows = [_row(local, root, number, name, now) for number, name in enumerate(names)]
    reason = int(root["killed"])
    known = reason in {int(item) for item in KillReason}
    score = 100 if reason else max(row["score"] for row in rows)
    return {
        "score": score,
        "killed": "" if reason == 0 else KillReason(reason).name.lower() if known else f"reason {reason}",
        "rows": rows,
        "instruments": _instruments(local, root, now),
    }


def _row(local: LocalSide, root: Any, number: int, name: str, now: int) -> dict[str, Any]:
    guard = local.risk.guards.view[number]
    used = _utilisations(local, root, number, now)
    tripped = int(guard["breaker"])
    stopped = tripped != 0 or bool(guard["paused"])
    tightest = max(used, key=lambda limit: used[limit]) if used else ""
    score = 100 if stopped else -int(-100 * min(1.0, max(used.values(), default=0.0)) // 1)
    return {
        "name": name,
        "score": score,
        "tightest": tightest,
        "paused": bool(guard["paused"]),
        "breaker": CHECK_NAMES[tripped] if tripped else "",
        "found": int(guard["breaker_found"]) if tripped else 0,
        "limit": int(guard["breaker_limit"]) if tripped else 0,
        "refused": int(guard["refused"]),
        "orders": int(guard["orders"]),
        "messages": int(guard["messages"]),
        "drawdown_scale_ppm": int(_watch(local, "rows", WATCH_ROW)[number]["drawdown_scale"]) if root["watch_address"]
        else PPM,
        "utilisation": used,
    }  # fmt: skip


def _share(used: int, limit: int) -> float | None:
    """Part of a limit that is used; None when there is no limit."""
    if limit >= UNLIMITED:
        return None
    if limit <= 0:
        return 1.0 if used > 0 else 0.0
    return round(max(0, used) / limit, 6)


def _of(base: int, ppm: int) -> int:
    return UNLIMITED if ppm == UNLIMITED else max(0, base) * ppm // PPM


def _within_second(local: LocalSide, root: Any, ring: str, number: int, count: int, now: int) -> int:
    size = int(root["times_mask"]) + 1
    times = local.arena[f"risk.{ring}"].view[number * size : (number + 1) * size]
    return int(np.count_nonzero(times[: min(count, size)] > now - SECOND_NS))


def _utilisations(local: LocalSide, root: Any, number: int, now: int) -> dict[str, float]:
    limits = [int(value) for value in local.risk.limits.view[number]["values"]]
    guard, account = local.risk.guards.view[number], local.portfolio.accounts.view[number]
    equity, width = int(account["equity"]), max(1, int(root["instruments"]))
    pairs = local.risk.pairs.view[number * width : (number + 1) * width]
    left = [PPM - int(by) for by in pairs["tightened"]]
    largest = [_share(int(gross), _of(equity, limits[Limit.POSITION_SHARE]) * scale // PPM)
               for gross, scale in zip(pairs["gross"], left, strict=True)
               if limits[Limit.POSITION_SHARE] != UNLIMITED]  # fmt: skip
    found: dict[str, float | None] = {
        "position": max((share for share in largest if share is not None), default=None),
        "gross_exposure": _share(int(guard["gross"]), _of(equity, limits[Limit.GROSS_SHARE])),
        "net_exposure": _share(
            max(abs(int(guard["up"])), abs(int(guard["down"]))), _of(equity, limits[Limit.NET_SHARE])
        ),
        "daily_loss": _share(
            int(guard["loss_base"]) - equity, _of(int(guard["loss_base"]), limits[Limit.DAILY_LOSS_SHARE])
        ),
        "drawdown": _share(
            int(guard["peak_base"]) - equity, _of(int(guard["peak_base"]), limits[Limit.DRAWDOWN_SHARE])
        ),
        "open_orders": _share(int(local.arena["orders.counts"].view[number]), limits[Limit.OPEN_ORDERS]),
        "order_rate": _share(
            _within_second(local, root, "order_times", number, int(guard["orders"]), now),
            limits[Limit.ORDERS_PER_SECOND],
        ),
        "message_rate": _share(
            _within_second(local, root, "message_times", number, int(guard["messages"]), now),
            limits[Limit.MESSAGES_PER_SECOND],
        ),
    }
    if root["watch_address"]:
        found |= _watched(local, number, guard, account, now)
    return {name: share for name, share in found.items() if share is not None}


def _watch(local: LocalSide, part: str, dtype: np.dtype[Any]) -> Any:
    region = local.arena[f"risk.watch.{part}" if part else "risk.watch"]
    assert region.dtype == dtype
    return region.view


def _watched(local: LocalSide, number: int, guard: Any, account: Any, now: int) -> dict[str, float | None]:
    own = _watch(local, "rows", WATCH_ROW)[number]
    size = int(_watch(local, "", WATCH)[0]["times_mask"]) + 1
    times = local.arena["risk.watch.rejects"].view[number * size : (number + 1) * size]
    recent = int(np.count_nonzero((times > now - int(own["reject_window"])) & (times > 0)))
    messages = int(guard["messages"]) - int(own["base_messages"])
    fills = max(1, int(account["trades"]) - int(own["base_fills"]))
    counted = messages >= int(own["ratio_messages"])
    return {
        "rejects": _share(recent, int(own["max_rejects"])),
        "losing_fills": _share(int(own["losing"]), int(own["max_losing"])),
        "messages_per_fill": _share(messages // fills if counted else 0, int(own["max_messages_per_fill"])),
    }


def _instruments(local: LocalSide, root: Any, now: int) -> list[dict[str, Any]]:
    if not root["watch_address"]:
        return []
    width = max(1, int(root["instruments"]))
    account = local.risk.pairs.view[len(local.names) * width :]
    return [
        {
            "symbol": item.symbol,
            "venue": item.venue,
            "volatility_ppm": int(market["volatility"]) // VOLATILITY_UNIT,
            "scale_ppm": PPM - int(pair["tightened"]),
            "paused_ns": max(0, int(market["halted_until"]) - now),
            "silent": bool(market["silent"]),
        }
        for item, market, pair in zip(local.instruments, _watch(local, "markets", WATCH_MARKET), account, strict=False)
    ]
