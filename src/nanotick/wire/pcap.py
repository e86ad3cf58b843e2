"""UDP payloads out of packet captures: pcap (microseconds and nanoseconds, either byte order) and pcapng.

Link layers: Ethernet (with any number of VLAN tags), raw IP, Linux cooked (1 and 2), BSD loopback. IPv4 only; fragments
and everything that is not UDP are counted and passed over. The kernel gives a table of PACKET records whose payloads
stay where they are in the buffer.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_be16, load_be32, load_u8, load_u16, load_u32, record_at

PACKET = np.dtype(
    [
        ("ts", "<i8"),  # ns UTC of the capture
        ("offset", "<i8"),  # of the UDP payload in the buffer
        ("size", "<i8"),  # of the payload as captured
        ("missing", "<i8"),  # bytes of the payload that the capture cut off
        ("line", "<i8"),  # destination address << 16 | destination port: the multicast line
    ]
)
packet_at = record_at(PACKET, "Packet")


class PcapStop(IntEnum):
    """Why `scan_packets` came back."""

    INPUT = 0  # no whole record is left
    OUTPUT = 1  # the table is full
    BAD = 2  # the bytes at `at` are no record


STOPPED_INPUT, STOPPED_OUTPUT, STOPPED_BAD = (int(s) for s in PcapStop)

INTERFACES = 64
PCAP = np.dtype(
    [
        ("source_address", "<i8"),
        ("packets_address", "<i8"),
        ("size", "<i8"),
        ("at", "<i8"),
        ("capacity", "<i8"),
        ("count", "<i8"),  # packets in the table
        ("kind", "<i8"),  # 0 not seen, 1 pcap, 2 pcapng
        ("big", "<i8"),  # 1: big-endian
        ("frames", "<i8"),
        ("not_udp", "<i8"),
        ("fragments", "<i8"),
        ("interfaces", "<i8"),
        ("final", "<i8"),  # 1: no more bytes will come; a packet cut by the end of the file is given as far as it goes
        ("cut", "<i8"),  # 1: that happened
        ("stop", "<i8"),
        ("link", "<i8", (INTERFACES,)),
        ("units", "<i8", (INTERFACES,)),  # time units per second
    ]
)
pcap_at = record_at(PCAP, "Pcap")
MAX_RECORD = 1 << 22  # no capture holds larger frames: a larger length is damage

MAGICS = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a")


@kernel
def _u16(address: int, big: int) -> int:
    return load_be16(address) if big else load_u16(address)


@kernel
def _u32(address: int, big: int) -> int:
    return load_be32(address) if big else load_u32(address)


@kernel
def _udp(state: int, start: int, size: int, link: int, ts: int) -> None:
    """Look for UDP in a frame of `size` captured bytes at offset `start`."""
    p = pcap_at(state)
    base = p.source_address + start
    at, kind = 0, 0x0800
    p.frames += 1
    if link == 1:
        if size < 14:
            p.not_udp += 1
            return
        at, kind = 14, load_be16(base + 12)
        while (kind == 0x8100 or kind == 0x88A8 or kind == 0x9100) and at + 4 <= size:
            kind = load_be16(base + at + 2)
            at += 4
    elif link == 113 or link == 276:
        at = 16 if link == 113 else 20
        if size < at:
            p.not_udp += 1
            return
        kind = load_be16(base + (14 if link == 113 else 0))
    elif link == 0 or link == 108:
        at = 4
    if kind != 0x0800 or at + 20 > size or load_u8(base + at) >> 4 != 4 or load_u8(base + at + 9) != 17:
        p.not_udp += 1
        return
    if load_be16(base + at + 6) & 0x3FFF:
        p.fragments += 1
        return
    line = load_be32(base + at + 16)
    total = at + load_be16(base + at + 2)
    at += 4 * (load_u8(base + at) & 15)
    if at + 8 > size:
        p.not_udp += 1
        return
    said = load_be16(base + at + 4) - 8
    if said < 0 or (total > 0 and at + 8 + said > total):
        p.not_udp += 1
        return
    here = min(said, size - at - 8)
    packet = packet_at(p.packets_address, p.count)
    packet.ts = ts
    packet.offset = start + at + 8
    packet.size = here
    packet.missing = said - here
    packet.line = (line << 16) | load_be16(base + at + 2)
    p.count += 1


@kernel
def _begin(state: int) -> int:
    """Read the file's magic; bytes to pass over, 0 for more input, -1 if it is no capture."""
    p = pcap_at(state)
    base = p.source_address + p.at
    if p.at + 24 > p.size:
        return 0
    magic = load_u32(base)
    if magic == 0x0A0D0D0A:
        p.kind = 2
        p.big = 1 if load_be32(base + 8) == 0x1A2B3C4D else 0
        return 1  # the section header is a block like any other
    p.big = 1 if magic == 0xD4C3B2A1 or magic == 0x4D3CB2A1 else 0
    value = _u32(base, p.big)
    if value != 0xA1B2C3D4 and value != 0xA1B23C4D:
        return -1
    p.kind = 1
    p.link[0] = _u32(base + 20, p.big) & 0xFFFF
    p.units[0] = 1_000_000 if value == 0xA1B2C3D4 else 1_000_000_000
    p.at += 24
    return 1


