"""The portfolio of a run, laid out in an arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.zone import lay_zone
from nanotick.portfolio.records import ACCOUNT, HOLDING, LOT, PORTFOLIO, POSITION, CostMethod

MICRO = 1_000_000
_LARGEST = 1 << 62


class Portfolio:
    """Positions and accounts of all strategies.

    Parameters
    ----------
    arena : Arena
    strategies : int
        Number of strategies, 1 or more.
    instruments : InstrumentTable
        Bound into the arena as region `instruments` if it is not yet.
    cash : sequence of int
        Initial cash of each strategy, micro units of the account currency.
    method : {"average", "fifo"}
    currency : str
        The account currency.
    rates : mapping of str to decimal, optional
        Account currency units in one unit of another currency, for each settlement currency in use. Static: it values
        limits and samples, it moves no money.
    lots : int
        Opening fills that can be told apart at once (FIFO); more are merged with the youngest of their position.
    day_offset_ns : int
        When a trading day begins, ns after midnight.
    time_zone : str
        IANA name of the clock that says so.
    name : str
        Prefix of the regions.

    Attributes
    ----------
    address : int
        Of the root record, for kernels.
    root : numpy.void
        The root record, a live view.

    Raises
    ------
    ValueError
        A rate is missing or not positive, or an argument is out of range.
    """

    def __init__(
        self,
        arena: Arena,
        strategies: int,
        instruments: InstrumentTable,
        cash: Sequence[int],
        method: str = "average",
        currency: str = "USD",
        rates: Mapping[str, str | int | Decimal] | None = None,
        lots: int = 1 << 20,
        day_offset_ns: int = 0,
        time_zone: str = "UTC",
        name: str = "portfolio",
    ) -> None:
        if strategies < 1 or len(cash) != strategies:
            raise ValueError(
                f"portfolio: expected the cash of each of {strategies} strategies, found {len(cash)} amounts"
            )
        if method.upper() not in CostMethod.__members__:
            raise ValueError(f"portfolio: expected a cost method of 'average' or 'fifo', found {method!r}")
        self.currency = currency
        self.method = CostMethod[method.upper()]
        pairs = max(1, len(instruments))
        root_region = arena.region(f"{name}.root", PORTFOLIO, 1)
        self.root = root_region.view[0]
        root = self.root
        self.address = root_region.address
        assert PORTFOLIO.fields is not None
        used = self.address + int(PORTFOLIO.fields["lots_used"][1])
        self.positions = arena.region(f"{name}.positions", POSITION, strategies * pairs)
        self.holdings = arena.region(f"{name}.holdings", HOLDING, pairs)
        self.accounts = arena.region(f"{name}.accounts", ACCOUNT, strategies + 1)
        held = arena.region(f"{name}.held", "<i4", strategies * pairs)
        fifo = self.method == CostMethod.FIFO
        self.lots = arena.region(f"{name}.lots", LOT, (lots if fifo else 0) + 1, used)
        bound = arena["instruments"] if "instruments" in arena else instruments.bind(arena)
        root["positions_address"] = self.positions.address
        root["holdings_address"] = self.holdings.address
        root["accounts_address"] = self.accounts.address
        root["held_address"] = held.address
        root["lots_address"] = self.lots.address
        root["instruments_address"] = bound.address
        root["strategies"], root["instruments"] = strategies, len(instruments)
        root["method"] = self.method
        root["lot_capacity"], root["lots_used"] = lots if fifo else 0, 1
        root["day_offset_ns"], root["day"] = day_offset_ns, -1
        root["zone_address"] = lay_zone(arena, time_zone, f"{name}.zone")
        for holding, item in zip(self.holdings.view, instruments, strict=False):
            where = f"{item.symbol}@{item.venue}"
            ratio = _rate(item.currency, currency, rates or {}, where) * MICRO / 10**item.value_decimals
            if ratio.numerator >= _LARGEST or ratio.denominator >= _LARGEST:
                raise ValueError(f"portfolio: the rate of {item.currency} has too many digits for {where}; round it")
            holding["numerator"], holding["denominator"] = ratio.numerator, ratio.denominator
        for account, amount in zip(self.accounts.view, [*cash, sum(cash)], strict=True):
            for field in ("initial_cash", "cash", "equity", "peak_equity", "day_start_equity"):
                account[field] = amount

    def position(self, instrument: int) -> int:
        """What all strategies together hold of an instrument, quantity units."""
        return int(self.holdings.view[instrument]["qty"])

    def mark(self, instrument: int) -> int:
        """Last known price of an instrument, held or not, price units; 0 while there is none."""
        return int(self.holdings.view[instrument]["mark_price"])


def _rate(currency: str, account: str, rates: Mapping[str, str | int | Decimal], where: str) -> Fraction:
    if currency == account:
        return Fraction(1)
    if currency not in rates:
        raise ValueError(
            f"portfolio: {where} settles in {currency} and the account is in {account}: give the rate of "
            f"{currency}/{account}, rates={{'{currency}': ...}} in Python, `rates: {{{currency}: ...}}` in YAML or "
            f"--rate {currency}=... (found rates of {', '.join(sorted(rates)) or 'no currency'})"
        )
    try:
        rate = Fraction(Decimal(str(rates[currency])))
    except (InvalidOperation, ValueError, OverflowError):
        raise ValueError(f"portfolio: expected a decimal rate of {currency}, found {rates[currency]!r}") from None
    if rate <= 0:
        raise ValueError(f"portfolio: expected a positive rate of {currency}, found {rates[currency]}")
    return rate
