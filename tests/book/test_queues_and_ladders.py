"""Dense seeded runs: long queues asked about while they change, and ladders of many leaves that come and go."""

import random

import pytest


@pytest.mark.parametrize("seed", range(4))
def test_positions_in_a_long_queue_stay_exact_while_it_changes(make_store, seed):
    book = make_store()
    rng = random.Random(seed)
    queue, ident = [], 0
    for step in range(3_000):
        if len(queue) < 5 or rng.random() < 0.5 - len(queue) / 1000:
            ident += 1
            queue.append([ident, rng.randint(1, 99)])
            book.order_add(0, ident, -1, 70, queue[-1][1])
        else:
            at = 0 if rng.random() < 0.4 else rng.randrange(len(queue))
            number, qty = queue[at]
            if rng.random() < 0.3 and qty > 1:
                book.order_reduce(0, number, qty // 2)
                queue[at][1] -= qty // 2
            elif rng.random() < 0.2:
                book.order_modify(0, number, 70, qty + 1)  # more quantity goes to the back
                queue.append([queue.pop(at)[0], qty + 1])
            else:
                book.order_delete(0, number)
                queue.pop(at)
        if step % 500 < 300:  # and for a while nobody asks
            at = rng.randrange(len(queue))
            slot = book.order_find(0, queue[at][0])
            assert book.queue_orders_ahead(slot) == at
            assert book.queue_qty_ahead(slot) == sum(qty for _, qty in queue[:at])
        if step % 50 == 0:
            book.check(0)


@pytest.mark.parametrize("span", [60, 3_000, 200_000, 10**15])
@pytest.mark.parametrize("side", [1, -1])
def test_levels_of_many_leaves_come_and_go_in_order(make_store, span, side):
    book = make_store(1, 1)
    rng = random.Random(span)
    levels = {}
    for _ in range(3_000):
        if levels and (len(levels) > 80 or rng.random() < 0.48):
            best = max(levels, key=lambda p: side * p)
            price = best if rng.random() < 0.5 else rng.choice(list(levels))
            del levels[price]
            book.level_set(0, side, price, 0)
        else:
            price = rng.randint(-span, span)
            levels[price] = rng.randint(1, 9)
            book.level_set(0, side, price, levels[price])
        best_first = sorted(levels, key=lambda p: -side * p)
        assert book.side_levels(0, side) == len(levels)
        if best_first:
            assert book.best_price(0, side) == best_first[0]
            assert book.depth(0, side, 3)["price"].tolist() == best_first[:3]
    book.check(0)
    assert [tuple(r) for r in book.depth(0, side, 999).tolist()] == [(p, levels[p]) for p in best_first]
