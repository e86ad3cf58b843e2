"""What is wrong with a market description, said with its place and what would be right."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import msgspec

from nanotick.core.suggest import nearest
from nanotick.exchange.agents.records import MAX_DISTANCE, MAX_FACTORS, MAX_LEVELS, MAX_REGIMES, MAX_VENUES, SCALES
from nanotick.exchange.config import Fees

if TYPE_CHECKING:
    from nanotick.exchange.agents.description import MarketDescription, Profile


class DescriptionError(ValueError):
    """A market description says something that nanotick does not know or that cannot be."""


def near(found: str, known: Any) -> str:
    """What exists, and which of it is nearest."""
    return f"{nearest(found, known, 0.4)} There are: {', '.join(str(k) for k in known)}"


def _struct_in(kind: Any) -> Any:
    """The struct in a type such as `Struct | None` or `tuple[Struct, ...]`, or None."""
    for candidate in (kind, *get_args(kind)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


def check_keys(values: Any, struct: Any, where: str) -> None:
    """Refuse unknown keys, at any depth, with their place and the nearest match."""
    if not isinstance(values, Mapping):
        raise DescriptionError(f"{where}: expected names and values, found {values!r}")
    hints = get_type_hints(struct)
    for key, value in values.items():
        at = f"{where}.{key}"
        if key not in hints:
            raise DescriptionError(f"{where}: unknown key {key!r}{near(key, hints)}")
        inner = _struct_in(hints[key])
        if inner is None or value is None:
            continue
        if get_origin(hints[key]) is dict:
            if not isinstance(value, Mapping):
                raise DescriptionError(f"{at}: expected names and values, found {value!r}")
            for name, item in value.items():
                check_keys(item, inner, f"{at}.{name}")
        elif isinstance(value, list | tuple):
            for number, item in enumerate(value):
                check_keys(item, inner, f"{at}[{number}]")
        else:
            check_keys(value, inner, at)


def check_values(market: MarketDescription, where: str) -> None:
    """Refuse values that cannot be, with their place."""

    def refuse(at: str, sentence: str) -> None:
        raise DescriptionError(f"{where}: {at}: {sentence}")

    if not market.instruments:
        refuse("instruments", "expected at least one")
    if len(market.factors) > MAX_FACTORS or len(market.regimes) > MAX_REGIMES or len(market.venues) > MAX_VENUES:
        refuse("factors, regimes, venues", f"expected at most {MAX_FACTORS}, {MAX_REGIMES} and {MAX_VENUES}")
    session = market.session
    if (session.open + session.close) * session.decay >= 1.0 or session.decay <= 0 or session.hours <= 0:
        refuse("session", "(open + close) * decay must be below 1, hours and decay positive")
    around, bands = market.auctions, market.bands
    if around is not None and not (
        0 < around.opening_s <= around.pre_open_s and around.closing_s > 0 and around.indicative_s >= 0
    ):
        refuse(
            "auctions", "opening_s must be positive and within pre_open_s, closing_s positive, indicative_s 0 or more"
        )
    if around is not None and not 0 <= around.activity <= 1:
        refuse("auctions.activity", f"expected 0 to 1, found {around.activity:g}")
    if bands is not None and (
        not 0 < bands.width < 1
        or not 0 <= bands.step < 1
        or min(bands.limit_s, bands.window_s) < 0
        or bands.pause_s <= 0
    ):
        refuse("bands", "width and step are shares below 1, times are not negative, pause_s is positive")
    names = {item.name for item in market.instruments}
    for item in market.instruments:
        at = f"instruments.{item.name}"
        if item.profile not in market.profiles:
            refuse(at, f"unknown profile {item.profile!r}{near(item.profile, market.profiles)}")
        for factor in item.loads:
            if factor not in market.factors:
                refuse(at, f"unknown factor {factor!r}{near(factor, market.factors)}")
        if sum(load * load for load in item.loads.values()) > 1.0 + 1e-9:
            refuse(at, "the squares of the loads sum to more than 1")
        for name in (*item.ratio, *([item.same_as] if item.same_as else [])):
            full = name if "@" in name else f"{name}@{item.venue}"
            if full not in names:
                refuse(at, f"its fundamental needs {full}, which is not in the market")
        if item.ratio and len(item.ratio) != 2:
            refuse(at, f"ratio: expected two symbols, found {len(item.ratio)}")
        if min(item.activity, item.size, float(item.price), float(item.tick), float(item.lot)) <= 0:
            refuse(at, "price, tick, lot, activity and size must be positive")
        item.instrument()
    for name, profile in market.profiles.items():
        _check_profile(profile, f"profiles.{name}", refuse)
    known = [f.name for f in dataclasses.fields(Fees) if not f.name.startswith("tier")]
    for venue, given in market.fees.items():
        if venue not in market.venues:
            refuse("fees", f"no venue {venue!r}{near(venue, market.venues)}")
        for name, amount in given.items():
            if name not in known:
                refuse(f"fees.{venue}", f"unknown key {name!r}{near(name, known)}")
            try:
                Decimal(amount)
            except InvalidOperation:
                refuse(f"fees.{venue}.{name}", f'expected a decimal in quotes, like "0.0030", found {amount!r}')


def _check_profile(profile: Profile, at: str, refuse: Any) -> None:
    flow = profile.flow
    if flow is not None:
        if not 1 <= max(flow.distances, len(flow.limit_rates)) <= MAX_DISTANCE:
            refuse(f"{at}.flow", f"expected 1 to {MAX_DISTANCE} distances")
        if not 2 <= flow.cells <= 4095:
            refuse(f"{at}.flow.cells", f"expected 2 to 4095, found {flow.cells}")
        if min(flow.limit_rate, flow.market_rate, *flow.limit_rates, *flow.cancel_rates, 0.0) < 0 or flow.lifetime <= 0:
            refuse(f"{at}.flow", "rates must not be negative, the lifetime positive")
        wild = flow.excitation
        if wild is not None:
            shapes = [len(wild.decay) == SCALES]
            for matrix in (wild.same, wild.opposite):
                shapes.append(
                    len(matrix) == SCALES and all(len(m) == 3 and all(len(r) == 3 for r in m) for m in matrix)
                )
            if not all(shapes):
                refuse(f"{at}.flow.excitation", f"expected {SCALES} decays and two matrices of shape ({SCALES}, 3, 3)")
    for caller in profile.auction:
        if not 2 <= caller.cells <= 4095 or min(caller.rate, caller.close_rate, caller.close_s, caller.noise) < 0:
            refuse(f"{at}.auction", "expected 2 to 4095 cells, and no negative rate, time or noise")
        if not 0 <= caller.market <= 1:
            refuse(f"{at}.auction.market", f"expected a share from 0 to 1, found {caller.market:g}")
    for execution in profile.executions:
        if not 0 <= execution.participation < 1:
            refuse(f"{at}.executions.participation", f"expected 0 to 1, found {execution.participation:g}")
    for maker in profile.market_makers:
        if not 1 <= maker.levels <= MAX_LEVELS or maker.size < 1 or maker.limit < 1:
            refuse(f"{at}.market_makers", f"expected 1 to {MAX_LEVELS} levels, size and limit of 1 or more")
