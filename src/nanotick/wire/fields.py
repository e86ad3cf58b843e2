"""Fields of decoded JSON messages, taken with a check: what the general codecs of all venues share.

Each function names the key, what was expected and what was found; a message is refused by the first that fails.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any

from nanotick.wire.json_text import Digits, WireError, integer
from nanotick.wire.messages import Level


def shown(value: Any) -> str:
    """A value for an error text, short, whatever its size."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {keys_of(value)}"
    return repr(value[:40] if isinstance(value, str) else str(value)[:40])


def keys_of(message: dict[str, Any]) -> str:
    """The first keys of an object, for an error text."""
    return f"keys {[key[:16] for key in sorted(islice(message, 10))]}"


def mapping(value: Any, what: str) -> dict[str, Any]:
    """An object.

    Raises
    ------
    WireError
    """
    if not isinstance(value, dict):
        raise WireError(f"{what}: expected an object, found {shown(value)}")
    return value


def sequence(value: Any, what: str, least: int = 0) -> list[Any]:
    """A list of at least so many items.

    Raises
    ------
    WireError
    """
    if not isinstance(value, list) or len(value) < least:
        raise WireError(f"{what}: expected a list{f' of {least} or more' if least else ''}, found {shown(value)}")
    return value


def text(message: dict[str, Any], key: str) -> str:
    """A string that is no number.

    Raises
    ------
    WireError
    """
    value = message.get(key)
    if not isinstance(value, str) or isinstance(value, Digits) or not value or len(value) > 256:
        raise WireError(f"{key}: expected text, found {shown(value)}")
    return value


def number(message: dict[str, Any], key: str) -> str:
    """A number, in digits as sent, in quotes or not.

    Raises
    ------
    WireError
    """
    value = message.get(key)
    if not isinstance(value, str):
        raise WireError(f"{key}: expected a number, found {shown(value)}")
    return str(value)


def whole(message: dict[str, Any], key: str, default: int | None = None) -> int:
    """A non-negative integer, in quotes or not; the default where the key is missing.

    Raises
    ------
    WireError
    """
    if default is not None and key not in message:
        return default
    return integer(message.get(key), key)


def levels(rows: Any, key: str, width: int = 2) -> list[Level]:
    """Levels sent as lists of price, quantity and perhaps more.

    Raises
    ------
    WireError
    """
    found: list[Level] = []
    for row in sequence(rows, key):
        if not (isinstance(row, list) and len(row) >= width and isinstance(row[0], str) and isinstance(row[1], str)):
            raise WireError(f"{key}: expected levels of price and quantity, found {shown(row)}")
        found.append((str(row[0]), str(row[1])))
    return found


def ident(value: Any) -> int:
    """A 63-bit id of an order or trade: the number itself, or a hash of a text id (UUID)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    return int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=8).digest(), "little") >> 1


def object_levels(rows: Any, key: str, price: str, size: str) -> list[Level]:
    """Levels sent as objects, by the names of their price and quantity.

    Raises
    ------
    WireError
    """
    found: list[Level] = []
    for row in sequence(rows, key):
        row = mapping(row, key)
        found.append((number(row, price), number(row, size)))
    return found


SIDES = {"buy": 1, "sell": -1, "bid": 1, "offer": -1, "ask": -1, "b": 1, "s": -1}


def side(message: dict[str, Any], key: str = "side") -> int:
    """1 or -1 of a side in words of any venue, in either case.

    Raises
    ------
    WireError
    """
    value = message.get(key)
    found = SIDES.get(value.lower(), 0) if isinstance(value, str) else 0
    if found == 0:
        raise WireError(f"{key}: expected a side, found {shown(value)}")
    return found


def optional_text(message: dict[str, Any], key: str) -> str:
    """Text or a number as text; empty where it is missing, null or of another type."""
    value = message.get(key)
    return str(value)[:256] if isinstance(value, str) else ""


def optional_number(message: dict[str, Any], key: str, default: str = "0") -> str:
    """A number with its digits; the default where it is missing, null or empty.

    Raises
    ------
    WireError
        It is something else.
    """
    value = message.get(key)
    if value is None or value == "":
        return default
    return number(message, key)


def text_or_number(value: Any, what: str) -> str:
    """Text, or a number with its digits.

    Raises
    ------
    WireError
    """
    if not isinstance(value, str) or len(value) > 256:
        raise WireError(f"{what}: expected text or a number, found {shown(value)}")
    return str(value)
