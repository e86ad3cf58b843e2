"""Real recordings of other venues: counts, checksums, sequences, and what is refused."""

import csv
import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from nanotick.core.records import Kind
from nanotick.data.archive import open_sources
from nanotick.data.convert import validate_sources
from nanotick.data.format import Options, Reading, detect_format
from nanotick.data.quality import Anomaly


def kraken_frames(shared_data: Path) -> "list":
    held = json.load(lzma.open(shared_data / "venue_messages/kraken/orderbook-v1.json.xz"))
    return held["init"] + held["updates"]


def written(tmp_path: Path, frames: "list", name: str = "frames.jsonl") -> Path:
    target = tmp_path / name
    target.write_text("".join((f if isinstance(f, str) else json.dumps(f)) + "\n" for f in frames))
    return target


def test_every_kraken_checksum_agrees(shared_data: Path) -> None:
    reading = Reading(open_sources([shared_data / "venue_messages/kraken/orderbook-v1.json.xz"]))
    result, good = validate_sources(reading, reading)
    assert (result["checksums_ok"], result["checksums_bad"], result["gaps"], good) == (979, 0, 0, True)
    assert reading.format_names == "kraken" and reading.report.messages["book-10"] == 980


def test_one_corrupted_level_is_found_on_that_message(shared_data: Path, tmp_path: Path) -> None:
    frames = kraken_frames(shared_data)
    books = [i for i, f in enumerate(frames) if isinstance(f, list) and "c" in f[1]]
    target = frames[books[300]][1]
    row = target.get("a", target.get("b"))[0]
    row[1] = row[1][:-1] + ("1" if row[1][-1] != "1" else "2")
    path = written(tmp_path, frames)
    reading = Reading(open_sources([path]))
    result, good = validate_sources(reading, reading)
    assert not good and result["checksums_bad"] >= 1
    offset = sum(len(json.dumps(f)) + 1 for f in frames[: books[300]])
    assert reading.report.anomalies["checksum"].first[0]["where"] == f"{path.name} byte {offset}"


def test_the_recording_as_v2_frames_has_the_same_checksums_and_events(shared_data: Path, tmp_path: Path) -> None:
    frames = []
    for f in kraken_frames(shared_data):
        if not isinstance(f, list):
            continue
        sides: dict[str, list[str]] = {"bids": [], "asks": []}
        checksum = ""
        for body in f[1:-2]:
            for key, rows in body.items():
                if key == "c":
                    checksum = f',"checksum":{rows}'
                else:
                    side = sides["asks" if key[0] == "a" else "bids"]
                    side += [f'{{"price":{price},"qty":{qty}}}' for price, qty, *_ in rows]
        kind = "snapshot" if "as" in f[1] else "update"
        text = ",".join(f'"{name}":[{",".join(rows)}]' for name, rows in sides.items())
        frames.append(f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"XBT/USD",{text}{checksum}}}]}}')
    reading = Reading(open_sources([written(tmp_path, frames)]))
    v2 = reading.events()
    assert reading.report.checks["checksums_ok"] == 979 and reading.report.checks["checksums_bad"] == 0
    v1 = Reading(open_sources([shared_data / "venue_messages/kraken/orderbook-v1.json.xz"])).events()
    fields = ["kind", "side", "price", "qty"]
    assert sorted(map(tuple, v1[fields].tolist())) == sorted(map(tuple, v2[fields].tolist()))


