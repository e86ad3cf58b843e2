"""LOBSTER written as ITCH and read again builds the same books: parser, encoder and book end to end."""

from pathlib import Path

import pytest

from nanotick.core.records import Flag, Kind
from nanotick.data.archive import open_sources
from nanotick.data.bookcheck import BookCheck
from nanotick.data.format import Reading
from nanotick.data.quality import BadDataError
from nanotick.data.to_itch import in_itch_terms, write_itch
from tests.data.test_lobster import Book

FIELDS = ["kind", "id", "qty", "word", "ts_venue"]


def test_lobster_as_itch_gives_the_same_books(tmp_path: Path, shared_data: Path) -> None:
    sources = open_sources([shared_data / "lobster/GOOG_2012-06-21_10.zip"])
    before = Reading(sources)
    events = before.events()
    told = in_itch_terms(events, own_price=True)
    told = told[told["kind"] != Kind.CLEAR]
    reading = Reading(sources)
    write_itch(reading, reading, tmp_path / "GOOG_20120621.itch50")
    after = Reading(open_sources([tmp_path / "GOOG_20120621.itch50"]))
    again = after.events()
    assert after.format_names == "itch" and not after.report.anomalies and [i.symbol for i in after.listing] == ["GOOG"]
    again = again[(again["kind"] != Kind.INSTRUMENT) & (again["kind"] != Kind.SYSTEM)]
    assert len(again) == len(told) > 147_916
    same = told["kind"] != Kind.TRADE  # a hidden trade's id is ITCH's match number
    assert (again[FIELDS][same] == told[FIELDS][same]).all() and (again["price"] == told["price"]).all()

    # the recorded rows, rebuilt from the ITCH bytes alone
    lines = next(s for s in sources if "orderbook" in s.name).open().read().split(b"\n")
    book = Book()
    for number, (row, event) in enumerate(zip(told.tolist(), again.tolist(), strict=True)):
        _, _, _, price, qty, identity, _, _, _, kind, side, _ = event
        if kind == Kind.EXECUTE:
            price, side = book.orders[identity][1], -book.orders[identity][0]
        book.apply(kind, identity, price, qty, side)
        if row[11] & Flag.LAST and row[2] and kind != Kind.DELETE and row[2] % 7 == 0:
            assert book.row(10) == [int(x) for x in lines[row[2] - 1].split(b",")], number

    check = BookCheck(after.report, instruments=2)
    check.feed(again)
    check.finish()
    last = [int(x) for x in lines[-2].split(b",")]
    assert [check.books.best_price(0, -1), check.books.best_price(0, 1)] == [last[0], last[2]]


def test_what_itch_cannot_say_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time,bid,ask\n1600000000,1.5,2\n")
    reading = Reading(open_sources([tmp_path / "t.csv"]))
    with pytest.raises(BadDataError, match="order-by-order"):
        write_itch(reading, reading, tmp_path / "x.itch50")
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
