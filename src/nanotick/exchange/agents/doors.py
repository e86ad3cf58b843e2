"""The two doors through which a world enters an exchange, each compiled on its own.

The engine behind them is as large as the world before them. Reached by address, neither is compiled into the other: the
world compiles in seconds, a call costs about two nanoseconds, and another kind of exchange needs only other doors.
"""

from __future__ import annotations

from functools import cache

from nanotick.core.kernel import callback
from nanotick.core.records import command_at
from nanotick.exchange.market import exchange_clock, exchange_command


def _work_command(exchange: int, command_address: int) -> int:
    """Work a command at its own time."""
    return exchange_command(exchange, command_address, command_at(command_address).ts)


def _let_time_pass(exchange: int, now: int) -> int:
    """Do what is due at a time, ns UTC."""
    exchange_clock(exchange, now)
    return 0


@cache
def command_door() -> int:
    """Address of the code that works a command."""
    return callback(_work_command, "exchange.agents.doors.command")


@cache
def clock_door() -> int:
    """Address of the code that lets an exchange do what is due."""
    return callback(_let_time_pass, "exchange.agents.doors.clock")
