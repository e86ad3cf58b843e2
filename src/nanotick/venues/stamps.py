"""Times as text, fast where they follow one another."""

from __future__ import annotations

from datetime import UTC, datetime

_NS = 1_000_000_000
_last: list[tuple[int, str]] = [(-1, "")]


def stamp(ns: int) -> str:
    """RFC 3339 in UTC with nine decimals, as `wire.json_text.rfc3339_text`; the text of a second is kept.

    >>> stamp(1_775_572_201_456_789_000)
    '2026-04-07T14:30:01.456789000Z'
    """
    second, fraction = divmod(ns, _NS)
    held = _last[0]
    if held[0] != second:
        held = _last[0] = second, f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
    return f"{held[1]}.{fraction:09d}Z"
