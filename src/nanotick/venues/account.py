"""What a runner wants of accounts and of whoever measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from nanotick.venues.working import TraderState


class Account(Protocol):
    """Where commands go: a trader, or a paper account."""

    venue: str
    state: TraderState
    on_state: Callable[[Any], None]

    def start(self) -> None:
        """Connect; `on_state` tells when it is READY."""
        ...

    def stop(self) -> None:
        """Disconnect."""
        ...

    def send(self, address: int) -> None:
        """Take one COMMAND record."""
        ...

    def status(self) -> dict[str, Any]:
        """For people and programs."""
        ...


class Latency(Protocol):
    """What takes measurements; see `venues.latency`."""

    def record(self, venue: int, stage: str, ns: int) -> None:
        """Count one time."""
        ...
