"""Recorded data in and out: formats, archives, the event file, its two time orders and the quality report.

The names below are what other parts and packages use; they are resolved on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

# public name -> module that defines it
_PUBLIC: dict[str, str] = {
    "EventFile": "nanotick.data.eventfile",
    "EventFileError": "nanotick.data.eventfile",
    "EventWriter": "nanotick.data.eventfile",
    "write_events": "nanotick.data.eventfile",
    "to_frame": "nanotick.data.parquet",
    "Reading": "nanotick.data.format",
    "Options": "nanotick.data.format",
    "open_sources": "nanotick.data.archive",
    "convert_to_events": "nanotick.data.convert",
    "order_events": "nanotick.data.ordering",
    "merge_events": "nanotick.data.ordering",
    "correct_latency": "nanotick.data.ordering",
    "QualityReport": "nanotick.data.quality",
    "Anomaly": "nanotick.data.quality",
    "BadDataError": "nanotick.data.quality",
}


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
