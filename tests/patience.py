"""How long tests wait for what must happen: a bound that only ends a test that has failed, on any busy machine."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 240.0


def wait_until(condition: Callable[[], Any], turn: Callable[[], object] = lambda: time.sleep(0.02)) -> Any:
    """Take turns until a condition holds; gives what it gave."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen in {PATIENCE_S:.0f} s"
        turn()
    return found
