"""JSON read slowly and completely: the general path beside the kernels of `wire.json_scan`.

Numbers stay text (`Digits`) until a scale is known, so no price ever passes through a float; NaN and Infinity are
refused, so are repeated keys, nesting beyond the interpreter's bound and texts beyond `MAX_SIZE`.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_SIZE = 16 << 20  # bytes of one text
EPOCH_S_END, EPOCH_MS_END, EPOCH_US_END = 9 * 10**9, 9 * 10**12, 9 * 10**15  # each times its unit fits int64
MAX_PLACES = 64  # digits or exponent beyond which a number is refused unread


class WireError(Exception):
    """A message that is not of its protocol; the text says what was found and what was expected."""


class Digits(str):
    """A JSON number as it was sent."""

    __slots__ = ()


def _constant(name: str) -> Any:
    raise WireError(f"{name} is no number of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        keys = [key for key, _ in pairs]
        again = next(key for key in keys if keys.count(key) > 1)
        raise WireError(f"key {again[:40]!r} a second time")
    return members


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=Digits, parse_int=Digits, parse_constant=_constant, strict=True
)


def decode(data: bytes) -> Any:
    """The value of a JSON text: dict, list, str, `Digits`, bool or None.

    Raises
    ------
    WireError
    """
    if len(data) > MAX_SIZE:
        raise WireError(f"a text of {len(data):,} bytes; expected at most {MAX_SIZE:,}")
    try:
        return _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise WireError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise WireError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise WireError(f"not JSON at byte {error.pos}: {error.msg}") from None


def _shown(value: Any) -> str:
    return repr(value[:40]) if isinstance(value, str) else f"a {type(value).__name__}"


_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,6}))?\Z")


def _parts(text: Any, what: str) -> tuple[int, str, int]:
    """Sign, significant digits without leading or trailing zeros, and exponent of the last of them."""
    found = _DECIMAL.match(text) if isinstance(text, str) and len(text) <= 2 * MAX_PLACES else None
    if found is None:
        raise WireError(f"{what}: expected a decimal number, found {_shown(text)}")
    fraction = found[3] or ""
    digits = (found[2] + fraction).lstrip("0")
    exponent = int(found[4] or 0) - len(fraction)
    kept = digits.rstrip("0")
    exponent = exponent + len(digits) - len(kept) if kept else 0
    if abs(exponent) > MAX_PLACES:
        raise WireError(f"{what}: {text[:40]!r} is out of any range")
    return (-1 if found[1] else 1), kept, exponent


def places(text: Any, what: str = "value") -> int:
    """Decimal places a number needs: 0.0100 needs 2.

    Raises
    ------
    WireError
    """
    return max(0, -_parts(text, what)[2])


def scaled(text: Any, decimals: int, what: str = "value", signed: bool = False) -> int:
    """Integer at `10**-decimals` of exact decimal text.

    Raises
    ------
    WireError
        Not a number, negative (unless `signed`), too fine for the scale, or too large for 64 bits.
    """
    sign, digits, exponent = _parts(text, what)
    if not digits:
        return 0
    if sign < 0 and not signed:
        raise WireError(f"{what}: expected 0 or more, found {text}")
    if exponent + decimals < 0:
        raise WireError(f"{what}: {text} has more than {decimals} decimal places")
    value = sign * int(digits) * 10 ** (exponent + decimals)
    if not -(1 << 63) <= value < 1 << 63:
        raise WireError(f"{what}: {text} at {decimals} decimals does not fit 64 bits")
    return value


def rounded(text: Any, decimals: int, what: str = "value") -> int:
    """As `scaled`, signed, rounded half away from zero: for what is computed by the venue and never traded at.

    Raises
    ------
    WireError
    """
    sign, digits, exponent = _parts(text, what)
    shift = exponent + decimals
    if not digits:
        return 0
    magnitude = int(digits) * 10**shift if shift >= 0 else (2 * int(digits) + 10**-shift) // (2 * 10**-shift)
    if magnitude >= 1 << 63:
        raise WireError(f"{what}: {text} at {decimals} decimals does not fit 64 bits")
    return sign * magnitude


def integer(value: Any, what: str) -> int:
    """A non-negative integer that was sent as a number or as text.

    Raises
    ------
    WireError
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        number = int(value)
        if number < 1 << 63:
            return number
    raise WireError(f"{what}: expected an integer, found {_shown(value)}")


_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)


def rfc3339_ns(text: Any, what: str = "time") -> int:
    """Nanoseconds UTC of an RFC 3339 stamp; without an offset it is taken to be UTC, digits beyond ns are cut.

    Raises
    ------
    WireError
    """
    found = _STAMP.match(text) if isinstance(text, str) and len(text) < 64 else None
    if found is None:
        raise WireError(f"{what}: expected a time like 2026-04-07T14:30:01.456789Z, found {_shown(text)}")
    from datetime import UTC, datetime

    try:
        year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
        whole = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise WireError(f"{what}: {text}: {error}") from None
    offset = 0
    if found[8] and found[8] != "Z":
        hours, minutes = int(found[8][1:3]), int(found[8][-2:])
        if hours > 23 or minutes > 59:
            raise WireError(f"{what}: {text}: no such offset from UTC")
        offset = (hours * 3600 + minutes * 60) * (1 if found[8][0] == "+" else -1)
    stamp = (int(whole.timestamp()) - offset) * 1_000_000_000 + int((found[7] or "").ljust(9, "0"))
    if not -(1 << 63) <= stamp < 1 << 63:
        raise WireError(f"{what}: {text}: expected a time between the years 1677 and 2262")
    return stamp


def rfc3339_text(ns: int) -> str:
    """RFC 3339 stamp in UTC with nine decimals, which `rfc3339_ns` reads back exactly.

    >>> rfc3339_text(1_775_572_201_456_789_000)
    '2026-04-07T14:30:01.456789000Z'
    """
    from datetime import UTC, datetime

    seconds, fraction = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def epoch_ns(value: int) -> int:
    """Nanoseconds of an epoch stamp in s, ms, us or ns, told apart by its size; years 1970 (April on) to 2255."""
    if value < EPOCH_S_END:
        return value * 1_000_000_000
    if value < EPOCH_MS_END:
        return value * 1_000_000
    if value < EPOCH_US_END:
        return value * 1_000
    return value
