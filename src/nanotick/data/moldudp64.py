"""Captures of MoldUDP64 carrying NASDAQ ITCH 5.0: pcap or pcapng, any number of sessions and redundant lines.

A packet is session (10 bytes), sequence number (8), message count (2), then frames as in a day file. Count 0 is a
heartbeat, 0xFFFF the end of the session. Receive times are those of the capture; the day is that of the first packet
in New York.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind
from nanotick.data.archive import Source
from nanotick.data.captures import Gap, Packet, Part, Sequencer, first_payload, packets
from nanotick.data.format import Listing, Options, midnight_ns
from nanotick.data.itch import ItchDecoding
from nanotick.data.quality import Anomaly, BadDataError, QualityReport
from nanotick.wire.itch import MESSAGES, SIZES
from nanotick.wire.itch_events import Stop, decode_frames

HEAD_SIZE = 20
END_OF_SESSION = 0xFFFF


def head(packet: bytes) -> tuple[bytes, int, int]:
    """Session, sequence number and message count of a downstream packet of at least 20 bytes."""
    return packet[:10], int.from_bytes(packet[10:18], "big"), int.from_bytes(packet[18:20], "big")


def is_downstream(packet: bytes) -> bool:
    """Whether a payload is a MoldUDP64 packet of ITCH 5.0: a printable or blanked session, and frames that fill it."""
    if len(packet) < HEAD_SIZE or not packet[:10].isascii():
        return False
    if packet[:10].strip(b"\0") and not packet[:10].decode("ascii").isprintable():
        return False
    _, seq, count = head(packet)
    if count in (0, END_OF_SESSION):
        return len(packet) == HEAD_SIZE and seq > 0
    at = HEAD_SIZE
    for _ in range(count):
        if at + 3 > len(packet):
            return False
        size = int.from_bytes(packet[at : at + 2], "big")
        if int(SIZES[packet[at + 2]]) != size:
            return False
        at += 2 + size
    return at == len(packet)


def gap_events(gap: Gap, instruments: int) -> npt.NDArray[Any]:
    """A GAP event for every instrument: none of their books is to be trusted until rebuilt."""
    events = np.zeros(instruments, dtype=EVENT)
    events["kind"], events["flags"] = Kind.GAP, BOTH_SIDES | Flag.LAST
    events["ts_venue"] = events["ts_recv"] = gap.recv
    events["seq"], events["word"], events["instrument"] = gap.seq, gap.count, np.arange(instruments)
    return events


class MoldFormat:
    """ITCH 5.0 over MoldUDP64, captured."""

    name = "moldudp64"
    description = "packet capture (pcap, pcapng) of MoldUDP64 carrying NASDAQ ITCH 5.0"
    extensions = (".pcap", ".pcapng")

    def sniff(self, head: bytes, source: Source) -> bool:
        """A capture whose first UDP payload is a MoldUDP64 packet of ITCH."""
        return is_downstream(first_payload(head))

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of the captures, each a day or part of one."""
        for source in sources:
            yield from _Capture(source, options, report, listing).events()


class _Capture:
    """One capture being read; stock locates are those of each session."""

    def __init__(self, source: Source, options: Options, report: QualityReport, listing: Listing) -> None:
        self._source, self._options, self._report, self._listing = source, options, report, listing
        self._decodings: dict[bytes, ItchDecoding] = {}
        self._midnight = 0
        self._foreign = 0
        self._unnumbered = 0

    def events(self) -> Iterator[npt.NDArray[Any]]:
        label = self._source.label
        sequencer = Sequencer(self._report, label)
        number = 0
        for packet in packets(self._source, self._report):
            number += 1
            if len(packet.data) < HEAD_SIZE:
                self._foreign += 1
                continue
            session, seq, count = head(packet.data[:HEAD_SIZE].tobytes())
            if session not in self._decodings:
                if not is_downstream(packet.data.tobytes()):
                    self._foreign += 1
                    continue
                self._begin(session, packet)
            count = 0 if count == END_OF_SESSION else count
            if seq == 0:  # numbers start at 1: the capture had them blanked
                self._unnumbered += 1
                ready: list[Part | Gap] = [Part(packet.ts, 0, count, 0, packet.data)] if count else []
            else:
                ready = sequencer.offer(session, seq, count, packet, number)
            for item in ready:
                yield from self._deliver(session, item, f"{label} packet {number}", packet.missing > 0)
        last = next(reversed(self._decodings), b"")
        for item in sequencer.finish():
            yield from self._deliver(last, item, f"{label} end")
        if not number:
            raise BadDataError(f"{label}: no UDP packet in it; expected a capture of MoldUDP64")
        if self._unnumbered:
            self._report.note(f"{label}: {self._unnumbered:,} packets have no sequence number: taken as they come")
        if self._foreign:
            self._report.note(f"{label}: {self._foreign:,} of {number:,} UDP packets are not MoldUDP64 with ITCH 5.0")

    def _begin(self, session: bytes, packet: Packet) -> None:
        decoding = self._decodings[session] = ItchDecoding(self._listing, 1 << 10)
        if not self._midnight:
            day = self._options.day
            if day is None:
                from zoneinfo import ZoneInfo

                utc = datetime.fromtimestamp(packet.ts // 1_000_000_000, UTC)
                day = utc.astimezone(ZoneInfo("America/New_York")).date()
            self._midnight = midnight_ns(day)
        decoding.state["midnight"] = self._midnight

    def _deliver(self, session: bytes, item: Part | Gap, where: str, cut: bool = False) -> Iterator[npt.NDArray[Any]]:
        if isinstance(item, Gap):
            yield gap_events(item, len(self._listing))
            return
        decoding = self._decodings[session]
        state, data = decoding.state, item.data
        at = HEAD_SIZE
        for _ in range(item.skip):
            at += 2 + (int(data[at]) << 8 | int(data[at + 1])) if at + 2 <= len(data) else 0
        state["source_address"], state["size"], state["at"] = data.ctypes.data, len(data), min(at, len(data))
        state["recv"], state["seq"] = item.recv, item.seq
        while True:
            stop = decode_frames(decoding.address)
            at = int(state["at"])
            if stop == Stop.NAME:
                decoding.name(data[at + 2 : at + 52].tobytes())
            elif stop == Stop.OUTPUT:
                yield decoding.take()
            elif stop == Stop.FRAME:
                size, letter = int(data[at]) << 8 | int(data[at + 1]), chr(int(data[at + 2]))
                known = letter in MESSAGES
                kind = Anomaly.MALFORMED if known else Anomaly.UNKNOWN_MESSAGE
                told = f"a message of type {letter!r} and {size} bytes"
                self._report.anomaly(kind, where, f"{told}, which ITCH 5.0 does not have; skipped")
                state["at"] = min(len(data), at + 2 + size)
                state["seq"] += 1
            else:
                break
        if state["seq"] != item.seq + item.count or at != len(data):
            told = f"says {item.skip + item.count} messages, holds {int(state['seq']) - item.seq + item.skip}"
            kind = Anomaly.TRUNCATED if cut else Anomaly.MALFORMED
            self._report.anomaly(kind, where, f"{told} and {len(data) - at} bytes more")
        if state["count"]:
            yield decoding.take()
        decoding.report_counts(self._report)


FORMAT = MoldFormat()