def test_the_bitstamp_log_gives_the_orders_of_its_reference(shared_data: Path) -> None:
    reading = Reading(open_sources([shared_data / "bitstamp_l3/2015-05-01.log.xz"]))
    events = reading.events()
    messages = reading.report.messages
    wanted = {"order_created": 24_894, "order_deleted": 24_918, "order_changed": 602, "trade": 575, "order_book": 5_011}
    assert dict(messages) == wanted
    unknown = reading.report.count(Anomaly.UNKNOWN_REFERENCE)
    orders = events[np.isin(events["kind"], [Kind.ADD, Kind.MODIFY, Kind.DELETE])]
    with lzma.open(shared_data / "bitstamp_l3/orders.csv.xz", "rt") as file:
        rows = list(csv.DictReader(file))
    known: set[int] = set()
    expected = []
    for row in rows:
        ident, action = int(row["id"]), row["action"]
        if action == "deleted":
            if ident not in known:
                continue
            known.discard(ident)
        known.add(ident) if action != "deleted" else None
        side = 1 if row["direction"] == "bid" else -1
        price = round(float(row["price"]) * 100)
        expected.append((ident, int(row["timestamp"]) * 10**6, side, price))
    found = [(int(r["id"]), int(r["ts_recv"]), int(r["side"]), int(r["price"])) for r in orders]
    assert found == expected and len(rows) - len(expected) == 24_918 - int((orders["kind"] == Kind.DELETE).sum())
    assert 0 < unknown < 250, "orders older than the log"


def test_the_bitfinex_raw_book_has_the_counts_of_its_provenance(shared_data: Path) -> None:
    reading = Reading(open_sources([shared_data / "nautilus/bitfinex_l3/L3_feed.json"]))
    total = sum(len(chunk) for chunk in reading)
    messages = reading.report.messages
    assert (messages["order set"], messages["order delete"], messages["raw book snapshot"]) == (62_977, 37_021, 1)
    assert total == 100_000 - 2 + 1 + 50 and not reading.report.anomalies


def test_the_bybit_book_has_one_snapshot_and_unbroken_deltas(shared_data: Path) -> None:
    reading = Reading(open_sources([shared_data / "nautilus/bybit/xrpusdt-ob500.data.zip"]))
    assert len(reading.events()) and reading.report.messages == {"orderbook": 50}
    assert not reading.report.anomalies and reading.report.events["CLEAR"] == 1


