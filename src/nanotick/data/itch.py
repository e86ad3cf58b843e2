"""NASDAQ ITCH 5.0 day files: length-prefixed messages, plain or in any archive.

Zeros in the length field are tolerated (the type says the length); a length that contradicts the type, or an unknown
type, is reported and the reader goes on at the next place where three frames follow each other. Prices have four
decimals. The date comes from the file's name or `--date`. Options: none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument
from nanotick.core.records import EVENT
from nanotick.data.archive import Blocks, Source
from nanotick.data.format import SKIPPED, Listing, Options, day_of, midnight_ns
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.wire.itch import MESSAGES, SIZES, STOCK_AT
from nanotick.wire.itch_events import (
    ITCH_DECODER,
    LEFT_OUT,
    LOCATES,
    PLACEHOLDER,
    UNKNOWN,
    UNNAMED,
    Stop,
    decode_frames,
    find_frame,
)

CHUNK = 1 << 14  # events: one MiB
_EPOCH = date(1970, 1, 1)
_LATEST = 108_000_000_000_000  # ns: no message is stamped later than 30 hours after midnight


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)


class ItchDecoding:
    """State of decoding ITCH messages: the record the kernel works on, and what it asks Python for.

    Parameters
    ----------
    listing : Listing
        Where instruments are named.
    capacity : int
        Events in the output buffer.
    """

    def __init__(self, listing: Listing, capacity: int = CHUNK) -> None:
        self._listing = listing
        self.events = np.zeros(capacity, dtype=EVENT)
        self.locates = np.full(LOCATES, UNKNOWN, dtype=np.int32)
        self.counts = np.zeros(256, dtype=np.int64)
        self.record = np.zeros(1, dtype=ITCH_DECODER)
        self.state = self.record[0]
        self.address = _address(self.record)
        self.state["events_address"] = _address(self.events)
        self.state["locates_address"] = _address(self.locates)
        self.state["sizes_address"] = _address(SIZES)
        self.state["stocks_address"] = _address(STOCK_AT)
        self.state["counts_address"] = _address(self.counts)
        self.state["capacity"] = capacity
        self.state["seq"] = 1

    def new_day(self) -> None:
        """Forget the stock locates: they are numbers of a day."""
        self.locates[:] = UNKNOWN

    def name(self, message: bytes) -> None:
        """Give the locate of a message an instrument, by its stock's name if the message has one."""
        locate = int.from_bytes(message[1:3], "big")
        known = int(self.locates[locate])
        at = int(STOCK_AT[message[0]])
        symbol = message[at : at + 8].decode("latin-1").strip(" \0") if at else ""
        if symbol:
            instrument = Instrument(symbol, "XNAS", 4, 0, "0.01")
            if known <= -PLACEHOLDER:
                number = self._listing.rename(-known - PLACEHOLDER, instrument)
            else:
                number = self._listing.number(instrument)
            self.locates[locate] = LEFT_OUT if number == SKIPPED else number
            return
        number = self._listing.number(Instrument(f"LOCATE-{locate}", "XNAS", 4, 0, "0.01"))
        if at:  # its stock field is blank: there is no better name to wait for
            self.locates[locate] = LEFT_OUT if number == SKIPPED else number
        else:
            self.locates[locate] = UNNAMED if number == SKIPPED else -number - PLACEHOLDER

    def take(self) -> npt.NDArray[Any]:
        """The events decoded since the last call; good until the next decoding."""
        count = int(self.state["count"])
        self.state["count"] = 0
        return self.events[:count]

    def report_counts(self, report: QualityReport) -> None:
        """Move the counts per message type into a report."""
        for letter in np.flatnonzero(self.counts):
            report.message(chr(letter), int(self.counts[letter]))
        self.counts[:] = 0


class ItchFormat:
    """Length-prefixed ITCH 5.0."""

    name = "itch"
    description = "NASDAQ TotalView-ITCH 5.0 day file, length-prefixed"
    extensions = (".itch", ".itch50", ".itch_50", ".bin")

    def sniff(self, head: bytes, source: Source) -> bool:
        """Three plausible frames one after the other at the very start."""
        at = 0
        for _ in range(3):
            if at + 11 > len(head):
                return at > 0 and len(head) < 120
            size = int(SIZES[head[at + 2]])
            said = int.from_bytes(head[at : at + 2], "big")
            if not size or said not in (0, size) or int.from_bytes(head[at + 7 : at + 13], "big") > _LATEST:
                return False
            at += 2 + size
        return True

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of each file in turn."""
        decoding = ItchDecoding(listing)
        for source in sources:
            day = day_of(options, source.name)
            if day is None:
                report.note(f"{source.label}: no date in the name: times count from 1970-01-01; --date gives one")
            decoding.new_day()
            decoding.state["midnight"] = midnight_ns(day) if day else midnight_ns(_EPOCH, "UTC")
            decoding.state["seq"] = 1
            yield from _read_stream(Blocks(source.open()), decoding, report)
            decoding.report_counts(report)


def _read_stream(blocks: Blocks, decoding: ItchDecoding, report: QualityReport) -> Iterator[npt.NDArray[Any]]:
    state, consumed, more = decoding.state, 0, True
    while more:
        more = blocks.advance(consumed)
        state["source_address"], state["size"], state["at"] = blocks.address, blocks.size, 0
        while True:
            stop = decode_frames(decoding.address)
            at = int(state["at"])
            if stop == Stop.NAME:
                decoding.name(bytes(blocks.data[at + 2 : at + 52]))
            elif stop == Stop.OUTPUT:
                yield decoding.take()
            elif stop == Stop.FRAME and not _skip(blocks, decoding, report, not more):
                break
            elif stop == Stop.INPUT:
                break
        consumed = int(state["at"])
    if state["count"]:
        yield decoding.take()
    left = blocks.size - consumed
    if left or blocks.cut:
        rest = bytes(blocks.data[consumed : consumed + 3])
        kind = f"a message of type {chr(rest[2])!r}" if len(rest) == 3 else "a length field"
        reason = f"ends in the middle of {kind}, {left} bytes of it are there" if left else "ends early"
        cut = f": {blocks.cut}" if blocks.cut else ""
        report.anomaly(Anomaly.TRUNCATED, f"{blocks.name} byte {blocks.position + consumed}", reason + cut)


def _skip(blocks: Blocks, decoding: ItchDecoding, report: QualityReport, final: bool) -> bool:
    """Report the frame that is none and move to the next one; False if more bytes must come first."""
    state = decoding.state
    at = int(state["at"])
    found = find_frame(blocks.address, blocks.size, at + 1, _address(SIZES), int(final))
    if found < 0 and not (at == 0 and blocks.size > 1 << 17):
        return False
    place = -1 - found if found < 0 else found
    said, letter = int.from_bytes(bytes(blocks.data[at : at + 2]), "big"), chr(int(blocks.data[at + 2]))
    if letter in MESSAGES:
        kind, reason = Anomaly.MALFORMED, f"{letter} has {MESSAGES[letter].size} bytes, the length field says {said}"
    else:
        kind, reason = Anomaly.UNKNOWN_MESSAGE, f"ITCH 5.0 has no message of type {letter!r} (length field {said})"
    where = f"{blocks.name} byte {blocks.position + at}"
    report.anomaly(kind, where, f"{reason}; {place - at} bytes were skipped")
    state["at"] = place
    return True


FORMAT = ItchFormat()
