"""The latent world: fundamental values from a factor model, volatility that clusters, regimes, news, the day's shape.

Every step of dt seconds the log value of instrument i moves by

    sigma_i * v * c_i * sqrt(dt) * (sum_f load_if * z_f + idiosyncratic_i * e_i) + jumps,

with independent standard normal z_f (one a factor) and e_i, so the correlation of two instruments is the product of
their loads summed over the factors (Ross 1976). v is the volatility of the regime (a Markov chain, Hamilton 1989) times
the square root of the day's activity; c_i = exp(h_i - s^2), with h_i an Ornstein-Uhlenbeck process of stationary
standard deviation s (Taylor 1982), gives clustering. News arrive as Poisson processes, one for the market and one for
each instrument, move the value at once and raise activity, which fades exponentially. The day's activity is

    base + open * exp(-x / decay) + close * exp(-(1 - x) / decay),   x the share of the session gone,

a U (Jain & Joh 1988). Instruments whose fundamental is a ratio (a cross rate) or another's (the same thing at several
exchanges) take it from there.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.core.kernel import kernel
from nanotick.exchange.agents.records import agent_at, environment_at, state_at, world_at
from nanotick.exchange.draws import exponential, normal, uniform

_MAX_FADE = 50.0  # activity that news can bring at most


@kernel
def day_activity(environment: Any, now: int) -> float:
    """The day's activity at a time, 1 on average."""
    length = environment.end - environment.start
    x = (now - environment.start) / length
    x = min(1.0, max(0.0, x))
    edge = environment.open_level * math.exp(-x / environment.edge_decay)
    edge += environment.close_level * math.exp(-(1.0 - x) / environment.edge_decay)
    return environment.base_level + edge


@kernel
def change_regime(environment: Any, agent: Any, now: int) -> None:
    """Leave the regime for one of the others, each as likely, for an exponential time."""
    if environment.regimes > 1:
        step = 1 + int(uniform(agent.key, agent.counter) * (environment.regimes - 1))
        environment.regime = (environment.regime + step) % environment.regimes
    stay = exponential(agent.key, agent.counter + 1) * environment.regime_seconds[environment.regime]
    environment.regime_end = now + 1 + int(stay * 1e9)
    agent.counter += 2


@kernel
def news_jump(environment: Any, state: Any, size: float) -> None:
    """News of a size, in days of the instrument's volatility, reaches an instrument."""
    seconds = (environment.end - environment.start) * 1e-9
    state.log_value += size * state.sigma * math.sqrt(seconds)
    reach = abs(size) / max(environment.news_size, 1e-9)
    state.news = min(_MAX_FADE, state.news + environment.news_activity * reach)


@kernel
def environment_step(world: int, number: int, now: int) -> None:
    """Move the latent world by one step."""
    root = world_at(world)
    agent = agent_at(root.agents_address, number)
    environment = environment_at(root.environment_address)
    environment.steps += 1
    dt = environment.step_ns * 1e-9
    if now >= environment.regime_end:
        change_regime(environment, agent, now)
    day = day_activity(environment, now)
    regime = environment.regime
    volatility = environment.regime_volatility[regime] * math.sqrt(day)
    activity = environment.regime_activity[regime] * day
    if now < environment.start or now >= environment.end:
        activity *= environment.call_activity
    key = agent.key
    counter = agent.counter
    factors = environment.factors
    market_news = 0.0
    if uniform(key, counter) < environment.news_rate * dt:
        market_news = environment.news_size * normal(key, counter + 1)
    counter += 3
    first_factor = counter  # the factors' normals are drawn again for every instrument: no room is needed
    counter += 2 * factors
    fade = math.exp(-environment.news_fade * dt)
    keep = math.exp(-environment.cluster_rate * dt)
    fresh = environment.cluster_size * math.sqrt(max(0.0, 1.0 - keep * keep))
    centre = environment.cluster_size * environment.cluster_size
    for i in range(root.instruments):
        state = state_at(root.states_address, i)
        state.news = state.news * fade
        if state.numerator < 0:
            state.cluster = state.cluster * keep + fresh * normal(key, counter)
            shock = state.idiosyncratic * normal(key, counter + 2)
            for f in range(factors):
                if state.loads[f] != 0.0:
                    shock += state.loads[f] * normal(key, first_factor + 2 * f)
            state.volatility = state.sigma * volatility * math.exp(state.cluster - centre)
            state.log_value += state.volatility * math.sqrt(dt) * shock
            if market_news != 0.0:
                load = 1.0
                if factors > 0:
                    load = state.loads[0]
                news_jump(environment, state, market_news * load)
            if uniform(key, counter + 4) < state.news_rate * dt:
                news_jump(environment, state, environment.news_size * normal(key, counter + 5))
            state.value = state.start_value * math.exp(state.log_value)
            counter += 7
        state.activity = activity * (1.0 + state.news)
    for i in range(root.instruments):
        state = state_at(root.states_address, i)
        if state.numerator >= 0:
            above = state_at(root.states_address, state.numerator)
            state.activity = activity * (1.0 + above.news)
            state.volatility = above.volatility
            state.value = above.value * state.ratio_scale
            if state.denominator >= 0:
                below = state_at(root.states_address, state.denominator)
                state.value = above.value / below.value * state.ratio_scale
                state.volatility = math.sqrt(above.volatility * above.volatility + below.volatility * below.volatility)
    agent.counter = counter
