"""Counter-based random numbers: draw n of a key is a pure function of both, so the state is one integer.

The bits are two rounds of the SplitMix64 finaliser (Steele, Lea & Flood 2014) over key and counter. Each distribution
says how many numbers it consumed; the caller keeps the counter.
"""

from __future__ import annotations

import math

from nanotick.core.kernel import kernel
from nanotick.core.memory import mul_wrap, shift_right

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15
_MIX1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX2 = -7723592293110705685  # 0x94D049BB133111EB
_TO_UNIT = 1.0 / 9007199254740992.0  # 2^-53


@kernel
def mix64(x: int) -> int:
    """SplitMix64's finaliser."""
    x = mul_wrap(x ^ shift_right(x, 30), _MIX1)
    x = mul_wrap(x ^ shift_right(x, 27), _MIX2)
    return x ^ shift_right(x, 31)


@kernel
def uniform(key: int, counter: int) -> float:
    """Uniform in (0, 1), never an end point."""
    bits = mix64(mix64(key ^ mul_wrap(counter, _GOLDEN)) ^ counter)
    return (shift_right(bits, 11) + 0.5) * _TO_UNIT


@kernel
def normal(key: int, counter: int) -> float:
    """Standard normal by Box and Muller; consumes two numbers."""
    radius = math.sqrt(-2.0 * math.log(uniform(key, counter)))
    return radius * math.cos(6.283185307179586 * uniform(key, counter + 1))


@kernel
def exponential(key: int, counter: int) -> float:
    """Exponential of mean 1; consumes one number."""
    return -math.log(uniform(key, counter))


@kernel
def lognormal(key: int, counter: int, median: float, sigma: float) -> float:
    """Lognormal; consumes two numbers."""
    return median * math.exp(sigma * normal(key, counter))


@kernel
def pareto(key: int, counter: int, least: float, most: float, exponent: float) -> float:
    """Pareto of tail P(X > x) = (least / x)**exponent, cut off at `most` (inverse transform); consumes one number."""
    below = 1.0 - math.pow(least / most, exponent)
    return least * math.pow(1.0 - below * uniform(key, counter), -1.0 / exponent)


@kernel
def poisson(key: int, counter: int, mean: float) -> int:
    """Poisson by counting exponential arrivals (Knuth 1997, 3.4.1), for means up to about 30; consumes value + 1."""
    limit = math.exp(-mean)
    product = uniform(key, counter)
    count = 0
    while product > limit:
        count += 1
        product *= uniform(key, counter + count)
    return count


GAMMA_TRIES = 64  # the chance that so many proposals are all refused is below 1e-80
GAMMA_NUMBERS = 3 * GAMMA_TRIES + 1


@kernel
def gamma(key: int, counter: int, shape: float) -> float:
    """Gamma of unit scale (Marsaglia & Tsang 2000); the caller reserves GAMMA_NUMBERS numbers."""
    boosted = shape
    if shape < 1.0:
        boosted = shape + 1.0
    d = boosted - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    value = d
    for i in range(GAMMA_TRIES):
        x = normal(key, counter + 3 * i)
        u = uniform(key, counter + 3 * i + 2)
        v = 1.0 + c * x
        if v > 0.0:
            v = v * v * v
            if math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
                value = d * v
                break
    if shape < 1.0:
        value = value * math.pow(uniform(key, counter + 3 * GAMMA_TRIES), 1.0 / shape)
    return value
