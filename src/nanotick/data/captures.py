"""Packet captures of sequenced feeds: packets out of the file, and messages in sequence out of packets.

`packets` reads pcap and pcapng. `Sequencer` puts the packets of each stream (a session of MoldUDP64 or IEX-TP) in
order: redundant lines are arbitrated by sequence number (the first arrival wins), a packet that comes too early waits
until the missing ones arrive on any line, and what has not come after a thousand further packets or a second is a gap.
Numbers that start over are a gap too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nanotick.data.archive import Blocks, Source
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.wire.pcap import MAGICS, PACKET, PCAP, PcapStop, scan_packets

HELD_PACKETS = 1000
HELD_NS = 1_000_000_000
_TABLE = 4096


class Packet(NamedTuple):
    """A UDP payload as captured."""

    ts: int  # ns UTC
    line: int  # destination address and port
    missing: int  # bytes the capture cut off
    data: npt.NDArray[np.uint8]  # good until the next packet is asked for


def packets(source: Source, report: QualityReport) -> Iterator[Packet]:
    """The UDP payloads of a capture, in the order of the file."""
    blocks = Blocks(source.open())
    table = np.zeros(_TABLE, dtype=PACKET)
    record = np.zeros(1, dtype=PCAP)
    state = record[0]
    state["packets_address"], state["capacity"] = table.ctypes.data, _TABLE
    consumed, more, stop = 0, True, int(PcapStop.INPUT)
    while more and stop != PcapStop.BAD:
        more = blocks.advance(consumed)
        state["source_address"], state["size"], state["at"] = blocks.address, blocks.size, 0
        state["final"] = 0 if more else 1
        while True:
            stop = scan_packets(int(record.ctypes.data))
            data = blocks.data
            for ts, offset, size, missing, line in table[: int(state["count"])].tolist():
                yield Packet(ts, line, missing, data[offset : offset + size])
            state["count"] = 0
            if stop != PcapStop.OUTPUT:
                break
        consumed = int(state["at"])
    where = f"{blocks.name} byte {blocks.position + consumed}"
    if stop == PcapStop.BAD:
        kind = "a packet record" if state["kind"] else "a capture (pcap or pcapng)"
        report.anomaly(Anomaly.MALFORMED, where, f"expected {kind}; the rest of the file is left out")
    elif (blocks.size > consumed or blocks.cut) and not state["cut"]:
        cut = f": {blocks.cut}" if blocks.cut else ""
        report.anomaly(Anomaly.TRUNCATED, where, f"ends in the middle of a packet{cut}")
    for name, text in (("not_udp", "are not UDP over IPv4"), ("fragments", "are fragments")):
        if state[name]:
            report.note(f"{source.label}: {int(state[name]):,} of {int(state['frames']):,} packets {text}")


def first_payload(head: bytes) -> bytes:
    """The first UDP payload in the first bytes of a capture; empty if there is none."""
    if head[:4] not in MAGICS:
        return b""
    table, record = np.zeros(64, dtype=PACKET), np.zeros(1, dtype=PCAP)
    data = np.frombuffer(head, dtype=np.uint8)
    record["source_address"], record["size"] = data.ctypes.data, len(data)
    record["packets_address"], record["capacity"] = table.ctypes.data, len(table)
    scan_packets(int(record.ctypes.data))
    for row in table[: int(record["count"][0])]:
        if row["size"]:
            return bytes(head[int(row["offset"]) : int(row["offset"] + row["size"])])
    return b""


class Part(NamedTuple):
    """Messages to decode: those of a packet after the first `skip`, numbered from `seq` (after skipping)."""

    recv: int
    seq: int
    count: int  # type: ignore[assignment]  # messages, without the skipped
    skip: int
    data: npt.NDArray[np.uint8]


class Gap(NamedTuple):
    """Messages that never came; a count of 0 says the numbers start over."""

    recv: int
    seq: int
    count: int  # type: ignore[assignment]


@dataclass
class _Stream:
    expected: int
    line: int
    recv: int = 0
    sent: int = 0  # ns, latest time of sending
    held: dict[int, tuple[int, int, npt.NDArray[np.uint8]]] = field(default_factory=dict)
    since: int = 0  # ns, when the first held packet came
    waited: int = 0  # packets since then
    repeated: int = 0
    duplicates: int = 0


class Sequencer:
    """Sequenced streams out of packets of any order."""

    def __init__(self, report: QualityReport, label: str) -> None:
        self._report = report
        self._label = label
        self._streams: dict[Any, _Stream] = {}

    def offer(self, key: Any, seq: int, count: int, packet: Packet, number: int, sent: int = 0) -> list[Part | Gap]:
        """What a packet makes ready.

        Parameters
        ----------
        key : hashable
            The stream.
        seq, count : int
            First sequence number and number of messages; 0 for a heartbeat, whose number is the next to come.
        packet : Packet
        number : int
            Of the packet in the capture, for reports.
        sent : int
            When the venue says it sent it, ns, if it does: old numbers sent later than anything before on the same line
            are no duplicates; the venue has begun to count anew.
        """
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(seq, packet.line)
        if seq < stream.expected and sent > stream.sent > 0 and packet.line == stream.line:
            return self._restart(stream, seq, count, packet, number, sent)
        stream.sent = max(stream.sent, sent)
        if count and seq + count <= stream.expected:
            if packet.line != stream.line:
                stream.repeated += 1
            else:
                stream.duplicates += 1
                reason = f"messages {seq} to {seq + count - 1} came before"
                self._report.anomaly(Anomaly.DUPLICATE, f"{self._label} packet {number}", reason)
            return self._overdue(stream, packet, number) if stream.held else []
        stream.line = packet.line
        stream.recv = max(stream.recv, packet.ts)
        if seq > stream.expected:
            if not stream.held:
                stream.since, stream.waited = packet.ts, 0
            if count:
                stream.held[seq] = (count, packet.ts, packet.data.copy())
            else:
                stream.held.setdefault(seq, (0, packet.ts, packet.data[:0]))
            return self._overdue(stream, packet, number)
        ready: list[Part | Gap] = []
        if count:
            skip = stream.expected - seq
            ready.append(Part(stream.recv, stream.expected, count - skip, skip, packet.data))
            stream.expected = seq + count
        if stream.held:
            ready += self._release(stream)
            ready += self._overdue(stream, packet, number)
        return ready

    def _restart(
        self, stream: _Stream, seq: int, count: int, packet: Packet, number: int, sent: int
    ) -> list[Part | Gap]:
        where = f"{self._label} packet {number}"
        ready: list[Part | Gap] = []
        while stream.held:
            ready += self._give_up(stream, where)
        told = f"sequence numbers go back from {stream.expected:,} to {seq:,}: the venue counts anew"
        self._report.anomaly(Anomaly.GAP, where, told)
        stream.recv, stream.sent, stream.expected = max(stream.recv, packet.ts), sent, seq + count
        ready.append(Gap(stream.recv, seq, 0))
        if count:
            ready.append(Part(stream.recv, seq, count, 0, packet.data))
        return ready

    def _release(self, stream: _Stream) -> list[Part | Gap]:
        """Held packets that are due now."""
        ready: list[Part | Gap] = []
        while stream.held and (seq := min(stream.held)) <= stream.expected:
            count, ts, data = stream.held.pop(seq)
            stream.recv = max(stream.recv, ts)
            skip = stream.expected - seq
            if count > skip:
                ready.append(Part(stream.recv, stream.expected, count - skip, skip, data))
                stream.expected = seq + count
        return ready

    def _overdue(self, stream: _Stream, packet: Packet, number: int) -> list[Part | Gap]:
        stream.waited += 1
        if not stream.held or (stream.waited < HELD_PACKETS and packet.ts - stream.since < HELD_NS):
            return []
        return self._give_up(stream, f"{self._label} packet {number}")

    def _give_up(self, stream: _Stream, where: str) -> list[Part | Gap]:
        seq = min(stream.held)
        first, missing = stream.expected, seq - stream.expected
        self._report.anomaly(Anomaly.GAP, where, f"{missing:,} messages from {first} on never came")
        stream.expected = seq
        ready: list[Part | Gap] = [Gap(stream.recv, first, missing)]
        ready += self._release(stream)
        if stream.held:
            stream.since, stream.waited = min(held[1] for held in stream.held.values()), 0
        return ready

    def finish(self) -> list[Part | Gap]:
        """What still waits at the end of the capture, its gaps declared."""
        ready: list[Part | Gap] = []
        for stream in self._streams.values():
            while stream.held:
                ready += self._give_up(stream, f"{self._label} end")
            if stream.repeated:
                self._report.note(f"{self._label}: {stream.repeated:,} packets came a second time on another line")
        return ready
