"""Captures: every container, link layer and byte order, and damage."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.wire.pcap import PACKET, PCAP, PcapStop, scan_packets
from tests.guarded import Guarded, mutations


def udp(payload: bytes, link: int = 1, vlans: int = 0) -> bytes:
    body = struct.pack(">HHHH", 5, 14310, 8 + len(payload), 0) + payload
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(body), 0, 0x4000, 64, 17, 0, 1, 0xE9360C6F) + body
    if link == 1:
        return bytes(12) + b"\x81\0\0\x8d" * vlans + b"\x08\0" + ip
    return {101: b"", 113: bytes(14) + b"\x08\0", 276: b"\x08\0" + bytes(18), 0: b"\2\0\0\0"}[link] + ip


def pcap(frames: list[tuple[int, bytes]], order: str = "<", nanos: bool = False, link: int = 1) -> bytes:
    unit = 1 if nanos else 1000
    out = struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nanos else 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    for ts, frame in frames:
        out += struct.pack(f"{order}IIII", ts // 10**9, ts % 10**9 // unit, len(frame), len(frame)) + frame
    return out


def pcapng(frames: list[tuple[int, bytes]], order: str = "<", link: int = 1) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack(f"{order}II", kind, 12 + len(body)) + body + struct.pack(f"{order}I", 12 + len(body))

    out = block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack(f"{order}HHIHHB3xHH", link, 0, 0, 9, 1, 9, 0, 0))
    for ts, frame in frames:
        out += block(6, struct.pack(f"{order}IIIII", 0, ts >> 32, ts & 0xFFFFFFFF, len(frame), len(frame)) + frame)
    return out


def scan(data: bytes, capacity: int = 64) -> tuple[list[tuple[int, bytes]], np.void]:
    buffer = np.frombuffer(data, dtype=np.uint8)
    table, record = np.zeros(capacity, dtype=PACKET), np.zeros(1, dtype=PCAP)
    record["source_address"], record["size"] = buffer.ctypes.data, len(buffer)
    record["packets_address"], record["capacity"] = table.ctypes.data, capacity
    scan_packets(int(record.ctypes.data))
    rows = table[: int(record["count"][0])]
    return [(int(r["ts"]), data[int(r["offset"]) : int(r["offset"] + r["size"])]) for r in rows], record[0]


@given(
    st.lists(
        st.tuples(st.integers(1, 4 * 10**9).map(lambda s: s * 10**9 + 123_456_000), st.binary(max_size=60)), max_size=6
    ),
    st.sampled_from("<>"),
    st.sampled_from([1, 101, 113, 276, 0]),
    st.booleans(),
)
def test_payloads_and_times_come_out_of_either_container(
    items: list[tuple[int, bytes]], order: str, link: int, nanos: bool
) -> None:
    frames = [(ts, udp(payload, link)) for ts, payload in items]
    assert scan(pcap(frames, order, nanos, link))[0] == items
    assert scan(pcapng(frames, order, link))[0] == items


def test_vlan_tags_are_passed_and_other_packets_counted() -> None:
    tcp = bytearray(udp(b"x"))
    tcp[14 + 9] = 6
    fragment = bytearray(udp(b"x"))
    fragment[14 + 6 : 14 + 8] = b"\x20\x00"
    found, state = scan(pcap([(0, udp(b"abc", vlans=2)), (0, bytes(tcp)), (0, bytes(fragment)), (0, bytes(60))]))
    assert found == [(0, b"abc")] and (state["frames"], state["not_udp"], state["fragments"]) == (4, 2, 1)


def test_a_packet_longer_than_any_capture_is_damage() -> None:
    data = pcap([(0, udp(b"a"))]) + struct.pack("<IIII", 0, 0, 1 << 30, 1 << 30)
    found, state = scan(data)
    assert len(found) == 1 and state["stop"] == PcapStop.BAD


@pytest.mark.parametrize("final", [0, 1])
def test_a_hundred_thousand_damaged_captures_stay_in_bounds(final: int) -> None:
    frames = [(10**18, udp(b"payload")), (10**18 + 5, udp(b"", vlans=1))]
    seeds = [pcap(frames), pcap(frames, ">", True), pcapng(frames), pcapng(frames, ">"), pcap(frames, link=113)]
    source, target = Guarded(4096), Guarded(4096)
    record = np.zeros(1, dtype=PCAP)
    address, room = int(record.ctypes.data), target.room(3 * PACKET.itemsize)
    rows = target.view(3 * PACKET.itemsize).view(PACKET)
    for data in mutations(seeds, 50_000, seed=6 + final):
        record[:] = 0
        record["source_address"], record["size"], record["final"] = source.put(data), len(data), final
        record["packets_address"], record["capacity"] = room, 3
        scan_packets(address)
        count = int(record["count"][0])
        assert 0 <= count <= 3 and 0 <= record["at"][0] <= len(data)
        held = rows[:count]
        assert (held["offset"] >= 0).all() and (held["size"] >= 0).all()
        assert (held["offset"] + held["size"] <= len(data)).all()
