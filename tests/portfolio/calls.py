"""The kernels of the portfolio as Python calls: one entry, compiled once and cached."""

from nanotick.core.kernel import kernel
from nanotick.core.memory import bits_float, float_bits
from nanotick.portfolio import (
    account_refresh,
    day_roll,
)
from nanotick.portfolio import (
    portfolio_bust as bust,
)
from nanotick.portfolio import (
    portfolio_fill as fill,
)
from nanotick.portfolio import (
    portfolio_funding as funding,
)
from nanotick.portfolio import (
    portfolio_mark as mark,
)
from nanotick.portfolio import (
    position_average as average,
)
from nanotick.portfolio import (
    position_unrealised as unrealised,
)

FILL, BUST, FUNDING, MARK, REFRESH, DAY, UNREALISED, AVERAGE = range(8)


@kernel("i8(i8,i8,i8,i8,i8,i8,i8,i8,i8)")
def call(address: int, what: int, s: int, n: int, side: int, price: int, qty: int, fee: int, ts: int) -> int:
    """Call the kernel of this number."""
    if what == FILL:
        return fill(address, s, n, side, price, qty, fee, ts)
    if what == BUST:
        return bust(address, s, n, side, price, qty, fee, ts)
    if what == FUNDING:
        funding(address, n, fee, price)
    elif what == MARK:
        mark(address, n, price)
    elif what == REFRESH:
        return account_refresh(address, s)
    elif what == DAY:
        return 1 if day_roll(address, ts) else 0
    elif what == UNREALISED:
        return unrealised(address, s, n)
    elif what == AVERAGE:
        return float_bits(average(address, s, n))
    return 0


def portfolio_fill(address, s, n, side, price, qty, fee, ts):
    return call(address, FILL, s, n, side, price, qty, fee, ts)


def portfolio_bust(address, s, n, side, price, qty, fee, ts):
    return call(address, BUST, s, n, side, price, qty, fee, ts)


def portfolio_funding(address, n, rate, price):
    call(address, FUNDING, 0, n, 0, price, 0, rate, 0)


def portfolio_mark(address, n, price):
    call(address, MARK, 0, n, 0, price, 0, 0, 0)


def refresh(address, s):
    return call(address, REFRESH, s, 0, 0, 0, 0, 0, 0)


def roll_day(address, ts):
    return bool(call(address, DAY, 0, 0, 0, 0, 0, 0, ts))


def position_unrealised(address, s, n):
    return call(address, UNREALISED, s, n, 0, 0, 0, 0, 0)


def position_average(address, s, n):
    return bits_float(call(address, AVERAGE, s, n, 0, 0, 0, 0, 0))
