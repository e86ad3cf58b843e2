"""Whole conversions: a reading into an event file in both time orders, or back into exchange bytes, or a verdict."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy.typing as npt

from nanotick.core.instruments import Instrument
from nanotick.data.checks import EventChecks
from nanotick.data.eventfile import EventFile, EventWriter, chunks_of, write_events
from nanotick.data.format import Reading
from nanotick.data.ordering import correct_latency, order_events, report_skew
from nanotick.data.quality import OBSERVATIONS, Anomaly, BadDataError

Chunks = Iterable[npt.NDArray[Any]]


def convert_to_events(reading: Reading, chunks: Chunks, target: Path, base_latency_ns: int | None = None) -> Path:
    """Write a reading as an event file, in both time orders.

    Parameters
    ----------
    reading : Reading
    chunks : iterable of numpy.ndarray
        The reading itself, or a wrapper around it.
    target : Path
        `.nt`, `.nt.zst` or `.parquet`; `.npz` is written for hftbacktest, of one instrument.
    base_latency_ns : int, optional
        Correct receive times that lie before venue times; only reported when left out.

    Raises
    ------
    BadDataError
        The sources hold no event.
    """
    if target.suffixes[-1:] not in ([".nt"], [".parquet"], [".npz"]) and target.suffixes[-2:] != [".nt", ".zst"]:
        raise BadDataError(f"{target}: expected a name ending in .nt, .nt.zst, .parquet or .npz; give one with -o")
    report, label = reading.report, target.name
    working = target.with_name(f".{target.name}.{os.getpid()}.nt")
    with EventWriter(working) as writer:
        for chunk in chunks:
            writer.append(chunk)
        writer.instruments = reading.listing.instruments
    try:
        if not writer.count:
            raise BadDataError(
                f"the sources hold no event ({dict(reading.report.messages)} messages); nothing was written"
            )
        with EventFile.open(working) as file:
            events = file.events
            if base_latency_ns is None:
                report_skew(events, report, label)
            else:
                events = correct_latency(events, base_latency_ns, report, label)
            ordered = order_events(events, report, label)
            report.events.clear()
            report.count_events(ordered)
            meta = {
                **report.as_dict(),
                "format": reading.format_names,
                "source": [source.label for _, group in reading.groups for source in group],
            }
            if target.suffix == ".npz":
                _write_npz(target, ordered, reading.listing.instruments)
            else:
                write_events(target, chunks_of(ordered), reading.listing.instruments, meta)
    finally:
        working.unlink(missing_ok=True)
    return target


def _write_npz(target: Path, events: npt.NDArray[Any], instruments: list[Instrument]) -> None:
    from nanotick.data.hftbacktest_npz import write_hftbacktest

    if len(instruments) != 1:
        found = ", ".join(f"{item.symbol}@{item.venue}" for item in instruments[:8])
        raise BadDataError(f"{target}: hftbacktest files hold one instrument, found {found}; name one with --symbol")
    write_hftbacktest(target, events, instruments[0])


def validate_sources(reading: Reading, chunks: Chunks) -> tuple[dict[str, Any], bool]:
    """Check a reading against what its format carries to be checked by.

    Returns
    -------
    dict
        What was checked; always with `anomalies`.
    bool
        Whether everything agrees.
    """
    check = getattr(reading.groups[0][0], "validate", None)
    if check is not None:
        return check(reading, chunks)  # type: ignore[no-any-return]
    from nanotick.data.bookcheck import BookCheck

    checks = (EventChecks(reading.report), BookCheck(reading.report))
    for chunk in chunks:
        for check in checks:
            check.feed(chunk)
    for check in checks:
        check.finish()
    report = reading.report
    result = {**dict(report.checks), "gaps": report.count(Anomaly.GAP), **report.as_dict()}
    return result, not any(kind not in OBSERVATIONS for kind in report.anomalies)
