import pytest

from nanotick.book import BookStore
from nanotick.core.arena import Arena


@pytest.fixture
def make_store():
    """Return a function that makes a store in an arena of its own."""

    def make(instruments=1, ticks=1, max_orders=4096, max_levels=4096, **options):
        arena = Arena(BookStore.reserve(instruments, max_orders, max_levels) + (1 << 20))
        store = BookStore(arena, "book", instruments, ticks, max_orders=max_orders, max_levels=max_levels, **options)
        store.arena = arena
        return store

    return make
