"""Events as Parquet and as data frames, and back, without loss.

One column per field of the record, integers throughout; the event file's metadata (instruments and all) is in the
schema's metadata under `nanotick`, so a file that comes back is the file that went out.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nanotick.core.memory import dtype_digest
from nanotick.core.records import EVENT
from nanotick.data.quality import QualityReport, kind_name

if TYPE_CHECKING:
    import pyarrow as pa

    from nanotick.data.eventfile import EventFile

_KEY = b"nanotick"
_GROUP = 1 << 20


def to_arrow(events: npt.NDArray[Any], meta: dict[str, Any] | None = None) -> pa.Table:
    """Arrow table of EVENT records, shape (n,): one integer column per field."""
    import pyarrow as pa

    assert EVENT.names is not None
    table = pa.table({name: np.ascontiguousarray(events[name]) for name in EVENT.names})
    return table.replace_schema_metadata({_KEY: json.dumps(meta or {}).encode()})


def from_arrow(table: pa.Table) -> npt.NDArray[Any]:
    """EVENT records of a table with the record's columns; missing columns are zero.

    Raises
    ------
    ValueError
        A column holds no integers, or values that do not fit.
    """
    events = np.zeros(table.num_rows, dtype=EVENT)
    assert EVENT.names is not None
    for name in EVENT.names:
        if name in table.column_names:
            values = table[name].to_numpy()
            if values.dtype.kind not in "iu":
                raise ValueError(f"column {name!r}: expected integers, found {values.dtype}")
            events[name] = values
            if not np.array_equal(events[name], values):
                raise ValueError(f"column {name!r}: values do not fit {EVENT[name]}")
    return events


def write_parquet(path: Path) -> str:
    """Convert a finished event file beside itself, remove it, and give the new file's name."""
    import pyarrow.parquet as pq

    from nanotick.data.eventfile import EventFile

    target = f"{path}.parquet"
    with EventFile.open(path) as source:
        schema = to_arrow(source.events[:0], source.meta).schema
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for start in range(0, len(source.events), _GROUP):
                writer.write_table(to_arrow(source.events[start : start + _GROUP], source.meta))
    os.unlink(path)
    return target


def read_parquet(path: Path, report: QualityReport) -> EventFile:
    """Open a Parquet file of events: expanded into an unnamed event file and mapped.

    Raises
    ------
    EventFileError
        It was not written from events, or is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from nanotick.data.eventfile import EventFile, EventFileError

    try:
        file = pq.ParquetFile(path)
        held = (file.schema_arrow.metadata or {}).get(_KEY)
        if held is None:
            raise EventFileError(
                f"{path}: Parquet, but not of events; convert one of quotes, trades or bars with --format table"
            )
        meta = json.loads(held)
        if meta.get("record") != dtype_digest(EVENT):
            raise EventFileError(f"{path}: its records have another layout; convert the source again")
        with tempfile.TemporaryFile(prefix="nanotick-") as expanded:
            for group in range(file.num_row_groups):
                expanded.write(from_arrow(file.read_row_group(group)).data)
            expanded.flush()
            count = file.metadata.num_rows
            events = np.memmap(expanded, dtype=EVENT, mode="r", shape=(count,)) if count else np.zeros(0, EVENT)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise EventFileError(f"{path}: not readable as Parquet of events: {error}") from error
    return EventFile(path, events.view(np.ndarray), meta, report)


def is_event_parquet(path: Path) -> bool:
    """Whether a Parquet file was written from events."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _KEY in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def to_frame(source: EventFile, library: str = "pandas", decimals: bool = True) -> Any:
    """Data frame of the events.

    Parameters
    ----------
    source : EventFile
    library : {"pandas", "polars", "arrow"}
    decimals : bool
        Also give `symbol`, `kind_name` and, as floats for the eye only, `price_value` and `qty_value`.
    """
    import pyarrow as pa

    table = to_arrow(source.events, source.meta)
    if decimals and len(source.instruments):
        number = np.minimum(source.events["instrument"], len(source.instruments) - 1)
        items = list(source.instruments)
        price = np.array([10.0**-i.price_decimals for i in items])[number]
        qty = np.array([10.0**-i.qty_decimals for i in items])[number]
        names = pa.DictionaryArray.from_arrays(number.astype(np.int32), [i.symbol for i in items])
        kinds = pa.DictionaryArray.from_arrays(
            source.events["kind"].astype(np.int32), [kind_name(k) for k in range(256)]
        )
        table = table.append_column("symbol", names).append_column("kind_name", kinds)
        table = table.append_column("price_value", pa.array(source.events["price"] * price))
        table = table.append_column("qty_value", pa.array(source.events["qty"] * qty))
    if library == "arrow":
        return table
    if library not in ("pandas", "polars"):
        raise ValueError(f"library: expected pandas, polars or arrow, found {library!r}")
    try:
        if library == "pandas":
            return table.to_pandas()
        import polars
    except ImportError as error:
        raise ImportError(f"data frames need {library}: pip install 'nanotick[frames]'") from error
    return polars.from_arrow(table)
