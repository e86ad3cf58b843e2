"""The order book model of Cont, Stoikov & Talreja (2010), reproduced by events in the exchange."""

import numpy as np
import pytest

from nanotick.core.mode import INTERPRET

if INTERPRET:
    pytest.skip("millions of events: compiled only", allow_module_level=True)

from tests.exchange.agents.cst import fills_first, next_move_is_up

# exact probabilities for lambda(1) = 1.85, mu = 0.94, theta(1) = 0.71: rows bid queue (own place), columns ask queue
UP = np.array(
    [
        [0.5000, 0.3352, 0.2590, 0.2158, 0.1878],
        [0.6648, 0.5000, 0.4069, 0.3479, 0.3072],
        [0.7410, 0.5931, 0.5000, 0.4366, 0.3906],
        [0.7842, 0.6521, 0.5634, 0.5000, 0.4523],
        [0.8122, 0.6928, 0.6094, 0.5477, 0.5000],
    ]
)
FILLED = np.array(
    [
        [0.5025, 0.6980, 0.7939, 0.8483, 0.8824],
        [0.3589, 0.5508, 0.6643, 0.7372, 0.7869],
        [0.2915, 0.4654, 0.5784, 0.6564, 0.7128],
        [0.2514, 0.4093, 0.5174, 0.5956, 0.6543],
        [0.2243, 0.3691, 0.4716, 0.5480, 0.6071],
    ]
)


def assert_reproduced(counts, exact) -> None:
    epochs = counts[:, :, 0]
    assert epochs.min() > 500, epochs
    tolerance = 4 * np.sqrt(exact * (1 - exact) / epochs)
    found = counts[:, :, 1] / epochs
    assert (np.abs(found - exact) < tolerance).all(), np.round((found - exact) / tolerance * 4, 2)


def test_the_next_mid_move_is_up_as_often_as_in_the_paper() -> None:
    assert_reproduced(next_move_is_up(hours=150), UP)


def test_an_order_in_the_queue_is_filled_before_the_other_side_leaves_as_often_as_in_the_paper() -> None:
    assert_reproduced(fills_first(runs=250_000), FILLED)
