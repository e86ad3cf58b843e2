"""Limits that follow what happens: how they are given, and the records in which the stage keeps them.

    WATCH          root: what concerns the market, addresses
    WATCH_ROW      one a strategy, one for the account (the last)
    WATCH_MARKET   one an instrument: its volatility, its latest highs and lows
    WATCH_PAIR     one a strategy and instrument: the last order of each side and how often it was repeated

Scale of the limits on positions and orders of a row in an instrument, never above 1:

    volatility   min(1, target / realised)                     Moreira and Muir, Volatility-Managed Portfolios, 2017;
                 realised: root of the exponentially weighted mean of squared returns (RiskMetrics, 1996)
    drawdown     1 up to `drawdown_start_share`, from there linear to 0 at `max_drawdown_share`
                 Grossman and Zhou, Optimal Investment Strategies for Controlling Drawdowns, 1993
    together     their product, at least `min_scale_share`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import numpy as np

from nanotick.core.memory import record_at
from nanotick.risk.amounts import Amount, scaled_amount
from nanotick.risk.records import PPM, SECOND_NS, UNLIMITED

VOLATILITY_UNIT = 32  # of a millionth: how fine volatility is kept
MOVE_BUCKETS = 8  # of a window of highs and lows
_DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class DynamicLimits:
    """What tightens limits and stops trading by what has happened lately; everything is off unless it is given.

    Amounts are decimals or the word "unlimited", shares fractions, as in `RiskLimits`. What concerns the market (rows
    marked *) is taken from the limits of the account.

    Parameters
    ----------
    target_volatility_share : share of the price a day
        Above this realised volatility of an instrument its limits shrink in proportion.
    volatility_interval_s, volatility_half_life_s : seconds *
        Between prices that make a return; after which a return has half its weight.
    drawdown_start_share : share of the peak equity
        Drawdown from which limits shrink, down to nothing at `max_drawdown_share`.
    min_scale_share : share
        What is left of limits at least.
    max_rejects : int; reject_window_s : seconds
        Refusals by risk and rejections by venues within the window: more trip a breaker.
    max_losing_fills : int
        Fills in a row that realised a loss: more trip a breaker.
    max_messages_per_fill : int; ratio_messages : int
        Orders, replaces and cancels for each fill of the day, once there were so many messages: more trip a breaker.
    max_repeats : int; repeat_window_s : seconds
        Orders of a strategy that repeat the last one of their instrument and side, each within the window of the one
        before: one more is refused, and the strategy paused until a person resumes it (RTS 6, article 15).
    max_price_move_share : share; price_move_window_s, price_move_pause_s : seconds *
        A price that moves further within the window ends all orders there, and for the pause only reducing ones pass.
    max_silence_s : seconds *
        Orders in an instrument without market data for longer are cancelled.
    max_feed_silence_s : seconds *
        Without any market data for longer, while orders are open, everything is killed.
    """

    target_volatility_share: Amount = "unlimited"
    volatility_interval_s: Amount = 1
    volatility_half_life_s: Amount = 60
    drawdown_start_share: Amount = "unlimited"
    min_scale_share: Amount = "0.10"
    max_rejects: Amount = "unlimited"
    reject_window_s: Amount = 10
    max_losing_fills: Amount = "unlimited"
    max_messages_per_fill: Amount = "unlimited"
    ratio_messages: Amount = 1_000
    max_repeats: Amount = "unlimited"
    repeat_window_s: Amount = 10
    max_price_move_share: Amount = "unlimited"
    price_move_window_s: Amount = 10
    price_move_pause_s: Amount = 300
    max_silence_s: Amount = "unlimited"
    max_feed_silence_s: Amount = "unlimited"

    def scaled(self) -> dict[str, int]:
        """The limits as the stage keeps them, by the name of their field.

        Raises
        ------
        ValueError
            One is missing or makes no sense; the message names it.
        """
        names = [f.name for f in fields(self)]
        values = {name: scaled_amount(f"dynamic.{name}", getattr(self, name), _unit(name)) for name in names}
        for name in ("volatility_interval_s", "volatility_half_life_s", "price_move_window_s"):
            if not 1_000_000 <= values[name] < UNLIMITED:
                found = getattr(self, name)
                raise ValueError(f"risk limit dynamic.{name}: expected 0.001 seconds or more, found {found!r}")
        if values["min_scale_share"] > PPM:
            raise ValueError(f"risk limit dynamic.min_scale_share: expected at most 1, found {self.min_scale_share!r}")
        return values


def _unit(name: str) -> int:
    if name.endswith("_s"):
        return SECOND_NS
    return PPM if name.endswith("_share") else 1


def dynamic_limits(given: Any) -> DynamicLimits | str | None:
    """Dynamic limits from a mapping of their fields; "unlimited" and None stay what they are.

    Raises
    ------
    ValueError
        The mapping has another key.
    """
    if given is None or given == "unlimited" or isinstance(given, DynamicLimits):
        return given  # type: ignore[no-any-return]
    if not isinstance(given, Mapping):
        raise ValueError(f'risk limit dynamic: expected a mapping or "unlimited", found {given!r}')
    known = [f.name for f in fields(DynamicLimits)]
    for name in given:
        if name not in known:
            raise ValueError(f"risk limit dynamic.{name}: there is none of this name; there are {', '.join(known)}")
    return DynamicLimits(**given)


def interval_volatility(share: int, interval_ns: int) -> int:
    """A daily volatility (ppm) over an interval, in 1 / VOLATILITY_UNIT of a millionth: variance grows with time."""
    if share == UNLIMITED:
        return UNLIMITED
    ratio = Decimal(interval_ns) / Decimal(_DAY_S * SECOND_NS)
    return int(Decimal(share * VOLATILITY_UNIT) * ratio.sqrt())


def decay_ppm(interval_ns: int, half_life_ns: int) -> int:
    """Weight of a new squared return, ppm: 1 - 2 ** (-interval / half-life)."""
    left = (Decimal(2).ln() * Decimal(-interval_ns) / Decimal(half_life_ns)).exp()
    return max(1, int((1 - left) * PPM))


WATCH = np.dtype(
    [
        ("rows_address", "<i8"),
        ("markets_address", "<i8"),
        ("pairs_address", "<i8"),
        ("reject_times_address", "<i8"),  # i8 rings of a row each
        ("times_mask", "<i8"),
        ("tightens", "<i8"),  # 1: some limit follows volatility or drawdown
        ("interval", "<i8"),  # ns between prices of a return
        ("next_return", "<i8"),  # ns
        ("decay", "<i8"),  # ppm
        ("max_move", "<i8"),  # ppm
        ("move_bucket", "<i8"),  # ns
        ("move_pause", "<i8"),  # ns
        ("max_silence", "<i8"),  # ns
        ("max_feed_silence", "<i8"),  # ns
        ("market_ts", "<i8"),  # ns, of the last market data of any instrument, 0: none yet
        ("pad", "<i8"),
    ]
)
WATCH_ROW = np.dtype(
    [
        ("target_volatility", "<i8"),  # of an interval, 1 / VOLATILITY_UNIT of a millionth
        ("drawdown_start", "<i8"),  # ppm
        ("min_scale", "<i8"),  # ppm
        ("max_rejects", "<i8"),
        ("reject_window", "<i8"),  # ns
        ("max_losing", "<i8"),
        ("max_messages_per_fill", "<i8"),
        ("ratio_messages", "<i8"),
        ("max_repeats", "<i8"),
        ("repeat_window", "<i8"),  # ns
        ("rejects", "<i8"),  # ever
        ("losing", "<i8"),  # in a row
        ("base_messages", "<i8"),  # when the day began, or trading was resumed
        ("base_fills", "<i8"),
        ("drawdown_scale", "<i8"),  # ppm, as it is now
        ("pad", "<i8"),
    ]
)
WATCH_MARKET = np.dtype(
    [
        ("price", "<i8"),  # at the end of the last return, 0: none yet
        ("variance", "<i8"),  # of returns of an interval, square of 1 / VOLATILITY_UNIT of a millionth
        ("volatility", "<i8"),  # its root
        ("halted_until", "<i8"),  # ns: only reducing orders before it
        ("silent", "<i8"),  # 1: cancelled for want of market data
        ("bucket", "<i8"),  # number of the newest bucket of highs and lows
        ("low", "<i8", (MOVE_BUCKETS,)),  # 0: no price
        ("high", "<i8", (MOVE_BUCKETS,)),
        ("pad", "<i8", (2,)),
    ]
)
WATCH_PAIR = np.dtype(
    [
        ("price", "<i8", (2,)),  # of the last order: sells, buys
        ("qty", "<i8", (2,)),
        ("ts", "<i8", (2,)),
        ("repeats", "<i8", (2,)),
    ]
)
watch_at = record_at(WATCH, "RiskWatch")
watch_row_at = record_at(WATCH_ROW, "RiskWatchRow")
watch_market_at = record_at(WATCH_MARKET, "RiskWatchMarket")
watch_pair_at = record_at(WATCH_PAIR, "RiskWatchPair")
