"""A served venue on a port, on a thread of its own: for clients that block, or that bring an event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from nanotick.venues.sockets import Sockets


class ThreadedVenue:
    """Served from when this returns until `close`.

    Parameters
    ----------
    made : callable
        Makes the site on a host; it has a `desk`, and its own `start` where it needs one.
    """

    def __init__(self, made: Callable[[Sockets], Any]) -> None:
        self.host = Sockets()
        self.site = made(self.host)
        self.desk = self.site.desk
        self.address = f"127.0.0.1:{self.host.serve(self.site)}"
        self.http, self.ws = f"http://{self.address}", f"ws://{self.address}"
        self._started = threading.Event()
        self.host.at(0, self._start)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(120)

    def _start(self) -> None:
        getattr(self.site, "start", self.desk.start)()
        self._started.set()

    def _run(self) -> None:
        self.host.run()
        self.desk.stop()
        self.host.close()

    def close(self) -> None:
        """Serve no more; nothing may have gone wrong meanwhile."""
        self.host.loop.call_soon_threadsafe(self.host.stop)
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self.host.errors == 0
