"""Ids of every kind find their orders: pages made and given up, id spaces that overlap, a hash table that grows."""

import random

import pytest

from nanotick.book import BookChange


def assert_same(book, known):
    for (instrument, ident), price in known.items():
        slot = book.order_find(instrument, ident)
        assert slot > 0, (instrument, ident)
        assert (book.order_id(slot), book.order_price(slot)) == (ident, price)


def test_sequential_ids_live_in_pages_and_stragglers_move_out(make_store):
    book = make_store(max_orders=8192)
    rng = random.Random(1)
    known, live, ident = {}, [], 10**12
    for _ in range(60_000):
        ident += rng.choice([1, 1, 2])
        price = rng.randint(1, 50)
        assert not book.order_add(0, ident, 1, price, 1) & (BookChange.BAD_VALUE | BookChange.FULL)
        known[0, ident] = price
        live.append(ident)
        if len(live) > 1_500:  # most die young, a few stay all day
            at = rng.randrange(len(live) - 1_400, len(live)) if rng.random() < 0.998 else rng.randrange(len(live))
            gone = live.pop(at)
            book.order_delete(0, gone)
            del known[0, gone]
            assert book.order_find(0, gone) == -1
    index, table = book.regions["index"].view[0], book.regions["id_table"].view[0]
    assert index["pages_made"] > 15
    assert index["page_next"] < index["pages_made"]  # pages were used again
    assert 0 < table["count"] < len(known)
    assert_same(book, known)
    book.check(0)
    for (_, number), _price in known.items():
        assert not book.order_delete(0, number) & BookChange.UNKNOWN_ORDER
    assert table["count"] == 0


@pytest.mark.parametrize("spread", [1, 1 << 12, 1 << 28, 1 << 40])
def test_id_spaces_of_instruments_may_overlap(make_store, spread):
    book = make_store(3, max_orders=8192)
    known = {}
    for n in range(2_000):
        for instrument in range(3):
            assert not book.order_add(instrument, n * spread, 1, n + instrument, 1) & BookChange.BAD_VALUE
            known[instrument, n * spread] = n + instrument
    assert_same(book, known)
    for n in range(0, 2_000, 2):
        book.order_delete(1, n * spread)
        del known[1, n * spread]
        assert book.order_add(0, n * spread, 1, 5, 1) == BookChange.BAD_VALUE
    assert_same(book, known)
    for i in range(3):
        book.check(i)


def test_arbitrary_ids_outgrow_the_first_hash_table(make_store):
    book = make_store(2, max_orders=8192)
    rng = random.Random(3)
    known = {}
    size = int(book.regions["id_table"].view[0]["size"])
    for _ in range(30_000):
        if known and (len(known) > 6_000 or rng.random() < 0.4):
            key = rng.choice(list(known)) if rng.random() < 0.01 else next(iter(known))
            book.order_delete(*key)
            del known[key]
        else:
            key, price = (rng.randrange(2), rng.getrandbits(64) - (1 << 63)), rng.randint(1, 99)
            book.order_add(key[0], key[1], -1, price, 2)
            known[key] = price
    table = book.regions["id_table"].view[0]
    assert table["size"] > size
    assert table["count"] == len(known) <= table["size"] // 2
    assert book.regions["index"].view[0]["pages_made"] == 0  # sparse ids earn no page
    assert_same(book, known)


def test_the_hash_table_can_be_laid_out_at_once(make_store):
    book = make_store(max_orders=8192, expected_orders=4_000)
    size = int(book.regions["id_table"].view[0]["size"])
    for n in range(4_000):
        book.order_add(0, n * 7919 << 20, 1, 10, 1)
    assert book.regions["id_table"].view[0]["size"] == size >= 8_000
