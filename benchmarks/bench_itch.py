"""A NASDAQ ITCH 5.0 day file to an event file, beside the floor under it: the same file read and its messages counted.

The conversion is the whole of `nanotick data convert`: every message decoded and checked, symbols named, both time
orders put in place, quality counted, the event file written and synced.
"""

import functools
import tempfile
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.bench_book import walk_frames
from benchmarks.generate import input_path
from benchmarks.peer import Peer
from benchmarks.registry import benchmark
from benchmarks.timing import rate
from nanotick.data.archive import open_sources
from nanotick.data.convert import convert_to_events
from nanotick.data.format import Options, Reading

PART_BYTES = 64 << 20  # of the day: about two million messages
DAY = date(2020, 1, 30)


@functools.cache
def _part() -> bytes:
    """The first whole messages of the generated day."""
    with input_path("itch_10m").open("rb") as file:
        data = file.read(PART_BYTES)
    at = 0
    while at + 2 <= len(data) and (end := at + 2 + int.from_bytes(data[at : at + 2], "big")) <= len(data):
        at = end
    return data[:at]


def _write(folder: str) -> Path:
    path = Path(folder) / "day.itch"
    path.write_bytes(_part())
    return path


def _walk(path: Path) -> int:
    data, counts = np.fromfile(path, np.uint8), np.zeros(256, np.int64)
    return int(walk_frames(data.ctypes.data, len(data), counts.ctypes.data))


def _walked() -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = _write(folder)
        return rate(_walk(path), lambda _: _walk(path), lambda: None)


@benchmark(
    "itch_convert",
    "ITCH 5.0 day file -> event file, whole conversion",
    unit="messages/s",
    peer=Peer("the file read, its messages counted", _walked),
)
def itch_convert() -> float:
    """Messages a second."""
    with tempfile.TemporaryDirectory() as folder:
        path, target = _write(folder), Path(folder) / "day.nt"
        messages = _walk(path)

        def convert(_: None) -> None:
            reading = Reading(open_sources([path]), "itch", Options(day=DAY))
            convert_to_events(reading, reading, target)
            if sum(reading.report.messages.values()) != messages:
                raise RuntimeError(f"{dict(reading.report.messages)} is not {messages} messages")

        return rate(messages, convert, lambda: None)
