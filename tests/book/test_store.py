from nanotick.book import EMPTY_ASK, EMPTY_BID, BookChange, BookStore
from nanotick.core.arena import Arena


def make_store(instruments=1, ticks=1, **options):
    orders, levels = options.get("max_orders", 4096), options.get("max_levels", 1024)
    arena = Arena(BookStore.reserve(instruments, orders, levels) + (1 << 20))
    return BookStore(arena, "book", instruments, ticks, **{"max_orders": orders, "max_levels": levels, **options})


def test_orders_queue_first_in_first_out_and_best_prices_follow():
    book = make_store()
    assert (book.best_price(0, 1), book.best_price(0, -1)) == (EMPTY_BID, EMPTY_ASK)
    assert book.order_add(0, 7, 1, 100, 10) == BookChange.BEST_CHANGED | BookChange.DEPTH_CHANGED
    book.order_add(0, 8, 1, 100, 5)
    book.order_add(0, 9, 1, 99, 4)
    book.order_add(0, 10, -1, 102, 3)
    assert (book.best_price(0, 1), book.best_qty(0, 1)) == (100, 15)
    slot = book.order_find(0, 8)
    assert (book.queue_orders_ahead(slot), book.queue_qty_ahead(slot)) == (1, 10)
    book.order_reduce(0, 7, 10)
    assert (book.queue_orders_ahead(slot), book.queue_qty_ahead(slot)) == (0, 0)
    book.order_delete(0, 8)
    assert (book.best_price(0, 1), book.best_qty(0, 1)) == (99, 4)
    assert book.order_add(0, 11, 1, 103, 1) & BookChange.CROSSED
    book.check(0)


def test_references_to_nothing_change_nothing():
    book = make_store()
    assert book.order_delete(0, 1) == BookChange.UNKNOWN_ORDER
    assert book.order_reduce(0, 1, 1) == BookChange.UNKNOWN_ORDER
    assert book.order_add(0, 1, 1, 1 << 62, 1) == BookChange.BAD_VALUE
    assert book.order_add(0, 1, 0, 10, 1) == BookChange.BAD_VALUE
    assert book.order_add(0, 1, 1, 10, 0) == BookChange.BAD_VALUE
    assert book.order_add(5, 1, 1, 10, 1) == BookChange.BAD_VALUE
    assert book.side_levels(0, 1) == 0
