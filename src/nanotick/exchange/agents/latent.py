"""The latent world as a description gives it, laid into an arena: see `environment` for what becomes of it."""

from __future__ import annotations

import math
from typing import Any

from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.exchange.agents import records
from nanotick.exchange.agents.description import MarketDescription
from nanotick.exchange.agents.description_check import DescriptionError


def _parents(row: Any) -> list[int]:
    return [int(row[name]) for name in ("numerator", "denominator") if row[name] >= 0]


def lay_states(arena: Arena, market: MarketDescription, instruments: InstrumentTable) -> Any:
    """The latent state of each instrument as it starts."""
    region = arena.region("world.states", records.STATE, len(market.instruments))
    numbers = {item.name: i for i, item in enumerate(market.instruments)}
    seconds = market.session.hours * 3_600
    for number, (row, item) in enumerate(zip(region.view, market.instruments, strict=True)):
        instrument = instruments[number]
        row["start_value"] = row["value"] = row["mid"] = float(item.price) * 10**item.price_decimals
        row["sigma"] = item.volatility / math.sqrt(seconds)
        row["activity"] = 1.0
        row["news_rate"] = item.news_per_day / seconds
        loads = [item.loads.get(factor, 0.0) for factor in market.factors]
        row["loads"][: len(loads)] = loads
        row["idiosyncratic"] = math.sqrt(max(0.0, 1.0 - sum(load * load for load in loads)))
        row["tick"], row["lot"] = instrument.price(instrument.tick_size), instrument.qty(instrument.lot_size)
        row["numerator"] = row["denominator"] = row["flow"] = -1
        row["venue"] = instruments.venues.index(item.venue)
        parts = item.ratio or ((item.same_as,) if item.same_as else ())
        full = [numbers[name if "@" in name else f"{name}@{item.venue}"] for name in parts]
        if full:
            row["numerator"] = full[0]
            above = market.instruments[full[0]]
            scale = 10.0 ** (item.price_decimals - above.price_decimals)
            if len(full) == 2:
                row["denominator"] = full[1]
                scale = 10.0 ** (item.price_decimals + market.instruments[full[1]].price_decimals)
                scale /= 10.0**above.price_decimals
            row["ratio_scale"] = scale
    order = [n for n in range(len(market.instruments)) if region.view[n]["numerator"] >= 0]
    for number in order:
        if any(region.view[p]["numerator"] >= 0 and p >= number for p in _parents(region.view[number])):
            raise DescriptionError(f"{market.instruments[number].name}: list the instruments it is made of before it")
        row = region.view[number]
        value = float(region.view[row["numerator"]]["value"]) * float(row["ratio_scale"])
        if row["denominator"] >= 0:
            value /= float(region.view[row["denominator"]]["value"])
        row["value"] = row["mid"] = row["start_value"] = value
    return region


def lay_environment(arena: Arena, market: MarketDescription, whole_day: bool) -> Any:
    """What moves all of them."""
    session = market.session
    region = arena.region("world.environment", records.ENVIRONMENT_RECORD, 1)
    row = region.view[0]
    row["step_ns"] = int(market.step_ms * 1e6)
    row["start"], row["end"] = market.start_ns, market.end_ns
    row["open_level"], row["close_level"], row["edge_decay"] = session.open, session.close, session.decay
    edge = (session.open + session.close) * session.decay * (1.0 - math.exp(-1.0 / session.decay))
    row["base_level"] = 1.0 - edge
    row["call_activity"] = market.auctions.activity if whole_day and market.auctions is not None else 1.0
    row["factors"] = len(market.factors)
    row["regimes"] = max(1, len(market.regimes))
    row["regime_volatility"] = row["regime_activity"] = 1.0
    row["regime_seconds"] = 1e9
    for number, regime in enumerate(market.regimes):
        row["regime_volatility"][number] = regime.volatility
        row["regime_activity"][number] = regime.activity
        row["regime_seconds"][number] = regime.minutes * 60
    row["regime_end"] = market.start_ns + int(float(row["regime_seconds"][0]) * 1e9)
    row["news_rate"] = market.news.per_day / (session.hours * 3_600)
    row["news_size"], row["news_activity"] = market.news.size, market.news.activity
    row["news_fade"] = 1.0 / market.news.fade_s
    row["cluster_size"], row["cluster_rate"] = market.clusters.size, 1.0 / (market.clusters.minutes * 60)
    return region
