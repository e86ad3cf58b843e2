import itertools
import math

from nanotick.book import bbo
from nanotick.core.kernel import python_body


def test_order_flow_imbalance_of_the_published_hand_case():
    quotes = [
        (10000, 500, 10001, 400),
        (10000, 700, 10001, 400),
        (10000, 700, 10001, 150),
        (10001, 200, 10002, 600),
        (10001, 200, 10002, 450),
        (10000, 650, 10002, 450),
    ]
    flows = [bbo.flow_imbalance(*before, *after) for before, after in itertools.pairwise(quotes)]
    assert flows == [200, 250, 350, 150, -200]
    assert sum(flows) == 750
    assert [python_body(bbo.flow_imbalance)(*a, *b) for a, b in itertools.pairwise(quotes)] == flows


def test_imbalance_microprice_mid_and_spread(make_store):
    book = make_store()
    assert math.isnan(bbo.microprice(book.address, 0))
    assert (bbo.imbalance(book.address, 0), bbo.mid_x2(book.address, 0), bbo.spread(book.address, 0)) == (0.0, 0, 0)
    book.quote_set(0, 10000, 500, 10001, 400)
    assert math.isclose(bbo.imbalance(book.address, 0), 100 / 900)
    assert math.isclose(bbo.microprice(book.address, 0), 10000.5556, abs_tol=1e-4)
    assert (bbo.mid_x2(book.address, 0), bbo.spread(book.address, 0)) == (20001, 1)


def test_an_empty_side_enters_order_flow_as_nothing(make_store):
    book = make_store()
    book.quote_set(0, 100, 5, 101, 7)
    before = [f(0, s) for s in (1, -1) for f in (book.best_price, book.best_qty)]
    book.quote_set(0, 100, 5, 0, 0)
    after = [f(0, s) for s in (1, -1) for f in (book.best_price, book.best_qty)]
    assert bbo.flow_imbalance(*before, *after) == 7  # the offer left: demand
