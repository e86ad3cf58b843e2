"""The price-level market written as a raw Binance futures recording: a receive stamp and the message, line by line.

The form hftbacktest's recorder writes and its converter reads: gzip text, nanoseconds, a space, and the combined-stream
JSON. Depth messages carry the chain of update ids (`U`, `u`, `pu`), trades the taker's side as `m`.
"""

import gzip
from pathlib import Path

from benchmarks.level_stream import market_rows

SYMBOL = "BTCUSDT"


def write_binance_raw(path: Path, rows: int) -> int:
    """Write a recording of `rows` market rows (levels and trades); return how many it holds."""
    market = market_rows(rows)
    update = 1_000_000
    trade_id = 5_000_000
    price = [f"{tick // 10}.{tick % 10}" for tick in market["tick"].tolist()]
    qty = [f"{lots // 1000}.{lots % 1000:03d}" for lots in market["lots"].tolist()]
    is_trade = market["trade"].tolist()
    is_bid = (market["side"] == 1).tolist()
    venue_ms = (market["ts_venue"] // 1_000_000).tolist()
    recv_ns = market["ts_recv"].tolist()
    is_last = market["last"].tolist()
    with gzip.open(path, "wt", compresslevel=1, encoding="ascii") as out:
        bids: list[str] = []
        asks: list[str] = []
        for i in range(rows):
            if is_trade[i]:
                trade_id += 1
                out.write(
                    f'{recv_ns[i]} {{"stream":"{SYMBOL.lower()}@trade","data":{{"e":"trade","E":{venue_ms[i]},'
                    f'"T":{venue_ms[i]},"s":"{SYMBOL}","t":{trade_id},"p":"{price[i]}","q":"{qty[i]}","X":"MARKET",'
                    f'"m":{"false" if is_bid[i] else "true"}}}}}\n'
                )
                continue
            (bids if is_bid[i] else asks).append(f'["{price[i]}","{qty[i]}"]')
            if is_last[i] or i == rows - 1:
                first = update + 1
                previous, update = update, update + len(bids) + len(asks)
                out.write(
                    f'{recv_ns[i]} {{"stream":"{SYMBOL.lower()}@depth@0ms","data":{{"e":"depthUpdate",'
                    f'"E":{venue_ms[i]},"T":{venue_ms[i]},"s":"{SYMBOL}","U":{first},"u":{update},"pu":{previous},'
                    f'"b":[{",".join(bids)}],"a":[{",".join(asks)}]}}}}\n'
                )
                bids.clear()
                asks.clear()
    return rows
