"""Lines of recordings: `<local stamp> <frame>`, the form in which collectors write what a socket gave them."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from nanotick.data.archive import Stream
from nanotick.wire.json_text import WireError, epoch_ns

STAMPED = re.compile(rb"[0-9]{10,19} +[\[{]")


def line_end(data: npt.NDArray[np.uint8], at: int, end: int) -> int:
    """Offset of the next line feed."""
    step = 4096
    while at < end:
        found = bytes(data[at : at + step]).find(b"\n")
        if found >= 0:
            return at + found
        at += step
    return end


def memory_stream(label: str, body: bytes) -> Stream:
    """A stream of bytes at hand."""
    parts = [body]
    return Stream(label, lambda: parts.pop() if parts else b"")


def split_line(line: bytes) -> tuple[int, bytes]:
    """Receive time (0 when there is none) and frame of a line."""
    stamp, space, frame = line.partition(b" ")
    if line[:1].isdigit():
        if not (space and stamp.isdigit() and len(stamp) <= 19 and int(stamp) < 9 * 10**18):
            raise WireError(f"expected a local time stamp and a message, found {line[:40]!r}")
        return epoch_ns(int(stamp)), frame.strip(b" \t\r")
    return 0, line.strip(b" \t\r")


def symbol_in(name: str) -> str:
    """The symbol a recording is named after: btcusdt_20240808.gz, btcusd_perp_20240808.gz."""
    found = re.match(
        r"([A-Za-z0-9]{4,20}?(?:_perp|_\d{6})?)(?:[._-]|\Z)", name.rsplit("/", 1)[-1].rsplit(":", 1)[-1], re.I
    )
    return found[1].upper() if found else ""
