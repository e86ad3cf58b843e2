"""The two doors through which a world enters an exchange, each compiled on its own.

The engine behind them is as large as the world before them. Reached by address, neither is compiled into the other: the
world compiles in seconds, a call costs about two nanoseconds, and another kind of exchange needs only other doors.
"""

from __future__ import annotations

from nanotick.core.kernel import lasting_callback
from nanotick.core.records import command_at
from nanotick.exchange.market import exchange_clock, exchange_command


@lasting_callback("exchange.agents.doors.command")
def command_door(exchange: int, command_address: int) -> int:
    """Work a command at its own time."""
    return exchange_command(exchange, command_address, command_at(command_address).ts)


@lasting_callback("exchange.agents.doors.clock")
def clock_door(exchange: int, now: int) -> int:
    """Do what is due at a time, ns UTC."""
    exchange_clock(exchange, now)
    return 0
