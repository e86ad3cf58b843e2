"""Captures of IEX DEEP 1.0 and TOPS 1.5/1.6 over IEX-TP, as the exchange publishes them: pcap or pcapng.

Receive times are those of the capture, venue times those of the messages. Prices have four decimals. A price level
update that leaves an event unfinished has no LAST flag: the book between is not to be acted on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument
from nanotick.core.records import EVENT
from nanotick.data.archive import Source
from nanotick.data.captures import Gap, Part, Sequencer, first_payload, packets
from nanotick.data.format import SKIPPED, Listing, Options
from nanotick.data.moldudp64 import gap_events
from nanotick.data.quality import Anomaly, BadDataError, QualityReport
from nanotick.wire.iex import HEAD, PROTOCOLS, SIZES, decode_head
from nanotick.wire.iex_events import IEX_DECODER, SYMBOL_CELLS, IexStop, decode_messages, set_symbol

_MAX_SYMBOLS = SYMBOL_CELLS // 2
_CHUNK = 1 << 12


class IexDecoding:
    """State of decoding IEX messages: the record the kernel works on, and what it asks Python for."""

    def __init__(self, listing: Listing, capacity: int = _CHUNK) -> None:
        self._listing = listing
        self._named = 0
        self.events = np.zeros(capacity, dtype=EVENT)
        self.symbols = np.zeros(2 * SYMBOL_CELLS, dtype=np.int64)
        self.counts = np.zeros(256, dtype=np.int64)
        self.record = np.zeros(1, dtype=IEX_DECODER)
        self.state = self.record[0]
        self.address = int(self.record.ctypes.data)
        for name, table in (
            ("events", self.events),
            ("symbols", self.symbols),
            ("sizes", SIZES),
            ("counts", self.counts),
        ):
            self.state[f"{name}_address"] = table.ctypes.data
        self.state["capacity"] = capacity

    def name(self, message: bytes) -> None:
        """Give the symbol of a message an instrument.

        Raises
        ------
        BadDataError
            There are more symbols than any market has.
        """
        symbol = message[10:18].decode("latin-1").strip(" \0") or "(blank)"
        self._named += 1
        if self._named > _MAX_SYMBOLS:
            raise BadDataError(f"more than {_MAX_SYMBOLS:,} symbols; is this a capture of IEX?")
        number = self._listing.number(Instrument(symbol, "IEXG", 4, 0, "0.01"))
        value = int.from_bytes(message[10:18], "little", signed=True)
        set_symbol(int(self.symbols.ctypes.data), value, -1 if number == SKIPPED else number)

    def take(self) -> npt.NDArray[Any]:
        """The events decoded since the last call; good until the next decoding."""
        count = int(self.state["count"])
        self.state["count"] = 0
        return self.events[:count]


class IexFormat:
    """IEX-TP captures."""

    name = "iex"
    description = "packet capture (pcap, pcapng) of IEX DEEP 1.0, TOPS 1.5 or TOPS 1.6"
    extensions = (".pcap", ".pcapng")

    def sniff(self, head: bytes, source: Source) -> bool:
        """A capture whose first UDP payload is an IEX-TP segment."""
        return decode_head(first_payload(head)) is not None

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of the captures."""
        decoding = IexDecoding(listing)
        for source in sources:
            yield from _read_capture(source, decoding, report, listing)
            if decoding.state["count"]:
                yield decoding.take()
            for letter in np.flatnonzero(decoding.counts):
                report.message(chr(letter), int(decoding.counts[letter]))
            decoding.counts[:] = 0


def _read_capture(
    source: Source, decoding: IexDecoding, report: QualityReport, listing: Listing
) -> Iterator[npt.NDArray[Any]]:
    label, number, foreign = source.label, 0, 0
    sequencer = Sequencer(report, label)
    protocols: dict[str, int] = {}
    for packet in packets(source, report):
        number += 1
        segment = decode_head(packet.data[: HEAD.size].tobytes())
        if segment is None:
            foreign += 1
            continue
        where = f"{label} packet {number}"
        if not packet.missing and segment.payload_size != len(packet.data) - HEAD.size:
            told = f"the segment says {segment.payload_size} bytes, {len(packet.data) - HEAD.size} are there"
            report.anomaly(Anomaly.MALFORMED, where, told)
        name = PROTOCOLS[segment.protocol]
        protocols[name] = protocols.get(name, 0) + 1
        key = (segment.protocol, segment.channel, segment.session)
        for item in sequencer.offer(key, segment.seq, segment.count, packet, number, segment.send_time):
            yield from _deliver(item, decoding, report, listing, where, packet.missing > 0)
    for item in sequencer.finish():
        yield from _deliver(item, decoding, report, listing, f"{label} end")
    if number == foreign:
        raise BadDataError(f"{label}: none of {number:,} UDP packets is an IEX-TP segment of DEEP 1.0 or TOPS")
    if foreign:
        report.note(f"{label}: {foreign:,} of {number:,} UDP packets are not IEX-TP")
    for name, count in protocols.items():
        report.note(f"{label}: {count:,} segments of {name}")


def _deliver(
    item: Part | Gap,
    decoding: IexDecoding,
    report: QualityReport,
    listing: Listing,
    where: str,
    cut: bool = False,
) -> Iterator[npt.NDArray[Any]]:
    state = decoding.state
    if isinstance(item, Gap):
        if state["count"]:
            yield decoding.take()
        yield gap_events(item, len(listing))
        return
    data = item.data
    state["source"], state["size"], state["at"] = data.ctypes.data, len(data), min(HEAD.size, len(data))
    state["recv"], state["seq"], state["skip"] = item.recv, item.seq, item.skip
    while True:
        stop = decode_messages(decoding.address)
        at = int(state["at"])
        if stop == IexStop.NAME:
            decoding.name(data[at + 2 : at + 20].tobytes())
        elif stop == IexStop.OUTPUT:
            yield decoding.take()
        elif stop == IexStop.INPUT:
            break
        elif stop == IexStop.BAD and cut:
            if at + 3 <= len(data) and SIZES[data[at + 2]]:
                report.message(chr(int(data[at + 2])))  # it was sent, though the capture ends inside it
            break
        else:
            size = int(data[at]) | int(data[at + 1]) << 8 if at + 2 <= len(data) else len(data)
            letter = chr(int(data[at + 2])) if at + 3 <= len(data) and size else ""
            kind = Anomaly.UNKNOWN_MESSAGE if stop == IexStop.UNKNOWN and letter else Anomaly.MALFORMED
            fits = at + 2 + size <= len(data)
            told = f"a message of type {letter!r} and {size} bytes"
            done = "skipped" if fits else "more than the packet has; the rest is left out"
            report.anomaly(kind, where, f"{told}, {done}")
            state["at"] = at + 2 + size if fits else len(data)
            state["seq"] += 1
    if state["seq"] != item.seq + item.count or state["skip"]:
        told = f"says {item.skip + item.count} messages, holds {int(state['seq']) - item.seq + item.skip}"
        report.anomaly(Anomaly.TRUNCATED if cut else Anomaly.MALFORMED, where, told)


FORMAT = IexFormat()
