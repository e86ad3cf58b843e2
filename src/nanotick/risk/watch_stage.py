"""The records of dynamic limits, laid out in an arena."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nanotick.core.arena import Arena
from nanotick.risk.dynamic import (
    MOVE_BUCKETS,
    WATCH,
    WATCH_MARKET,
    WATCH_PAIR,
    WATCH_ROW,
    DynamicLimits,
    decay_ppm,
    interval_volatility,
)
from nanotick.risk.records import PPM, UNLIMITED


def lay_watch(arena: Arena, name: str, strategies: int, instruments: int, dynamic: Sequence[Any]) -> int:
    """Lay the records out; gives the address of the root.

    Parameters
    ----------
    dynamic : sequence of DynamicLimits or "unlimited"
        Of each strategy and, last, of the account.

    Raises
    ------
    ValueError
        A limit makes no sense; the message names it.
    """
    given = [item if isinstance(item, DynamicLimits) else DynamicLimits() for item in dynamic]
    rows = [item.scaled() for item in given]
    whole = rows[-1]
    counts = [row["max_rejects"] for row in rows if row["max_rejects"] != UNLIMITED]
    ring = 1 << (max(counts, default=0) + 1).bit_length()
    region = arena.region(name, WATCH, 1)
    root = region.view[0]
    own = arena.region(f"{name}.rows", WATCH_ROW, strategies + 1)
    root["rows_address"] = own.address
    root["markets_address"] = arena.region(f"{name}.markets", WATCH_MARKET, instruments).address
    root["pairs_address"] = arena.region(f"{name}.pairs", WATCH_PAIR, strategies * instruments).address
    root["reject_times_address"] = arena.region(f"{name}.rejects", "<i8", (strategies + 1) * ring).address
    root["times_mask"] = ring - 1
    root["interval"] = whole["volatility_interval_s"]
    root["decay"] = decay_ppm(whole["volatility_interval_s"], whole["volatility_half_life_s"])
    root["max_move"] = whole["max_price_move_share"]
    root["move_bucket"] = max(1, whole["price_move_window_s"] // MOVE_BUCKETS)
    root["move_pause"] = whole["price_move_pause_s"]
    root["max_silence"], root["max_feed_silence"] = whole["max_silence_s"], whole["max_feed_silence_s"]
    for place, row in zip(own.view, rows, strict=True):
        place["target_volatility"] = interval_volatility(row["target_volatility_share"], whole["volatility_interval_s"])
        place["drawdown_start"], place["min_scale"] = row["drawdown_start_share"], row["min_scale_share"]
        place["max_rejects"], place["reject_window"] = row["max_rejects"], row["reject_window_s"]
        place["max_losing"] = row["max_losing_fills"]
        place["max_messages_per_fill"], place["ratio_messages"] = row["max_messages_per_fill"], row["ratio_messages"]
        place["max_repeats"], place["repeat_window"] = row["max_repeats"], row["repeat_window_s"]
        place["drawdown_scale"] = PPM
    follows = own.view["target_volatility"].min() != UNLIMITED or own.view["drawdown_start"].min() != UNLIMITED
    root["tightens"] = int(follows)
    return int(region.address)
