"""Event files as a source like any other: to filter, merge, re-order, inspect or recompress them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.data.archive import Source
from nanotick.data.eventfile import MAGIC, EventFile, EventFileError, chunks_of
from nanotick.data.format import SKIPPED, Listing, Options
from nanotick.data.parquet import is_event_parquet
from nanotick.data.quality import BadDataError, QualityReport


class EventFormat:
    """`.nt`, `.nt.zst` and Parquet files of events."""

    name = "event"
    description = "nanotick event files (.nt, .nt.zst, .parquet)"
    extensions = (".nt", ".nt.zst", ".parquet")

    def sniff(self, head: bytes, source: Source) -> bool:
        """By its magic; Parquet only when it was written from events."""
        return head.startswith(MAGIC) or (head.startswith(b"PAR1") and is_event_parquet(source.path))

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """The events as stored, of the wanted symbols, instruments renumbered."""
        for source in sources:
            try:
                file = EventFile.open(source.path, report)
            except EventFileError as error:
                raise BadDataError(str(error)) from error
            report.recall(file.meta)
            numbers = np.array([listing.number(item) for item in file.instruments], dtype=np.int64)
            same = np.array_equal(numbers, np.arange(len(numbers)))  # also when there are none
            for chunk in chunks_of(file.events):
                if not same:
                    mapped = numbers[np.minimum(chunk["instrument"], len(numbers) - 1)]
                    chunk = chunk[mapped != SKIPPED].copy()
                    chunk["instrument"] = mapped[mapped != SKIPPED]
                yield chunk


FORMAT = EventFormat()
