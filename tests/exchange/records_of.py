"""Short ways to write events, commands and venues in the tests of the replay exchange."""

import numpy as np

from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import COMMAND, EVENT, Kind
from nanotick.exchange import ReplayVenue, VenueConfig


def event(kind, ts, price=0, qty=0, side=0, ident=0, word=0, flags=0, recv=None, instrument=0):
    """One market-data EVENT, shape (1,)."""
    row = np.zeros(1, EVENT)
    row["kind"], row["ts_venue"], row["ts_recv"] = kind, ts, ts if recv is None else recv
    row["price"], row["qty"], row["side"], row["id"], row["word"] = price, qty, side, ident, word
    row["flags"], row["instrument"] = flags, instrument
    return row


def command(
    kind, ident=0, side=0, price=0, qty=0, order_type=0, tif=0, flags=0, stop=0, expire_s=0, strategy=0, instrument=0
):
    """One COMMAND, shape (1,)."""
    row = np.zeros(1, COMMAND)
    row["kind"], row["id"], row["side"], row["price"], row["qty"] = kind, ident, side, price, qty
    row["order_type"], row["tif"], row["flags"], row["stop_price"] = order_type, tif, flags, stop
    row["expire_s"], row["strategy"], row["instrument"] = expire_s, strategy, instrument
    return row


def venue(config=None, instruments=None, **sizes):
    """A small replay venue in an arena of its own; one instrument with tick 1 and lot 1 unless given."""
    if instruments is None:
        instruments = [Instrument("TEST", price_decimals=0, tick_size="1", lot_size="1")]
    settings = {"max_orders": 1 << 10, "reports": 1 << 10, "commands": 1 << 6, "depletions": 256, "trace": 256}
    book = {"max_orders": 1 << 13, "max_levels": 1 << 10}
    table = instruments if isinstance(instruments, InstrumentTable) else InstrumentTable(instruments)
    return ReplayVenue(Arena(1 << 28), table, config or VenueConfig(), book=book, **{**settings, **sizes})


def level(ts, side, price, qty):
    """A LEVEL row."""
    return event(Kind.LEVEL, ts, price, qty, side)


def trade(ts, aggressor, price, qty, flags=0):
    """A TRADE row."""
    return event(Kind.TRADE, ts, price, qty, aggressor, flags=flags)


def told(rows):
    """Reports as (kind, price, qty, word) tuples."""
    return [(Kind(int(r["kind"])).name, int(r["price"]), int(r["qty"]), int(r["word"])) for r in rows]


def fills(rows):
    """Fills as (client order id, price, qty, reason, maker) tuples."""
    return [
        (int(r["id"]), int(r["price"]), int(r["qty"]), int(r["flags"]) & 0x7F, bool(int(r["flags"]) & 0x80))
        for r in rows
        if int(r["kind"]) == Kind.FILL
    ]
