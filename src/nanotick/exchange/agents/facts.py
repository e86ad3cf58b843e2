"""Stylised facts of a market, measured: each a number with the range the literature reports and where it says so.

The same estimators serve recordings and simulations, so both can stand side by side. Instruments are pooled: returns
are divided by their standard deviation first, autocorrelations and exponents are averaged with the number of
observations as weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.exchange.agents.observe import Observation
from nanotick.exchange.agents.power_law import NO_LAW, power_law

Floats = npt.NDArray[np.float64]
MIN_RETURNS = 200
MIN_TRADES = 500
LAGS = 20
_BOX_MIN = 16
_OF_NINE_LAGS = NormalDist().inv_cdf(0.5 + 0.5 * 0.95 ** (1 / 9))  # 95 % of the largest of nine stay below it


@dataclass(frozen=True)
class Fact:
    """One stylised fact.

    Attributes
    ----------
    name : str
    value : float, optional
        None when there is too little data; `note` then says what is missing.
    error : float
        Half width of a 95 % band around it, where one is known; nan otherwise.
    low, high : float
        What the literature reports; infinite where it gives no bound.
    what : str
        What was measured, with its unit.
    source : str
    note : str
    """

    name: str
    value: float | None
    error: float
    low: float
    high: float
    what: str
    source: str
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the value is in the reported range; None without a value."""
        return None if self.value is None else bool(self.low <= self.value <= self.high)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, None for what is not finite."""
        plain = {k: (None if isinstance(v, float) and not math.isfinite(v) else v) for k, v in asdict(self).items()}
        return {**plain, "holds": self.holds}


# --- estimators -----------------------------------------------------------------------------------------------------


def autocorrelation(x: npt.NDArray[Any], lags: int = LAGS) -> Floats:
    """Sample autocorrelation at lags 1 to `lags`, shape (lags,)."""
    x = np.asarray(x, np.float64) - np.mean(x)
    power = float(np.dot(x, x))
    if power == 0.0 or len(x) <= lags:
        return np.zeros(lags)
    return np.array([float(np.dot(x[:-k], x[k:])) / power for k in range(1, lags + 1)])


def hill(x: npt.NDArray[Any], share: float = 0.05) -> tuple[float, float]:
    """Tail index of |x| from its largest `share` (Hill 1975), and half of its 95 % band.

    Examples
    --------
    >>> u = (np.arange(20_000) + 0.5) / 20_000
    >>> round(hill(u ** (-1 / 3))[0], 1)
    3.0
    """
    ordered = np.sort(np.abs(np.asarray(x, np.float64)))[::-1]
    k = min(len(ordered) - 1, max(10, int(share * len(ordered))))
    if k < 10 or ordered[k] <= 0:
        return math.nan, math.nan
    alpha = 1.0 / float(np.mean(np.log(ordered[:k] / ordered[k])))
    return alpha, 1.96 * alpha / math.sqrt(k)


def excess_kurtosis(x: npt.NDArray[Any]) -> float:
    """Fourth standardised moment less 3: zero for a normal distribution."""
    x = np.asarray(x, np.float64) - np.mean(x)
    variance = float(np.mean(x * x))
    return float(np.mean(x**4)) / variance**2 - 3.0 if variance > 0 else math.nan


def fluctuation_exponent(x: npt.NDArray[Any]) -> float:
    """Detrended fluctuation analysis (Peng et al. 1994): 0.5 without memory, above it with long memory.

    The profile (cumulative sum of x less its mean) is cut into boxes, a straight line is taken off each, and the root
    mean square of what is left grows as box size to the exponent.
    """
    profile = np.cumsum(np.asarray(x, np.float64) - np.mean(x))
    longest = len(profile) // 8
    if longest < 4 * _BOX_MIN:
        return math.nan
    sizes = np.unique(np.geomspace(_BOX_MIN, longest, 14).astype(int))
    spread = []
    for size in sizes:
        boxes = profile[: len(profile) // size * size].reshape(-1, size)
        t = np.arange(size) - (size - 1) / 2
        slope = boxes @ t / float(t @ t)
        rest = boxes - boxes.mean(axis=1, keepdims=True) - slope[:, None] * t
        spread.append(math.sqrt(float(np.mean(rest * rest))))
    return float(np.polyfit(np.log(sizes), np.log(spread), 1)[0])


def grid_returns(samples: npt.NDArray[Any], grid_ns: int, steps: int) -> Floats:
    """Log returns of the mid over `steps` grid steps that do not overlap and are not broken by a gap."""
    if len(samples) < 2:
        return np.zeros(0)
    ts = samples["ts"] // grid_ns
    mids = 0.5 * (samples["bid"].astype(np.float64) + samples["ask"])
    chosen = np.flatnonzero(ts % steps == 0)
    good = (np.diff(ts[chosen]) == steps) & (mids[chosen][:-1] > 0) & (mids[chosen][1:] > 0)
    return np.log(mids[chosen][1:][good] / mids[chosen][:-1][good])


def aggregate_impact(trades: npt.NDArray[Any], window: int = 20) -> tuple[Floats, Floats]:
    """Size of the signed volume of `window` market orders in a row, and the mid's move in its direction.

    Both divided by their instrument's mean, so that instruments can be pooled; shape (windows,).
    """
    usable = trades[(trades["side"] != 0) & (trades["mid"] > 0)]
    count = (len(usable) - 1) // window
    if count < 10:
        return np.zeros(0), np.zeros(0)
    signed = (usable["side"] * usable["qty"]).astype(np.float64)[: count * window].reshape(count, window).sum(axis=1)
    mids = usable["mid"][: count * window + 1 : window]
    move = np.diff(mids) * np.sign(signed)
    size = np.abs(signed)
    kept = size > 0
    scale_x, scale_y = float(np.mean(size[kept])), float(np.mean(np.abs(move[kept])))
    if scale_y == 0.0:
        return np.zeros(0), np.zeros(0)
    return size[kept] / scale_x, move[kept] / scale_y


# --- the facts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pool:
    """What the facts are computed from, instruments pooled."""

    returns: dict[int, list[Floats]]  # by horizon in grid steps, standardised
    signs: list[Floats]
    impact: tuple[Floats, Floats]
    spread_ns: Floats
    sizes: Floats  # of the best quotes over their mean
    depth: Floats  # mean quantity by distance over that of all
    buckets: Floats  # share of the volume by thirteenth of the session


def _pool(seen: Observation, horizons: tuple[int, ...]) -> _Pool:
    grid = int(seen.grid_seconds * 1e9)
    returns: dict[int, list[Floats]] = {h: [] for h in horizons}
    signs, moves, sizes, best = [], [], [], []
    spread, depth, buckets = np.zeros(0), np.zeros(0), np.zeros(13)
    for number in range(len(seen.instruments)):
        samples, trades, _ = seen.of(number)
        for horizon in horizons:
            r = grid_returns(samples, grid, horizon)
            deviation = float(np.std(r)) if len(r) > 20 else 0.0
            if deviation > 0:
                returns[horizon].append((r - r.mean()) / deviation)
        known = trades["side"][trades["side"] != 0]
        if len(known) >= MIN_TRADES:
            signs.append(known.astype(np.float64))
        size, move = aggregate_impact(trades)
        moves.append(move)
        sizes.append(size)
        row = seen.observed[number]
        spread = row["spread_ns"].astype(float) + (spread if len(spread) else 0.0)
        resting = row["resting_qty"].astype(float)
        if resting.sum() > 0:
            depth = resting / resting.sum() + (depth if len(depth) else 0.0)
        if len(samples) > 100:
            for name in ("bid_qty", "ask_qty"):
                best.append(samples[name] / max(1e-12, float(np.mean(samples[name]))))
            span = samples["ts"][-1] - samples["ts"][0] + grid
            place = np.minimum(12, (samples["ts"] - samples["ts"][0]) * 13 // span)
            total = float(samples["volume"].sum())
            if total > 0:
                buckets += np.bincount(place, weights=samples["volume"], minlength=13) / total
    joined = (np.concatenate(sizes), np.concatenate(moves)) if sizes else (np.zeros(0), np.zeros(0))
    top = np.concatenate(best) if best else np.zeros(0)
    return _Pool(returns, signs, joined, spread, top, depth, buckets)


def _mean_acf(parts: list[Floats], change: Callable[[Floats], Floats], lags: int) -> tuple[Floats, int]:
    long = [change(x) for x in parts if len(x) > 3 * lags]
    count = sum(len(x) for x in long)
    if not long:
        return np.zeros(lags), 0
    mean = np.average([autocorrelation(x, lags) for x in long], axis=0, weights=[len(x) for x in long])
    return np.asarray(mean, np.float64), count


def _autocorrelation_band(parts: list[Floats], lags: int) -> float:
    """What 95 % of the largest of nine autocorrelations of uncorrelated returns stay below, pooled as `_mean_acf` does.

    Returns of changing volatility scatter more than 1 / sqrt(n), with the variance
    sum r_t^2 r_(t-k)^2 / (sum r_t^2)^2 (Diebold 1988).
    """
    long = [x - x.mean() for x in parts if len(x) > 3 * lags]
    count = sum(len(x) for x in long)
    variance = 0.0
    for x in long:
        square = x * x
        shared = np.mean([float(np.dot(square[:-k], square[k:])) for k in range(2, lags + 1)])
        variance += (len(x) / count) ** 2 * float(shared) / float(square.sum()) ** 2
    return _OF_NINE_LAGS * math.sqrt(variance) if variance > 0 else math.inf


@dataclass(frozen=True)
class FactSheet:
    """The facts of one market, and the curves behind them for a picture.

    Attributes
    ----------
    label : str
    facts : tuple of Fact
    curves : dict
        Name to (x, y) arrays.
    """

    label: str
    facts: tuple[Fact, ...]
    curves: dict[str, tuple[Floats, Floats]]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"label": self.label, "facts": [fact.as_dict() for fact in self.facts]}

    def fact(self, name: str) -> Fact:
        """A fact by name."""
        return next(fact for fact in self.facts if fact.name == name)


def stylised_facts(seen: Observation, label: str = "market", short_s: float = 10.0, long_s: float = 60.0) -> FactSheet:
    """Measure the stylised facts of an observed market.

    Parameters
    ----------
    seen : Observation
    label : str
        What the market is called.
    short_s, long_s : float
        Horizons of returns, seconds, whole multiples of the observation's grid.
    """
    short, long = (max(1, round(s / seen.grid_seconds)) for s in (short_s, long_s))
    pool = _pool(seen, (short, long))
    curves: dict[str, tuple[Floats, Floats]] = {}
    found = [*_return_facts(pool, short, long, short_s, long_s, curves), *_flow_facts(pool, curves)]
    found += _book_facts(pool, curves)
    return FactSheet(label, tuple(found), curves)


def _return_facts(
    pool: _Pool, short: int, long: int, short_s: float, long_s: float, curves: dict[str, tuple[Floats, Floats]]
) -> list[Fact]:
    pooled = np.concatenate(pool.returns[short]) if pool.returns[short] else np.zeros(0)
    enough = len(pooled) >= MIN_RETURNS
    need = "" if enough else f"{len(pooled)} returns, {MIN_RETURNS} needed"
    alpha, band = hill(pooled) if enough else (math.nan, math.nan)
    if enough:
        ordered = np.sort(np.abs(pooled))[::-1]
        curves["tail"] = (ordered, (np.arange(len(ordered)) + 1.0) / len(ordered))
    inf = math.inf
    facts = [
        Fact(
            "tail_index", alpha if math.isfinite(alpha) else None, band, 2.0, 5.0,
            f"Hill estimate from the largest 5 % of {short_s:g} s returns", "Cont 2001; Gopikrishnan et al. 1998", need,
        ),
        Fact(
            "excess_kurtosis", excess_kurtosis(pooled) if enough else None,
            1.96 * math.sqrt(24 / max(1, len(pooled))), 0.5, inf,
            f"of {short_s:g} s returns", "Cont 2001", need,
        ),
    ]  # fmt: skip
    linear, count = _mean_acf(pool.returns[long], lambda x: x, 10)
    need = "" if count >= MIN_RETURNS else f"{count} returns of {long_s:g} s, {MIN_RETURNS} needed"
    noise = _autocorrelation_band(pool.returns[long], 10)
    facts.append(
        Fact(
            "return_autocorrelation", None if need else float(np.abs(linear[1:]).max()), noise, 0.0, max(0.1, noise),
            f"largest |autocorrelation| of {long_s:g} s returns at lags 2 to 10", "Cont 2001", need,
        )
    )  # fmt: skip
    size, count = _mean_acf(pool.returns[short], np.abs, LAGS)
    need = "" if count >= MIN_RETURNS else f"{count} returns of {short_s:g} s, {MIN_RETURNS} needed"
    noise = 1.96 / math.sqrt(max(1, count))
    if not need:
        curves["volatility"] = (np.arange(1.0, LAGS + 1) * short_s, size)
        curves["returns"] = (np.arange(1.0, 11) * long_s, linear)
    facts.append(
        Fact(
            "volatility_clustering", None if need else float(size.mean()), noise, max(0.02, noise), inf,
            f"mean autocorrelation of |{short_s:g} s return| at lags 1 to {LAGS}", "Ding, Granger & Engle 1993", need,
        )
    )  # fmt: skip
    return facts


def _flow_facts(pool: _Pool, curves: dict[str, tuple[Floats, Floats]]) -> list[Fact]:
    memory = [fluctuation_exponent(x) for x in pool.signs]
    weights = [len(x) for x, h in zip(pool.signs, memory, strict=True) if math.isfinite(h)]
    values = [h for h in memory if math.isfinite(h)]
    hurst = float(np.average(values, weights=weights)) if values else None
    if pool.signs:
        lags = np.unique(np.geomspace(1, 200, 25).astype(int))
        acf, _ = _mean_acf(pool.signs, lambda x: x, 200)
        curves["signs"] = (lags.astype(float), acf[lags - 1])
    facts = [
        Fact(
            "sign_memory", hurst, 0.02 if hurst is not None else math.nan, 0.55, 0.95,
            "fluctuation exponent of market order signs (0.5: none)", "Lillo & Farmer 2004: about 0.7",
            "" if hurst is not None else f"fewer than {MIN_TRADES} signed market orders of any instrument",
        )
    ]  # fmt: skip
    size, move = pool.impact
    law = power_law(size, move) if len(size) >= 200 else NO_LAW
    exponent = law.exponent
    if math.isfinite(exponent):
        curves["impact"] = (law.mean_x, law.mean_y)
    facts.append(
        Fact(
            "impact_exponent", exponent if math.isfinite(exponent) else None, 1.96 * law.error, 0.2, 0.9,
            "of the mid's move in the signed volume of 20 market orders (1: linear)",
            "Bouchaud, Farmer & Lillo 2009; Almgren et al. 2005: 0.6",
            "" if math.isfinite(exponent) else f"{len(size)} windows of 20 market orders, 200 needed",
        )
    )  # fmt: skip
    return facts


def _book_facts(pool: _Pool, curves: dict[str, tuple[Floats, Floats]]) -> list[Fact]:
    inf = math.inf
    total = float(pool.spread_ns.sum())
    ticks = np.arange(1, len(pool.spread_ns) + 1)
    share = pool.spread_ns / total if total > 0 else pool.spread_ns
    facts = [
        Fact(
            "spread_ticks", float(share @ ticks) if total > 0 else None, math.nan, 1.0, inf,
            "mean over time", "",
        ),
        Fact(
            "spread_one_tick", float(share[0]) if total > 0 else None, math.nan, 0.0, 1.0,
            "share of the time at one tick", "",
        ),
    ]  # fmt: skip
    if total > 0:
        curves["spread"] = (ticks.astype(float), share)
    variation = float(np.std(pool.sizes)) if len(pool.sizes) else None
    facts.append(
        Fact(
            "best_size_variation", variation, math.nan, 0.4, 5.0,
            "standard deviation over mean of the best quantity", "Bouchaud, Mezard & Potters 2002: gamma, 1.1 to 1.2",
        )
    )  # fmt: skip
    if len(pool.depth) and pool.depth.sum() > 0:
        profile = pool.depth / pool.depth.sum()
        curves["depth"] = (np.arange(1.0, len(profile) + 1), profile)
        facts.append(
            Fact(
                "depth_peak_ticks", float(np.argmax(profile) + 1), math.nan, 1.0, inf,
                "distance from the opposite best with the largest mean quantity", "Bouchaud, Mezard & Potters 2002",
            )
        )  # fmt: skip
    if pool.buckets.sum() > 0:
        day = pool.buckets / pool.buckets.sum()
        curves["volume"] = (np.arange(13.0), day * 13)
        middle = float(day[4:9].mean())
        facts.append(
            Fact(
                "volume_u_shape", float((day[0] + day[-1]) / 2 / middle) if middle > 0 else None, math.nan, 1.2, inf,
                "volume of the first and last thirteenth over that of the middle five", "Jain & Joh 1988",
            )
        )  # fmt: skip
    return facts
