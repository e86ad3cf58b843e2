"""How figures are written for people, in the terminal and in the report alike."""

from __future__ import annotations

import math
from datetime import UTC, datetime

DASH = "–"


def money(value: float, currency: str = "", signed: bool = False) -> str:
    """Currency with two places, thousands apart, a true minus sign; a dash when not defined."""
    if math.isnan(value):
        return DASH
    text = f"{abs(value):,.2f}"
    sign = "−" if value < 0 and float(text.replace(",", "")) else "+" if signed and value > 0 else ""
    return f"{sign}{text}{' ' + currency if currency else ''}"


def number(value: float, places: int = 2, signed: bool = False) -> str:
    """A plain number; a dash when not defined."""
    if math.isnan(value):
        return DASH
    text = f"{abs(value):,.{places}f}"
    sign = "−" if value < 0 and float(text.replace(",", "")) else "+" if signed and value > 0 else ""
    return sign + text


def significant(value: float) -> str:
    """Six significant digits, for figures of any size; a dash when not defined."""
    return f"{value:,.6g}".replace("-", "−", 1) if math.isfinite(value) else DASH


def percent(value: float, places: int = 1) -> str:
    """A share as per cent."""
    return DASH if math.isnan(value) else f"{number(value * 100, places)} %"


def count(value: float) -> str:
    """An integer, thousands apart."""
    return DASH if math.isnan(value) else f"{int(value):,}"


def compact(value: float) -> str:
    """Few characters for axes: 1.2M, 950k, 0.05."""
    if math.isnan(value):
        return DASH
    size = abs(value)
    sign = "−" if value < 0 else ""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{sign}{size / limit:.3g}{unit}"
    return f"{sign}{size:.4g}"


def duration(ns: float) -> str:
    """Nanoseconds in the unit that reads best, three digits or so."""
    if math.isnan(ns):
        return DASH
    for limit, unit in ((60e9, "min"), (1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if abs(ns) >= 0.9995 * limit:
            size = ns / limit
            places = 0 if abs(size) >= 99.95 else 1 if abs(size) >= 9.995 else 2
            text = f"{size:,.{places}f}"
            return f"{text.rstrip('0').rstrip('.') if places else text} {unit}"
    return f"{ns:,.0f} ns"


def moment(ns: int, offset_ns: int = 0) -> str:
    """Local date and time to the second."""
    return datetime.fromtimestamp((ns + offset_ns) / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def clock(ns: int, offset_ns: int = 0) -> str:
    """Local time of day."""
    return datetime.fromtimestamp((ns + offset_ns) / 1e9, UTC).strftime("%H:%M")