@kernel
def _interface(state: int, body: int, size: int) -> None:
    """Take over an interface description: its link layer and the resolution of its clock."""
    p = pcap_at(state)
    i = p.interfaces
    if i >= INTERFACES:
        return
    p.link[i] = _u16(body, p.big)
    units = 1_000_000
    at = 8
    while at + 4 <= size:
        code, length = _u16(body + at, p.big), _u16(body + at + 2, p.big)
        if code == 0 or at + 4 + length > size:
            break
        if code == 9 and length >= 1:
            power = load_u8(body + at + 4)
            if power < 10:
                units = 1
                for _ in range(power):
                    units *= 10
            elif power >= 128 and power < 128 + 31:
                units = 1 << (power - 128)
        at += 4 + ((length + 3) & ~3)
    p.units[i] = units
    p.interfaces = i + 1


@kernel
def _stamp(high: int, low: int, units: int) -> int:
    """ns of a pcapng time stamp; what does not fit 64 bits is 0."""
    if high >> 31 or units <= 0:
        return 0
    value = (high << 32) | low
    seconds = value // units
    if seconds > 9_000_000_000:
        return 0
    return seconds * 1_000_000_000 + (value % units) * 1_000_000_000 // units


@kernel
def _block(state: int) -> int:
    """Read a pcapng block at `at`; its length, 0 for more input, -1 for damage."""
    p = pcap_at(state)
    base, left = p.source_address + p.at, p.size - p.at
    if left < 12:
        return 0
    kind = load_u32(base)
    if kind == 0x0A0D0D0A:
        p.big = 1 if load_be32(base + 8) == 0x1A2B3C4D else 0
        p.interfaces = 0
    else:
        kind = _u32(base, p.big)
    length = _u32(base + 4, p.big)
    if length < 12 or length & 3 or length > MAX_RECORD:
        return -1
    if length > left:
        return 0
    body, size = base + 8, length - 12
    if kind == 1 and size >= 8:
        _interface(state, body, size)
    elif (kind == 6 or kind == 2) and size >= 20:
        i = _u32(body, p.big) if kind == 6 else _u16(body, p.big)
        captured = _u32(body + 12, p.big)
        if i < p.interfaces and 20 + captured <= size:
            ts = _stamp(_u32(body + 4, p.big), _u32(body + 8, p.big), p.units[i])
            _udp(state, p.at + 28, captured, p.link[i], ts)
        else:
            return -1
    elif kind == 3 and size >= 4 and p.interfaces > 0:
        _udp(state, p.at + 12, min(size - 4, _u32(body, p.big)), p.link[0], 0)
    return length


@kernel("i8(i8)")
def scan_packets(state: int) -> int:
    """Fill the packet table from the capture until input or room runs out.

    Parameters
    ----------
    state : int
        Address of a PCAP.

    Returns
    -------
    int
        `PcapStop`.
    """
    p = pcap_at(state)
    stop = STOPPED_INPUT
    if p.kind == 0:
        begun = _begin(state)
        if begun <= 0:
            p.stop = STOPPED_BAD if begun < 0 else STOPPED_INPUT
            return p.stop
    while True:
        if p.count >= p.capacity:
            stop = STOPPED_OUTPUT
            break
        if p.kind == 2:
            taken = _block(state)
        elif p.at + 16 > p.size:
            taken = 0
        else:
            base = p.source_address + p.at
            captured = _u32(base + 8, p.big)
            if captured > MAX_RECORD:
                taken = -1
            elif p.at + 16 + captured > p.size and p.final == 0:
                taken = 0
            else:
                if p.at + 16 + captured > p.size:
                    captured = p.size - p.at - 16
                    p.cut = 1
                fraction = _u32(base + 4, p.big) * (1_000_000_000 // p.units[0])
                _udp(state, p.at + 16, captured, p.link[0], _u32(base, p.big) * 1_000_000_000 + fraction)
                taken = 16 + captured
        if taken <= 0:
            stop = STOPPED_BAD if taken < 0 else STOPPED_INPUT
            break
        p.at += taken
    p.stop = stop
    return stop
