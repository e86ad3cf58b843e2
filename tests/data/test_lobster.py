"""LOBSTER: every book row the messages determine is reproduced, by an independent book fed with our events."""

import heapq
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanotick.core.records import Flag, Kind
from nanotick.data.archive import open_sources
from nanotick.data.convert import validate_sources
from nanotick.data.format import Options, Reading
from nanotick.data.quality import Anomaly, BadDataError

# file, rows, visible deltas: the counts its provenance states
SAMPLES = [
    ("AAPL_2012-06-21_1.zip", 118_497, 107_164),
    ("AMZN_2012-06-21_1.zip", 57_515, 55_070),
    ("GOOG_2012-06-21_1.zip", 49_482, 45_568),
    ("GOOG_2012-06-21_5.zip", 112_673, 108_759),
    ("GOOG_2012-06-21_10.zip", 147_916, 144_002),
]


class Book:
    """The shortest order-by-order book there is; it refuses what a real one refuses."""

    def __init__(self) -> None:
        self.orders: dict[int, list[int]] = {}  # id -> side, price, qty
        self.levels: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def change(self, side: int, price: int, qty: int) -> None:
        book = self.levels[side < 0]
        book[price] = book.get(price, 0) + qty
        assert book[price] >= 0
        if not book[price]:
            del book[price]

    def apply(self, kind: int, identity: int, price: int, qty: int, side: int) -> None:
        if kind == Kind.ADD:
            assert identity not in self.orders and qty > 0
            self.orders[identity] = [side, price, qty]
            self.change(side, price, qty)
        elif kind in (Kind.DELETE, Kind.REDUCE, Kind.EXECUTE):
            order = self.orders[identity]
            qty = order[2] if kind == Kind.DELETE else qty
            assert 0 < qty <= order[2] and (kind != Kind.EXECUTE or (price == order[1] and side == -order[0]))
            self.change(order[0], order[1], -qty)
            order[2] -= qty
            if not order[2]:
                del self.orders[identity]
        elif kind == Kind.MODIFY:
            order = self.orders[identity]
            assert price == order[1]
            self.change(order[0], price, qty - order[2])
            order[2] = qty
        elif kind == Kind.CLEAR:
            self.__init__()  # type: ignore[misc]

    def row(self, levels: int) -> list[int]:
        bids = heapq.nlargest(levels, self.levels[0])
        asks = heapq.nsmallest(levels, self.levels[1])
        out: list[int] = []
        for k in range(levels):
            out += [asks[k], self.levels[1][asks[k]]] if k < len(asks) else [9999999999, 0]
            out += [bids[k], self.levels[0][bids[k]]] if k < len(bids) else [-9999999999, 0]
        return out


@pytest.mark.parametrize(("name", "rows", "deltas"), SAMPLES)
def test_every_determined_row_of_a_sample_matches(shared_data: Path, name: str, rows: int, deltas: int) -> None:
    reading = Reading(open_sources([shared_data / "lobster" / name]))
    result, good = validate_sources(reading, reading)
    assert good and reading.format_names == "lobster"
    assert result["rows"] == rows and result["mismatched"] == 0
    assert result["matched"] + result["undetermined"] == rows
    assert result["visible_deltas"] == result["visible_deltas_matched"] == deltas
    assert result["anomalies"] == {}


@pytest.mark.parametrize(("name", "limit"), [("AMZN_2012-06-21_1.zip", 20_000), ("GOOG_2012-06-21_10.zip", 8_000)])
def test_the_events_build_the_recorded_rows_in_an_independent_book(shared_data: Path, name: str, limit: int) -> None:
    sources = open_sources([shared_data / "lobster" / name])
    book_source = next(s for s in sources if "orderbook" in s.name)
    lines = book_source.open().read(20 << 20).split(b"\n")[:limit]
    levels = (lines[0].count(b",") + 1) // 4
    book, seen = Book(), 0
    for chunk in Reading(sources):
        for event in chunk.tolist():
            _, _, seq, price, qty, identity, _, _, _, kind, side, flags = event
            book.apply(kind, identity, price, qty, side)
            if flags & Flag.LAST and seq:  # 0 is the seed, before the first message
                assert book.row(levels) == [int(x) for x in lines[seq - 1].split(b",")], f"row {seq}"
                seen = seq
                if seen >= limit:
                    return
    raise AssertionError(f"only {seen} rows came")


def write_pair(path: Path, messages: list[str], books: list[str]) -> list[Path]:
    (path / "X_2020-01-02_34200000_57600000_message_2.csv").write_text("\n".join(messages) + "\n")
    (path / "X_2020-01-02_34200000_57600000_orderbook_2.csv").write_text("\n".join(books) + "\n")
    return sorted(path.iterdir())


