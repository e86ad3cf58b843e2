"""Layouts of a living market: one root, one latent state an instrument, one agent each who acts, one table a kind.

    world ── links[venue]        where an exchange and its book, reports and feed lie
          ── states[instrument]  fundamental value, volatility, activity, news
          ── agents[number]      who acts: kind, instrument, random stream, orders; the number is the participant
          ── flows, makers, takers, executions, callers   parameters and memory of each kind, agents[..].index into them
          ── times, winners      the schedule: a tournament tree over the agents' next times
          ── cells               resting orders of the agents, reached by the low bits of their client order ids
          ── pending             commands on their way to the exchange
          ── metaorders          what execution agents have done, for the impact law

A client order id is `participant << 12 | cell`: ids are used again once their order is gone, so every participant
keeps to one page of the book's order index for ever.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np

from nanotick.core.memory import record_at

NEVER = 1 << 62  # a time that does not come
CELL_BITS = 12
CELL_MASK = (1 << CELL_BITS) - 1
TRANSIENT_CELL = CELL_MASK  # id of orders that never rest
MAX_DISTANCE = 64  # ticks from the opposite best price
SIZE_BINS = 256
TYPES = 6  # of flow events: limit, market and cancellation, each buy and sell
SCALES = 2  # time scales of the excitation
MAX_LEVELS = 4  # quotes a market maker keeps on one side
MAX_FACTORS = 8
MAX_REGIMES = 4
MAX_VENUES = 8


class AgentKind(IntEnum):
    """Who acts."""

    ENVIRONMENT = 0  # the latent world: fundamentals, regimes, news, sessions
    FLOW = 1  # anonymous order flow: Cont-Stoikov-Talreja, excited as a Hawkes process
    MARKET_MAKER = 2
    MOMENTUM = 3
    MEAN_REVERSION = 4
    INFORMED = 5
    NOISE = 6
    EXECUTION = 7  # works large orders in slices
    VALUE = 8  # supplies the more, the farther the price is from the fundamental
    AUCTION = 9  # orders for the opening, the closing and volatility auctions


ENVIRONMENT, FLOW, MARKET_MAKER, MOMENTUM, MEAN_REVERSION, INFORMED, NOISE, EXECUTION, VALUE, AUCTION = (
    int(k) for k in AgentKind
)


class WorldStatus(IntFlag):
    """What went wrong in the world; sticky."""

    OK = 0
    EXCHANGE = 1  # an exchange reported a status of its own
    CELLS = 2  # an agent had no cell for an order: the order was not sent
    CLOCK = 4  # the schedule asked for a time that has passed


STATUS_EXCHANGE = int(WorldStatus.EXCHANGE)
STATUS_CLOCK = int(WorldStatus.CLOCK)

WORLD = np.dtype(
    [
        ("links_address", "<i8"),
        ("states_address", "<i8"),
        ("agents_address", "<i8"),
        ("environment_address", "<i8"),
        ("flows_address", "<i8"),
        ("makers_address", "<i8"),
        ("takers_address", "<i8"),
        ("executions_address", "<i8"),
        ("callers_address", "<i8"),
        ("cells_address", "<i8"),
        ("lives_address", "<i8"),
        ("pending_address", "<i8"),
        ("sizes_address", "<i8"),
        ("metaorders_address", "<i8"),
        ("times_address", "<i8"),
        ("winners_address", "<i8"),
        ("command_address", "<i8"),
        ("venues", "<i8"),
        ("instruments", "<i8"),
        ("agents", "<i8"),
        ("leaves", "<i8"),  # places of the tournament tree, a power of two
        ("now", "<i8"),  # ns UTC
        ("status", "<i8"),  # WorldStatus
        ("outsiders", "<i8"),  # 1: somebody else reads the report rings and frees them
        ("wakes", "<i8"),  # things done
        ("commands", "<i8"),  # commands sent
        ("dropped", "<i8"),  # orders not sent for want of a cell
        ("metaorder_capacity", "<i8"),
        ("metaorder_count", "<i8"),
        ("taker", "<i8"),  # of the command under way: instrument + 1 of a trade by somebody else than the flow
        ("taker_side", "<i8"),
    ],
    align=True,
)
LINK = np.dtype(
    [
        ("exchange_address", "<i8"),
        ("book_address", "<i8"),
        ("reports_seen", "<i8"),  # sequence number of the next report the world has not read
        ("command_function", "<i8"),  # code that works a command: see `doors`
        ("clock_function", "<i8"),  # code that lets the exchange do what is due
    ],
    align=True,
)
ENVIRONMENT_RECORD = np.dtype(
    [
        ("step_ns", "<i8"),
        ("start", "<i8"),  # ns UTC, opening
        ("end", "<i8"),  # ns UTC, close
        ("open_level", "<f8"),  # activity: base + open * exp(-x / decay) + close * exp(-(1 - x) / decay), x in 0..1
        ("close_level", "<f8"),
        ("base_level", "<f8"),
        ("edge_decay", "<f8"),
        ("factors", "<i8"),
        ("regimes", "<i8"),
        ("regime", "<i8"),
        ("regime_end", "<i8"),  # ns UTC
        ("regime_volatility", "<f8", (MAX_REGIMES,)),
        ("regime_activity", "<f8", (MAX_REGIMES,)),
        ("regime_seconds", "<f8", (MAX_REGIMES,)),  # mean stay
        ("news_rate", "<f8"),  # market-wide, 1/s
        ("news_size", "<f8"),  # standard deviation of the jump, in days of volatility
        ("news_fade", "<f8"),  # 1/s, of the activity that news brings
        ("news_activity", "<f8"),  # activity that a jump of one size adds
        ("cluster_rate", "<f8"),  # 1/s, mean reversion of the instruments' log volatility
        ("cluster_size", "<f8"),  # its stationary standard deviation
        ("call_activity", "<f8"),  # multiplies activity before the opening and after the close
        ("steps", "<i8"),
    ],
    align=True,
)
STATE = np.dtype(
    [
        ("value", "<f8"),  # latent fundamental price, price units
        ("log_value", "<f8"),  # of it over its start
        ("start_value", "<f8"),  # price units
        ("activity", "<f8"),  # of the instrument now, 1: average
        ("volatility", "<f8"),  # of the fundamental now, 1/sqrt(s)
        ("sigma", "<f8"),  # its average
        ("cluster", "<f8"),  # log volatility, mean 0
        ("news", "<f8"),  # activity that news has left
        ("news_rate", "<f8"),  # 1/s, of the instrument's own news
        ("idiosyncratic", "<f8"),  # share of sigma that no factor explains
        ("loads", "<f8", (MAX_FACTORS,)),
        ("numerator", "<i4"),  # the fundamental is a ratio of others': instrument numbers, -1: none
        ("denominator", "<i4"),
        ("ratio_scale", "<f8"),
        ("mid", "<f8"),  # last known, price units
        ("tick", "<i8"),
        ("lot", "<i8"),
        ("flow", "<i4"),  # number of the agent, -1: none
        ("venue", "<i4"),
    ],
    align=True,
)
AGENT = np.dtype(
    [
        ("key", "<i8"),
        ("counter", "<i8"),
        ("latency_ns", "<i8"),
        ("rate", "<f8"),  # wakes a second at ordinary activity
        ("position", "<i8"),  # net quantity
        ("cash", "<i8"),  # value units, fees included
        ("fills", "<i8"),
        ("sent", "<i8"),
        ("rejected", "<i8"),
        ("kind", "<i4"),
        ("index", "<i4"),
        ("instrument", "<i4"),
        ("venue", "<i4"),
        ("pending", "<i4"),  # commands that arrive at the next time
        ("pending_first", "<i4"),
        ("cell_first", "<i4"),
        ("cell_count", "<i4"),
        ("cell_next", "<i4"),
        ("live_first", "<i4"),
        ("live", "<i4", (2,)),
        ("pad", "<i8"),
    ],
    align=True,
)
CELL = np.dtype(
    [
        ("price", "<i8"),
        ("leaves", "<i8"),  # 0: free
        ("place", "<i4"),  # in the list of live orders; the quote of a market maker
        ("side", "<i4"),
        ("pad", "<i8"),
    ],
    align=True,
)
FLOW_RECORD = np.dtype(
    [
        ("limit_rate", "<f8"),  # a second and side, all distances
        ("market_rate", "<f8"),  # a second and side
        ("cancel_rate", "<f8"),  # a second and order, the largest of all distances
        ("activity", "<f8"),  # as it was when the next event was scheduled
        ("bound", "<f8"),  # total rate then: no later rate is above it
        ("lean", "<f8"),  # how far the side of market orders follows the fundamental, 0 to 1
        ("lean_ticks", "<f8"),  # distance of the fundamental from the mid at which it follows entirely
        ("inside", "<f8"),  # share of limit orders that better the best price when the spread allows
        ("sweep", "<f8"),  # share of market orders that may take more than the best price holds
        ("excited_at", "<i8"),
        ("excited", "<i4"),  # 1: a Hawkes process
        ("distances", "<i4"),
        ("limit_sizes", "<i4"),  # rows of the table of sizes
        ("market_sizes", "<i4"),
        ("seed_depth", "<i4"),  # levels with orders at the start
        ("seed_orders", "<i4"),  # orders at each
        ("seeds", "<i4"),  # first orders still to be placed
        ("event", "<i4"),  # type of the event under way, -1: none
        ("decay", "<f8", (SCALES,)),  # 1/s
        ("excitation", "<f8", (SCALES * TYPES,)),  # 1/s, by scale and target
        ("kick", "<f8", (SCALES * TYPES * TYPES,)),  # by scale, source and target
        ("cancel_share", "<f8", (MAX_DISTANCE,)),  # of cancel_rate, by distance - 1
        ("alias_chance", "<f8", (MAX_DISTANCE,)),  # alias method: where limit orders go
        ("alias", "<i4", (MAX_DISTANCE,)),
        ("counts", "<i8", (TYPES,)),  # events so far
    ],
    align=True,
)
MAKER = np.dtype(
    [
        ("half_spread", "<f8"),  # ticks
        ("volatility_spread", "<f8"),  # half spread widens by this times the volatility over a second, in ticks
        ("weight", "<f8"),  # of the fundamental in the fair price, the mid has the rest
        ("skew", "<f8"),  # ticks by which the fair price leans at the position limit
        ("tolerance", "<f8"),  # ticks a quote may be off before it is moved
        ("levels", "<i4"),
        ("step", "<i4"),  # ticks between levels
        ("size", "<i8"),  # of a quote
        ("limit", "<i8"),  # of the position
        ("quotes", "<i4", (2 * MAX_LEVELS,)),  # cell + 1 by side and level
    ],
    align=True,
)
TAKER = np.dtype(
    [
        ("fast", "<f8"),  # 1/s, decay of the averages of the mid
        ("slow", "<f8"),
        ("fast_mid", "<f8"),
        ("slow_mid", "<f8"),
        ("threshold", "<f8"),  # ticks
        ("noise", "<f8"),  # ticks, standard deviation of the error in the informed trader's value
        ("slippage", "<i8"),  # ticks beyond the opposite best price that are paid
        ("limit", "<i8"),  # of the position
        ("last", "<i8"),  # ns UTC
        ("sizes", "<i8"),  # row of the table of sizes
        ("depth", "<f8"),  # value traders: quantity supplied at a mispricing of one price unit, growing as its square
        ("held", "<f8"),  # quantity traded, what is old forgotten
        ("seen", "<i8"),  # the position that `held` knows of
    ],
    align=True,
)
EXECUTION_RECORD = np.dtype(
    [
        ("arrival", "<f8"),  # 1/s, of large orders
        ("least", "<f8"),  # lots
        ("most", "<f8"),
        ("exponent", "<f8"),  # of the Pareto tail of their size
        ("slice", "<f8"),  # lots, mean of a slice
        ("interval", "<f8"),  # s between slices
        ("participation", "<f8"),  # share of the volume that a slice takes; 0: slices of the size above
        ("horizon", "<i8"),  # ns UTC, end of a large order that follows the volume
        ("volume", "<i8"),  # of the instrument when it began
        ("side", "<i8"),  # 0: waiting for an order
        ("left", "<i8"),
        ("total", "<i8"),
        ("start", "<i8"),  # ns UTC
        ("start_mid", "<f8"),
        ("start_value", "<f8"),
        ("cash_before", "<i8"),
        ("position", "<i8"),  # of the agent, as far as it is counted
        ("flip", "<f8"),  # probability that the next order is on the other side
        ("last_side", "<i8"),
    ],
    align=True,
)
CALLER = np.dtype(
    [
        ("rate", "<f8"),  # orders a second while an auction collects them
        ("close_rate", "<f8"),  # at-the-close orders a second before the close
        ("close_ns", "<i8"),  # how long before the close they begin; 0: none
        ("market", "<f8"),  # share of orders without a limit
        ("noise", "<f8"),  # ticks, standard deviation of limits about the fundamental
        ("sizes", "<i8"),  # row of the table of sizes
    ],
    align=True,
)
METAORDER = np.dtype(
    [
        ("start", "<i8"),  # ns UTC
        ("end", "<i8"),
        ("instrument", "<i8"),
        ("side", "<i8"),
        ("qty", "<i8"),  # executed
        ("start_mid", "<f8"),  # price units
        ("end_mid", "<f8"),
        ("start_value", "<f8"),  # of the fundamental, price units
        ("end_value", "<f8"),
        ("paid", "<i8"),  # value units, negative: received; price * quantity
        ("participation", "<f8"),  # 0: slices of a fixed size
    ]
)
SIZES = np.dtype([("lots", "<i4", (SIZE_BINS,))])

world_at = record_at(WORLD, "World")
link_at = record_at(LINK, "ExchangeLink")
environment_at = record_at(ENVIRONMENT_RECORD, "Environment")
state_at = record_at(STATE, "LatentState")
agent_at = record_at(AGENT, "Agent")
cell_at = record_at(CELL, "AgentOrder")
flow_at = record_at(FLOW_RECORD, "OrderFlow")
maker_at = record_at(MAKER, "MarketMaker")
taker_at = record_at(TAKER, "Taker")
execution_at = record_at(EXECUTION_RECORD, "Execution")
caller_at = record_at(CALLER, "AuctionTrader")
metaorder_at = record_at(METAORDER, "Metaorder")
sizes_at = record_at(SIZES, "Sizes")

assert AGENT.itemsize == 128, AGENT.itemsize
assert CELL.itemsize == 32, CELL.itemsize
