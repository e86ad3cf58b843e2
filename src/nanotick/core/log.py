"""The log: what happened, for people and their tools, one JSON object a line. Never part of the state.

    log = Log(Path("run.log"), level="info")
    orders = log.bind(venue="alpaca")
    orders.info("order sent", order=17, symbol="SPY", price=Decimal("501.02"))

    {"ts":"2026-03-02T14:30:00.123456789Z","level":"info","message":"order sent","venue":"alpaca","order":17,...}

`order` is the client order id wherever an order is meant, so that one order's life is one search. Whoever logs only
puts a tuple into a bounded queue: formatting, redaction and writing happen on another thread, so a stalled disk or
terminal delays nobody. When the queue is full lines are dropped and counted, and the next line written says how many.
Registered secrets (`core.secret`) are cut out of every line, whatever field they are in.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import threading
import traceback
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from nanotick.core.clock import Clock, UtcClock
from nanotick.core.secret import Secret, redact

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
QUEUE_LINES = 1 << 16
ROTATE_BYTES = 64 << 20
_INTERVAL_S = 0.05
_RESERVED = frozenset(("ts", "level", "message"))


def time_text(ts_ns: int) -> str:
    """ISO 8601 in UTC with nanoseconds.

    >>> time_text(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123456789Z'
    """
    seconds, ns = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"


def _plain(value: Any) -> Any:
    """What JSON does not know, as text; secrets hidden, bytes of messages readable."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, BaseException):
        return "".join(traceback.format_exception(value)).rstrip()
    item = getattr(value, "item", None)  # NumPy's scalars
    return item() if callable(item) and getattr(value, "shape", None) == () else str(value)


def line_of(ts_ns: int, level: str, message: str, fields: dict[str, Any]) -> str:
    """One line of the log, without its end."""
    values = {"ts": time_text(ts_ns), "level": level, "message": message}
    values.update((f"{name}_" if name in _RESERVED else name, value) for name, value in fields.items())
    try:
        text = json.dumps(values, default=_plain, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError):  # keys that are no text, or a value that contains itself
        text = json.dumps({**dict(list(values.items())[:3]), "fields": repr(fields)}, separators=(",", ":"))
    return redact(text)


class Log:
    """A log and the thread that writes it.

    Parameters
    ----------
    target : Path or text file
        A path is appended to with mode 0600, rotated at `rotate_bytes` and compressed; a file is written to as it is.
    level : str
        Least level kept: debug, info, warning, error or critical.
    clock : Clock, optional
        Stamps lines, in the thread that logs.
    queue_lines : int
        Lines that may wait for the writer.
    rotate_bytes : int

    Raises
    ------
    ValueError
        Unknown level.
    """

    def __init__(
        self,
        target: Path | TextIO = sys.stderr,
        level: str = "info",
        clock: Clock | None = None,
        queue_lines: int = QUEUE_LINES,
        rotate_bytes: int = ROTATE_BYTES,
    ) -> None:
        self.path = target if isinstance(target, Path) else None
        self._file = _open(target) if isinstance(target, Path) else target
        self._clock = clock or UtcClock()
        self._limit = queue_lines
        self._rotate_bytes = rotate_bytes
        self._waiting: deque[tuple[int, str, str, dict[str, Any]]] = deque()
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self.dropped = 0
        self.errors = 0
        self._told = 0
        self.set_level(level)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def set_level(self, level: str) -> None:
        """Keep lines of this level and above."""
        if level not in LEVELS:
            raise ValueError(f"log level: expected one of {', '.join(LEVELS)}, found {level!r}")
        self._level = LEVELS[level]

    def write(self, level: str, message: str, fields: dict[str, Any]) -> None:
        """Queue a line; never waits."""
        if LEVELS[level] < self._level:
            return
        if len(self._waiting) >= self._limit:
            self.dropped += 1
            return
        self._waiting.append((self._clock.now(), level, message, fields))

    def bind(self, **fields: Any) -> Logger:
        """A logger that adds these fields to every line."""
        return Logger(self, fields)

    def debug(self, message: str, /, **fields: Any) -> None:
        """A line for whoever looks for a fault."""
        self.write("debug", message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        """A line about the ordinary course of things."""
        self.write("info", message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        """A line about something odd that costs nothing yet."""
        self.write("warning", message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        """A line about something that failed."""
        self.write("error", message, fields)

    def critical(self, message: str, /, **fields: Any) -> None:
        """A line about something that stops trading."""
        self.write("critical", message, fields)

    def flush(self) -> None:
        """Write what waits, in this thread."""
        with self._writing:
            lines = []
            while self._waiting:
                lines.append(line_of(*self._waiting.popleft()))
            if self.dropped > self._told:
                count, self._told = self.dropped - self._told, self.dropped
                lines.append(line_of(self._clock.now(), "warning", "log lines dropped", {"count": count}))
            if not lines:
                return
            try:
                self._file.write("\n".join(lines) + "\n")
                self._file.flush()
                if self.path is not None and self._file.tell() >= self._rotate_bytes:
                    self._rotate(self.path)
            except (OSError, ValueError):  # a full disk or a closed terminal must not stop whoever trades
                self.errors += 1
                self.dropped += len(lines)

    def _rotate(self, path: Path) -> None:
        self._file.close()
        number = 1 + max((int(p.name.split(".")[-2]) for p in path.parent.glob(f"{path.name}.*.gz")), default=0)
        moved = path.with_name(f"{path.name}.{number:06d}")
        os.replace(path, moved)
        self._file = _open(path)
        packed = moved.with_name(moved.name + ".gz")
        descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with (
            open(moved, "rb") as source,
            os.fdopen(descriptor, "wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb") as out,
        ):
            shutil.copyfileobj(source, out)
        moved.unlink()

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self.flush()

    def close(self) -> None:
        """Write what waits and stop the thread."""
        self._stop.set()
        self._thread.join()
        self.flush()
        if self.path is not None:
            self._file.close()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Logger:
    """A log with fields that every line carries."""

    __slots__ = ("_fields", "_log")

    def __init__(self, log: Log, fields: dict[str, Any]) -> None:
        self._log = log
        self._fields = fields

    def bind(self, **fields: Any) -> Logger:
        """A logger with further fields."""
        return Logger(self._log, {**self._fields, **fields})

    def debug(self, message: str, /, **fields: Any) -> None:
        """As `Log.debug`."""
        self._log.write("debug", message, {**self._fields, **fields})

    def info(self, message: str, /, **fields: Any) -> None:
        """As `Log.info`."""
        self._log.write("info", message, {**self._fields, **fields})

    def warning(self, message: str, /, **fields: Any) -> None:
        """As `Log.warning`."""
        self._log.write("warning", message, {**self._fields, **fields})

    def error(self, message: str, /, **fields: Any) -> None:
        """As `Log.error`."""
        self._log.write("error", message, {**self._fields, **fields})

    def critical(self, message: str, /, **fields: Any) -> None:
        """As `Log.critical`."""
        self._log.write("critical", message, {**self._fields, **fields})


def _open(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")


__all__ = ["LEVELS", "Log", "Logger", "Secret", "line_of", "redact", "time_text"]
