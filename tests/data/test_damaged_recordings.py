"""Any bytes as a recording: read what is there, report the rest, never fail otherwise."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from nanotick.data.archive import Source
from nanotick.data.format import Options, Reading
from nanotick.data.hftbacktest_npz import HFT_EVENT
from nanotick.data.quality import BadDataError
from tests.guarded import mutations


def array_bytes() -> bytes:
    data = np.zeros(12, dtype=HFT_EVENT)
    data["ev"], data["px"], data["qty"], data["exch_ts"], data["local_ts"] = (3 << 30) | 1, 1.5, 2.0, 5, 6
    file = io.BytesIO()
    np.save(file, data)
    return file.getvalue()


def container(exchange: str, frames: "list[str]") -> bytes:
    lines = [
        {"t": "header", "format": 2, "exchange": exchange},
        {"t": "connect", "conn": "a", "ts": 1.0, "addr": "wss://x"},
    ]
    lines += [{"t": "recv", "conn": "a", "ts": 1633998512.5 + i, "data": frame} for i, frame in enumerate(frames)]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


KRAKEN = '[1,{"as":[["27120.0","4.2","1693415327.935623"]],"bs":[["27119.9","1.5","1693415328.0"]]},"book-10","X/Y"]'
BINANCE = '{"stream":"b@trade","data":{"e":"trade","E":1,"T":2,"s":"B","t":3,"p":"1.5","q":"2","m":true}}'
SEEDS = {
    "tardis": [
        b"exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
        b"x,B,1585699200245000,1585699200355684,true,bid,1.5,1\nx,B,1585699200245001,1585699200355685,false,ask,2.5,2\n",
        b"exchange,symbol,timestamp,local_timestamp,asks[0].price,asks[0].amount,bids[0].price,bids[0].amount\n"
        b"x,B,1598918403696000,1598918403810979,11657.08,1.714,11657.07,10.896\n",
    ],
    "binance-csv": [
        b"symbol,timestamp,first_update_id,last_update_id,side,update_type,price,qty,pu\n"
        b"B,1667347199939,1,5,a,set,20472.80,0.000,0\nB,1667347199940,6,9,b,set,20472.90,0.100,5\n",
    ],
    "hftbacktest": [array_bytes()],
    "cryptofeed": [container("KRAKEN", [KRAKEN]), container("BINANCE", [BINANCE]), container("BITFINEX", ["[1,2]"])],
    "kraken": [KRAKEN.encode() + b"\n" + KRAKEN.encode()],
    "bitstamp": [
        b'1430438404518 order_created {"price":"236.47","amount":"2.0","datetime":"1430438404","id":6,"order_type":0}\n'
        b'1430438404645 trade {"price":236.47,"amount":0.21144331,"id":8}\n'
    ],
    "bybit": [
        b'{"topic":"orderbook.500.X","type":"snapshot","ts":1733011200691,"data":{"s":"X","b":[["1.9531","6203"]],"a":[],'
        b'"u":5}}\n{"topic":"orderbook.500.X","type":"delta","ts":1733011200692,"data":{"s":"X","b":[],"a":[],"u":6}}'
    ],
    "binance": [b"1723161255030314667 " + BINANCE.encode() + b"\n" + BINANCE.encode()],
}


def in_memory(body: bytes) -> Source:
    return Source(Path("BTCUSDT-x.bin"), "BTCUSDT-x.bin", "x.bin", lambda: io.BytesIO(body), len(body))


def survive(name: str, count: int, seed: int) -> None:
    for item in mutations(SEEDS[name], count, seed):
        body = bytes(item)
        source = in_memory(body)
        reading = Reading([source], name, Options())
        try:
            rows = sum(len(chunk) for chunk in reading)
        except BadDataError as error:
            assert str(error)
            continue
        assert rows <= 4 * len(body)
        assert all(0 <= i.price_decimals + i.qty_decimals <= 18 for i in reading.listing)


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_recordings_are_read_or_refused(name: str) -> None:
    survive(name, 250, 31)


@pytest.mark.nightly
@pytest.mark.parametrize("name", SEEDS)
def test_many_damaged_recordings_are_read_or_refused(name: str) -> None:
    survive(name, 100_000, 32)
