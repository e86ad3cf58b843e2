"""IEX DEEP 1.0 and TOPS 1.5/1.6 messages inside IEX-TP segments: field by field, bytes to values and back.

All integers are little-endian, prices signed with four decimals, times nanoseconds since 1970 UTC, text ASCII padded
with spaces; offsets count from the type byte. Messages may grow at their end: what a longer one has more is kept as
`rest`. The fast way from bytes to events is `wire.iex_events`. Sources: IEX DEEP, TOPS and IEX-TP specifications.

An IEX-TP segment is a 40-byte head (version 1, reserved, protocol u16, channel u32, session u32, payload length u16,
message count u16, stream offset i64, first sequence number i64, send time i64), then per message a u16 length and the
message. A segment without messages is a heartbeat.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nanotick.wire.itch import Field, Message

DEEP, TOPS_16, TOPS_15 = 0x8004, 0x8003, 0x8002
PROTOCOLS = {DEEP: "DEEP 1.0", TOPS_16: "TOPS 1.6", TOPS_15: "TOPS 1.5"}
HEAD = struct.Struct("<BBHIIHHqqq")

# name:size is a number, name=size text; `timestamp:8 symbol=8` follow one byte of flags or status in all but a few
_TRADE = "sale_flags:1 timestamp:8 symbol=8 size:4 price:8 trade_id:8"
_LEVEL = "event_flags:1 timestamp:8 symbol=8 size:4 price:8"
_LAYOUTS: dict[str, tuple[str, str]] = {
    "S": ("system_event", "event=1 timestamp:8"),
    "D": ("security_directory", "flags:1 timestamp:8 symbol=8 round_lot:4 adjusted_poc_price:8 luld_tier:1"),
    "H": ("trading_status", "status=1 timestamp:8 symbol=8 reason=4"),
    "I": ("retail_liquidity_indicator", "indicator=1 timestamp:8 symbol=8"),
    "O": ("operational_halt", "status=1 timestamp:8 symbol=8"),
    "P": ("short_sale_price_test", "status:1 timestamp:8 symbol=8 detail=1"),
    "E": ("security_event", "event=1 timestamp:8 symbol=8"),
    "8": ("price_level_buy", _LEVEL),
    "5": ("price_level_sell", _LEVEL),
    "Q": ("quote_update", "flags:1 timestamp:8 symbol=8 bid_size:4 bid_price:8 ask_price:8 ask_size:4"),
    "T": ("trade_report", _TRADE),
    "X": ("official_price", "price_type=1 timestamp:8 symbol=8 price:8"),
    "B": ("trade_break", _TRADE),
    "A": (
        "auction_information",
        "auction_type=1 timestamp:8 symbol=8 paired:4 reference_price:8 indicative_price:8 imbalance:4 side=1 "
        "extension:1 scheduled_time:4 book_clearing_price:8 collar_reference_price:8 lower_collar:8 upper_collar:8",
    ),
}


def _message(letter: str, name: str, body: str) -> Message:
    fields, at = [], 1
    for word in body.split():
        field, _, size = word.partition(":" if ":" in word else "=")
        fields.append(Field(field, at, int(size), ":" in word))
        at += int(size)
    return Message(letter, name, at, tuple(fields))


MESSAGES: dict[str, Message] = {letter: _message(letter, *layout) for letter, layout in _LAYOUTS.items()}
SIZES: npt.NDArray[np.uint8] = np.zeros(256, dtype=np.uint8)  # least length of a message by its type byte, 0: no type
for _letter, _known in MESSAGES.items():
    SIZES[ord(_letter)] = _known.size


class IexError(ValueError):
    """The bytes are no message or segment of IEX, or the values do not fit one."""


def decode(message: bytes) -> dict[str, Any]:
    """Values of a message: `type`, its fields, and `rest`; eight-byte numbers are signed.

    Raises
    ------
    IexError
        Unknown type, or shorter than its fields.
    """
    known = MESSAGES.get(chr(message[0])) if message else None
    if known is None:
        raise IexError(f"IEX has no message of type {message[:1]!r}")
    if len(message) < known.size:
        raise IexError(f"IEX {known.type} ({known.name}): expected {known.size} bytes or more, found {len(message)}")
    values: dict[str, Any] = {"type": known.type}
    for field in known.fields:
        part = message[field.offset : field.offset + field.size]
        values[field.name] = int.from_bytes(part, "little", signed=field.size == 8) if field.number else part
    values["rest"] = message[known.size :]
    return values


def encode(values: dict[str, Any]) -> bytes:
    """Bytes of a message; the inverse of `decode`.

    Raises
    ------
    IexError
        Unknown type, a field is missing, or a value does not fit its field.
    """
    known = MESSAGES.get(values.get("type", ""))
    if known is None:
        raise IexError(f"IEX has no message of type {values.get('type')!r}")
    out = bytearray(known.type.encode())
    for field in known.fields:
        try:
            value = values[field.name]
            if field.number:
                part = value.to_bytes(field.size, "little", signed=field.size == 8)
            else:
                part = (value.encode("ascii") if isinstance(value, str) else value).ljust(field.size, b" ")
        except (KeyError, OverflowError, AttributeError, UnicodeEncodeError) as error:
            raise IexError(f"IEX {known.type} ({known.name}) field {field.name}: {error!r}") from error
        if len(part) != field.size:
            raise IexError(f"IEX {known.type} field {field.name}: {value!r} does not fit {field.size} bytes")
        out += part
    return bytes(out) + values.get("rest", b"")


class Segment(NamedTuple):
    """The head of an IEX-TP segment."""

    protocol: int
    channel: int
    session: int
    payload_size: int
    count: int  # type: ignore[assignment]
    offset: int
    seq: int
    send_time: int


def decode_head(segment: bytes) -> Segment | None:
    """The head of a segment, or None if the bytes do not begin with one."""
    if len(segment) < HEAD.size or segment[0] != 1:
        return None
    _, _, protocol, channel, session, size, count, offset, seq, send_time = HEAD.unpack_from(segment)
    return Segment(protocol, channel, session, size, count, offset, seq, send_time) if protocol in PROTOCOLS else None


def encode_segment(head: Segment, messages: list[bytes]) -> bytes:
    """A segment with these messages; payload length and count of the head are computed."""
    body = b"".join(len(message).to_bytes(2, "little") + message for message in messages)
    fields = (1, 0, head.protocol, head.channel, head.session, len(body), len(messages), head.offset, head.seq)
    return HEAD.pack(*fields, head.send_time) + body