CONTAINERS = {
    "BINANCE": ("BINANCE", 4, {}),
    "BINANCE_FUTURES": ("BINANCE_USDM", 4, {}),
    "BINANCE_DELIVERY": ("BINANCE_COINM", 10, {}),
    "BINANCE_US": ("BINANCE_US", 4, {}),
    "COINBASE": ("COINBASE", 2, {}),
    "KRAKEN": ("KRAKEN", 10, {"checksums_ok": 4269, "checksums_bad": 0}),
    "BITSTAMP": ("BITSTAMP", 10, {}),
    "BYBIT": ("BYBIT_LINEAR", 6, {}),
    "BITFINEX": ("BITFINEX", 7, {}),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_cryptofeed_container_converts_with_nothing_wrong(shared_data: Path, name: str) -> None:
    venue, books, checks = CONTAINERS[name]
    reading = Reading(open_sources([shared_data / f"raw_ws/cryptofeed_v3/{name}.jsonl.zst"]))
    events = reading.events()
    assert reading.format_names == "cryptofeed" and reading.listing.instruments[0].venue == venue
    assert (events["kind"] == Kind.CLEAR).sum() == books and not reading.report.anomalies
    assert {key: reading.report.checks[key] for key in checks} == checks
    assert (events["ts_venue"] > 0).all() and (events["instrument"] < len(reading.listing)).all()


def test_venues_without_a_codec_are_counted_and_named(shared_data: Path) -> None:
    table = (shared_data / "raw_ws/PROVENANCE.md").read_text()
    for path in sorted((shared_data / "raw_ws/cryptofeed_v3").iterdir()):
        name = path.name.removesuffix(".jsonl.zst")
        if name in CONTAINERS or path.stat().st_size > 150_000:
            continue
        frames, bodies = (int(cell) for cell in table.partition(f"cryptofeed_v3/{path.name} |")[2].split("|")[1:3])
        reading = Reading(open_sources([path]))
        assert sum(len(chunk) for chunk in reading) == 0
        assert sum(reading.report.messages.values()) == frames + bodies
        assert any(f"no codec for {name}" in note for note in reading.report.notes)


OLDER = {
    "BINANCE_TR.ws.1.0.xz": 141,
    "BITMEX.0.xz": 2,
    "BITMEX.ws.1.0.xz": 2124,
    "DELTA.ws.1.0.xz": 322,
    "DYDX.0.xz": 2,
    "DYDX.ws.1.0.xz": 4754,
    "HITBTC.ws.1.0.xz": 841,
    "PHEMEX.ws.1.0.xz": 1414,
}


@pytest.mark.parametrize("name", OLDER)
def test_every_line_of_the_older_cryptofeed_form_is_read(shared_data: Path, name: str) -> None:
    path = shared_data / "raw_ws/cryptofeed_v2" / name
    lines = lzma.open(path).read().splitlines()
    reading = Reading(open_sources([path]))
    rows = sum(len(chunk) for chunk in reading)
    assert reading.format_names == "cryptofeed" and not reading.report.anomalies
    sent = sum(line.startswith((b"wss://", b"configuration")) for line in lines)
    if name.startswith("BINANCE_TR"):
        assert rows > 0 and reading.listing.instruments[0].venue == "BINANCE_TR"
    else:
        assert rows == 0 and sum(reading.report.messages.values()) == len([x for x in lines if x]) - sent
    assert OLDER[name] - 1 <= len(lines) <= OLDER[name] + 1


def test_a_lost_coinbase_message_is_a_gap(shared_data: Path, tmp_path: Path) -> None:
    from nanotick.data.cryptofeed import read_container
    from nanotick.data.quality import QualityReport

    (source,) = open_sources([shared_data / "raw_ws/cryptofeed_v3/COINBASE.jsonl.zst"])
    _, items = read_container(source, QualityReport())
    frames = [f"{item.ts_recv} {item.data}" for item in items if item.kind == "recv"][:400]
    reading = Reading(open_sources([written(tmp_path, frames[:200] + frames[201:])]))
    events = reading.events()
    assert reading.format_names == "coinbase" and reading.report.count(Anomaly.GAP) == 1
    assert (events["kind"] == Kind.GAP).sum() == len(reading.listing)
    reading = Reading(open_sources([written(tmp_path, frames)]))
    assert len(reading.events()) and not reading.report.anomalies


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("venue_messages/kraken/orderbook-v1.json.xz", "kraken"),
        ("venue_messages/coinbase/nautilus_crates/ws_l2_data_update.json", "coinbase"),
        ("nautilus/bitfinex_l3/L3_feed.json", "bitfinex"),
        ("nautilus/bybit/xrpusdt-ob500.data.zip", "bybit"),
        ("bitstamp_l3/2015-05-01.log.xz", "bitstamp"),
        ("raw_ws/cryptofeed_v3/BINANCE.jsonl.zst", "cryptofeed"),
        ("hftbacktest/cm/ethusd_perp_20240808.gz", "binance"),
    ],
)
def test_a_recording_is_recognised_by_its_content(shared_data: Path, path: str, name: str) -> None:
    assert detect_format(open_sources([shared_data / path])[0]).name == name


def test_a_scale_too_coarse_for_a_level_is_said_and_nothing_is_rounded(tmp_path: Path) -> None:
    body = '{"s":"B","b":[["1.95","6"]],"a":[],"u":1}'
    frame = f'{{"topic":"orderbook.50.B","type":"snapshot","ts":1733011200691,"data":{body}}}'
    specs = {"B": {"price_decimals": 1, "qty_decimals": 0, "tick_size": "0.1", "lot_size": "1"}}
    reading = Reading(open_sources([written(tmp_path, [frame])]), options=Options(specs=specs))
    assert len(reading.events()) == 0
    assert "more than 1 decimal places" in reading.report.anomalies["malformed"].first[0]["reason"]
