"""Asking a session for its status from a thread of its own, and its operator's wishes from others.

    poll thread ── status ──▶ session            a session that does not answer stalls this thread, never the keys
    act()       ── kill … ──▶ session            each wish on a connection of its own: none waits behind a status

Whoever made the watcher is told through callbacks, from those threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from nanotick.venues.control import ControlClient, ControlError

INTERVAL_S = 0.25
LOG_LINES = 200
_TAIL = 1 << 16
_GIVE_UP = 3  # refusals to connect in a row after which a session that was there has ended


class Client(Protocol):
    """What `ControlClient` does."""

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Ask for one thing; ControlError when it is refused or nobody answers."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Watcher:
    """Polls a session.

    Parameters
    ----------
    connect : callable
        Gives a `Client`; raises ControlError when no session runs.
    on_status : callable
        With every status, the log's last lines in it as `log`.
    on_trouble : callable
        `on_trouble(words, over)`: it does not answer; or it is over.
    on_answer : callable
        `on_answer(do, answer, error)` to a wish.
    interval_s : float
        Between two questions.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        on_status: Callable[[dict[str, Any]], None],
        on_trouble: Callable[[str, bool], None],
        on_answer: Callable[[str, dict[str, Any], str], None] = lambda do, answer, error: None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._connect, self._interval_s = connect, interval_s
        self._on_status, self._on_trouble, self._on_answer = on_status, on_trouble, on_answer
        self._symbol: tuple[str, str] | None = None
        self._ended = threading.Event()
        self._soon = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="status", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more. A question that is out is not waited for."""
        self._ended.set()
        self._soon.set()

    def show(self, symbol: str, venue: str) -> None:
        """Whose depth to ask for, at once."""
        self._symbol = symbol, venue
        self._soon.set()

    def act(self, do: str, **fields: Any) -> None:
        """Have the session do something; `on_answer` tells what came of it."""
        threading.Thread(target=self._act, args=(do, fields), name=do, daemon=True).start()

    def _act(self, do: str, fields: dict[str, Any]) -> None:
        answer, error = {}, ""
        try:
            client = self._connect()
            try:
                answer = client.ask(do, **fields)
            finally:
                client.close()
        except (ControlError, ValueError, OSError) as failure:
            error = str(failure)
        if not self._ended.is_set():
            self._on_answer(do, answer, error)
        self._soon.set()

    def _poll(self) -> None:
        client: Client | None = None
        seen, failures = False, 0
        tail: LogTail | None = None
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                if client is None:
                    client = self._connect()
                chosen = self._symbol
                fields = {} if chosen is None else {"symbol": chosen[0], "venue": chosen[1]}
                status = client.ask("status", **fields)
                tail = tail or LogTail(Path(status["directory"]) / "nanotick.log")
                status["log"] = tail.read()
                seen, failures = True, 0
                if not self._ended.is_set():
                    self._on_status(status)
            except (ControlError, ValueError, OSError) as error:
                if client is not None:
                    client.close()
                    client = None
                else:
                    failures += 1
                if not self._ended.is_set():
                    over = seen and failures >= _GIVE_UP
                    self._on_trouble("the session has ended" if over else str(error), over)
            self._soon.wait(max(0.01, began + self._interval_s - time.monotonic()))
            self._soon.clear()
        if client is not None:
            client.close()


class LogTail:
    """The last lines of a log that grows and is rotated.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[str] = []
        self._where: tuple[int, int] = (0, 0)  # inode and offset

    def read(self) -> list[str]:
        """Its last lines now, oldest first."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                inode, offset = self._where
                anew = found.st_ino != inode or not 0 <= found.st_size - offset <= _TAIL
                if anew:
                    offset = max(0, found.st_size - _TAIL)
                file.seek(offset)
                data = file.read(_TAIL)
        except OSError:
            return self._lines
        begins = data.find(b"\n") + 1 if anew and offset else 0  # not in the middle of a line
        ends = data.rfind(b"\n") + 1
        self._where = found.st_ino, offset + ends
        self._lines = [*self._lines, *data[begins:ends].decode("utf-8", "replace").splitlines()][-LOG_LINES:]
        return self._lines


def watch_directory(directory: Path) -> Callable[[], Client]:
    """How to connect to the session of a state directory."""
    return lambda: ControlClient(directory)
