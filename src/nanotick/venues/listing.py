"""Which instruments a venue lists, and their scales: what the venues' listings have in common.

A value (price times quantity) is an int64 as well, at both scales together. Where price and quantity have ten decimals
between them values reach 900 million, so a quantity has as many as the price leaves, and no more than the eight that
coins are counted in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from nanotick.core.instruments import Instrument
from nanotick.venues.host import REQUEST_TIMEOUT_NS, Host
from nanotick.wire.json_text import WireError
from nanotick.wire.requests import Request, Response

VALUE_DECIMALS = 10  # of price and quantity together: values to 900 million
FINEST_QTY = 8  # decimals of a quantity: what balances of coins are kept in


@dataclass(frozen=True)
class Rules:
    """What an instrument's record has no field for.

    Attributes
    ----------
    base, quote : str
        Assets.
    trading : bool
    """

    base: str
    quote: str
    trading: bool


R = TypeVar("R", bound=Rules)
Listed = dict[str, tuple[Instrument, R]]


def qty_room(price_decimals: int) -> int:
    """Decimals of a quantity that a price of so many leaves room for; negative where it leaves none."""
    return min(FINEST_QTY, VALUE_DECIMALS - price_decimals)


def ask_listed(
    host: Host,
    base: str,
    request: Request,
    read: Callable[[bytes], Listed[R]],
    symbols: Iterable[str],
    done: Callable[[Listed[R] | None, str], None],
    hint: str = "",
) -> None:
    """Ask what a venue lists; `done(listed, "")`, or `done(None, why)`.

    Parameters
    ----------
    base : str
        REST address.
    read : callable
        Makes a good answer's body a listing; raises WireError or ValueError.
    symbols : iterable of str
        That must be there.
    hint : str
        How symbols are written, for whoever named one that is not there.
    """
    chosen = tuple(symbols)

    def take(response: Response) -> None:
        try:
            if response.status != 200:
                raise WireError(f"HTTP status {response.status} {response.body[:200].decode(errors='replace')}")
            found = read(response.body)
        except (WireError, ValueError) as error:
            done(None, f"{base}: what it lists cannot be read: {error}")
            return
        missing = [symbol for symbol in chosen if symbol not in found]
        if missing:
            done(None, f"{base}: lists no {', '.join(missing)}" + (f"; {hint}" if hint else ""))
        else:
            done(found, "")

    host.ask(base, request, take, 4 * REQUEST_TIMEOUT_NS)