MESSAGES = [
    "34200.0,1,1,10,1000100,-1",
    "34201.5,1,2,20,1000000,1",
    "34202.000000001,4,1,4,1000100,-1",
    "34203,3,9,5,1000200,-1",
]
BOOKS = [
    "1000100,10,999900,7,1000200,5,999800,3",
    "1000100,10,1000000,20,1000200,5,999900,7",
    "1000100,6,1000000,20,1000200,5,999900,7",
    "1000100,6,1000000,20,1000300,50,999900,7",
]


def check(paths: list[Path]) -> tuple[dict[str, Any], bool, Reading]:
    reading = Reading(open_sources(paths), "lobster")
    return (*validate_sources(reading, reading), reading)


def test_a_small_pair_is_told_message_by_message(tmp_path: Path) -> None:
    paths = write_pair(tmp_path, MESSAGES, BOOKS)
    result, good, _ = check(paths)
    assert good and (result["rows"], result["matched"], result["undetermined"]) == (4, 2, 2)
    reading = Reading(open_sources(paths))
    events = reading.events()
    assert reading.report.messages == {"1": 2, "3": 1, "4": 1} and [i.symbol for i in reading.listing] == ["X"]
    execute = events[events["kind"] == Kind.EXECUTE][0]
    assert (execute["id"], execute["price"], execute["qty"], execute["side"]) == (1, 1_000_100, 4, 1)
    assert execute["ts_venue"] == 1577975402 * 10**9 + 1, "14:30:02 UTC of 2020-01-02 and a nanosecond"


@pytest.mark.parametrize("row", [1, 2, 3])
@pytest.mark.parametrize("column", [0, 1, 2, 3])
def test_a_book_row_that_contradicts_the_messages_is_found(tmp_path: Path, row: int, column: int) -> None:
    numbers = BOOKS[row].split(",")
    numbers[column] = str(int(numbers[column]) + 100)
    result, good, _ = check(write_pair(tmp_path, MESSAGES, [*BOOKS[:row], ",".join(numbers), *BOOKS[row + 1 :]]))
    assert not good and result["mismatched"] >= 1
    assert f"row {row + 1}" in result["anomalies"]["checksum"]["first"][0]["where"]


def test_a_shorter_book_file_is_a_truncation(tmp_path: Path) -> None:
    result, good, _ = check(write_pair(tmp_path, MESSAGES, BOOKS[:2]))
    assert not good and result["rows"] == 2 and "truncated" in result["anomalies"]


def test_messages_alone_are_read_and_validate_asks_for_the_book(shared_data: Path) -> None:
    path = shared_data / "lobster/AAPL_2012-06-21_34200000_37800000_message_50.csv.xz"
    reading = Reading(open_sources([path]))
    events = reading.events()
    assert sum(reading.report.messages.values()) == 91_997 and len(events) == 91_997
    assert reading.report.count(Anomaly.UNKNOWN_REFERENCE) > 0
    with pytest.raises(BadDataError, match="ORDERBOOK"):
        check([path])


def test_a_book_file_without_messages_is_refused(tmp_path: Path) -> None:
    paths = write_pair(tmp_path, MESSAGES, BOOKS)
    with pytest.raises(BadDataError, match="name MESSAGES and ORDERBOOK together"):
        check([p for p in paths if "orderbook" in p.name])


def test_thousands_of_damaged_pairs_are_read_to_their_end_and_keep_a_sound_book(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    text = ("\n".join(MESSAGES * 3) + "\n", "\n".join(BOOKS * 3) + "\n")
    path = tmp_path / "pair.zip"
    for _ in range(1500):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in zip(("a_message_2.csv", "a_orderbook_2.csv"), text, strict=True):
                data = bytearray(content.encode())
                for place in random.integers(0, len(data), int(random.integers(0, 5))):
                    data[place] = int(random.choice(list(b"0123456789,-.\nex")))
                archive.writestr(name, bytes(data))
        book = Book()
        try:
            reading = Reading(open_sources([path]), "lobster", Options())
            for event in reading.events().tolist():
                if (
                    event[5] > 1 << 59
                    or event[9] not in (Kind.EXECUTE, Kind.REDUCE, Kind.DELETE, Kind.MODIFY)
                    or event[5] in book.orders
                ):
                    book.apply(event[9], event[5], event[3], event[4], event[10])
        except BadDataError as error:
            assert "columns" in str(error) or "belongs" in str(error)
