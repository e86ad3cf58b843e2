"""NASDAQ TotalView-ITCH 5.0: every message, field by field, bytes to values and back.

All integers are unsigned big-endian, text is ASCII padded with spaces; offsets count from the type byte. Every message
begins with type (0,1), stock locate (1,2), tracking number (3,2) and timestamp (5,6), nanoseconds since midnight of
New York. `decode` and `encode` are exact inverses for every message of the right length; the fast way from bytes to
events is `wire.itch_events`. Source: Nasdaq TotalView-ITCH 5.0 specification.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Field(NamedTuple):
    """A field of a message: where it is, how long, and whether it is a number."""

    name: str
    offset: int
    size: int
    number: bool


class Message(NamedTuple):
    """A message type: its letter, name, length in bytes and fields."""

    type: str
    name: str
    size: int
    fields: tuple[Field, ...]


_HEAD = "stock_locate:2 tracking_number:2 timestamp:6"
# name:size is a number, name=size text; the fields follow each other without holes
_LAYOUTS: dict[str, tuple[str, str]] = {
    "S": ("system_event", "event_code=1"),
    "R": (
        "stock_directory",
        "stock=8 market_category=1 financial_status=1 round_lot_size:4 round_lots_only=1 issue_classification=1 "
        "issue_sub_type=2 authenticity=1 short_sale_threshold=1 ipo_flag=1 luld_tier=1 etp_flag=1 etp_leverage:4 "
        "inverse=1",
    ),
    "H": ("stock_trading_action", "stock=8 trading_state=1 reserved=1 reason=4"),
    "Y": ("reg_sho_restriction", "stock=8 reg_sho_action=1"),
    "L": (
        "market_participant_position",
        "mpid=4 stock=8 primary_market_maker=1 market_maker_mode=1 participant_state=1",
    ),
    "V": ("mwcb_decline_level", "level_1:8 level_2:8 level_3:8"),
    "W": ("mwcb_status", "breached_level=1"),
    "K": ("ipo_quoting_period_update", "stock=8 release_time:4 release_qualifier=1 ipo_price:4"),
    "J": (
        "luld_auction_collar",
        "stock=8 reference_price:4 upper_collar_price:4 lower_collar_price:4 collar_extension:4",
    ),
    "h": ("operational_halt", "stock=8 market_code=1 halt_action=1"),
    "A": ("add_order", "order:8 side=1 shares:4 stock=8 price:4"),
    "F": ("add_order_with_mpid", "order:8 side=1 shares:4 stock=8 price:4 attribution=4"),
    "E": ("order_executed", "order:8 shares:4 match:8"),
    "C": ("order_executed_with_price", "order:8 shares:4 match:8 printable=1 price:4"),
    "X": ("order_cancel", "order:8 shares:4"),
    "D": ("order_delete", "order:8"),
    "U": ("order_replace", "order:8 new_order:8 shares:4 price:4"),
    "P": ("trade", "order:8 side=1 shares:4 stock=8 price:4 match:8"),
    "Q": ("cross_trade", "shares:8 stock=8 price:4 match:8 cross_type=1"),
    "B": ("broken_trade", "match:8"),
    "I": (
        "net_order_imbalance",
        "paired_shares:8 imbalance_shares:8 imbalance_direction=1 stock=8 far_price:4 near_price:4 reference_price:4 "
        "cross_type=1 price_variation=1",
    ),
    "N": ("retail_price_improvement", "stock=8 interest=1"),
    "O": (
        "direct_listing_with_capital_raise",
        "stock=8 open_eligibility=1 minimum_price:4 maximum_price:4 near_execution_price:4 near_execution_time:8 "
        "lower_collar_price:4 upper_collar_price:4",
    ),
}


def _message(letter: str, name: str, body: str) -> Message:
    fields, at = [], 1
    for word in f"{_HEAD} {body}".split():
        field, _, size = word.partition(":" if ":" in word else "=")
        fields.append(Field(field, at, int(size), ":" in word))
        at += int(size)
    return Message(letter, name, at, tuple(fields))


MESSAGES: dict[str, Message] = {letter: _message(letter, *layout) for letter, layout in _LAYOUTS.items()}
SIZES: npt.NDArray[np.uint8] = np.zeros(256, dtype=np.uint8)  # length of a message by its type byte, 0: no such type
STOCK_AT: npt.NDArray[np.uint8] = np.zeros(256, dtype=np.uint8)  # offset of the stock's name, 0: none
for _letter, _known in MESSAGES.items():
    SIZES[ord(_letter)] = _known.size
    for _field in _known.fields:
        if _field.name == "stock":
            STOCK_AT[ord(_letter)] = _field.offset


class ItchError(ValueError):
    """The bytes are no message of ITCH 5.0, or the values do not fit one."""


def decode(message: bytes) -> dict[str, Any]:
    """Values of a message: `type`, then its fields; numbers as int, text as bytes of the field's full width.

    Raises
    ------
    ItchError
        Unknown type or wrong length.
    """
    known = MESSAGES.get(chr(message[0])) if message else None
    if known is None:
        raise ItchError(f"ITCH 5.0 has no message of type {message[:1]!r}")
    if len(message) != known.size:
        raise ItchError(f"ITCH {known.type} ({known.name}): expected {known.size} bytes, found {len(message)}")
    values: dict[str, Any] = {"type": known.type}
    for field in known.fields:
        part = message[field.offset : field.offset + field.size]
        values[field.name] = int.from_bytes(part, "big") if field.number else part
    return values


def encode(values: dict[str, Any]) -> bytes:
    """Bytes of a message; the inverse of `decode`. Text may also be str, and is padded with spaces.

    Raises
    ------
    ItchError
        Unknown type, a field is missing, or a value does not fit its field.
    """
    known = MESSAGES.get(values.get("type", ""))
    if known is None:
        raise ItchError(f"ITCH 5.0 has no message of type {values.get('type')!r}")
    out = bytearray(known.type.encode())
    for field in known.fields:
        try:
            value = values[field.name]
            part = value.to_bytes(field.size, "big") if field.number else _text(value, field.size)
        except (KeyError, OverflowError, AttributeError, UnicodeEncodeError) as error:
            raise ItchError(f"ITCH {known.type} ({known.name}) field {field.name}: {error!r}") from error
        if len(part) != field.size:
            raise ItchError(f"ITCH {known.type} field {field.name}: {value!r} does not fit {field.size} bytes")
        out += part
    return bytes(out)


def _text(value: str | bytes, size: int) -> bytes:
    return value.ljust(size, b" ") if isinstance(value, bytes) else value.encode("ascii").ljust(size, b" ")


def frame(message: bytes) -> bytes:
    """A message as it stands in a day file or in a MoldUDP64 packet: two-byte big-endian length, message."""
    return len(message).to_bytes(2, "big") + message
