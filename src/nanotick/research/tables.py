"""Result tables: NumPy structured arrays that know how to become Arrow, pandas and Polars.

A `Table` is an ordinary structured array (slicing, masks and arithmetic work as always) with three methods. The columns
are the same in every form: integers at the instrument's scale under the plain name (`price`, `qty`, `fee`), floats
beside them (`price_float`), strategies, symbols, sides and reasons as words, and times as UTC timestamps of nanoseconds
outside NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# column of words -> the words, by number
Words = Mapping[str, Sequence[str]]


class MissingExtraError(ImportError):
    """A library that nanotick can use but does not need is not installed."""


def need(module: str, extra: str, purpose: str) -> Any:
    """Import an optional library.

    Raises
    ------
    MissingExtraError
        It is not installed; the message has the line that installs it.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs {module}, which is not installed: pip install 'nanotick[{extra}]'"
        ) from error


class Table(np.ndarray):  # type: ignore[type-arg]
    """A structured array with names for its coded columns.

    Parameters
    ----------
    array : numpy.ndarray
        Structured, one-dimensional.
    words : mapping
        For columns of small integers: the word of each number. Numbers without a word appear as digits.
    """

    words: Words

    def __new__(cls, array: npt.NDArray[Any], words: Words | None = None) -> Table:
        """View an array as a table."""
        table = np.asarray(array).view(cls)
        table.words = words or {}
        return table

    def __array_finalize__(self, source: Any) -> None:
        """Slices keep the words."""
        self.words = getattr(source, "words", {})

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.dtype.names or ()

    def column_words(self, name: str) -> list[str]:
        """A coded column, spelled out."""
        words = self.words[name]
        return [words[i] if 0 <= i < len(words) else str(i) for i in np.asarray(self[name]).tolist()]

    def to_arrow(self) -> Any:
        """The table as a `pyarrow.Table`."""
        import pyarrow as pa

        arrays: dict[str, Any] = {}
        for name in self.columns:
            values = np.ascontiguousarray(np.asarray(self[name]))
            if name in self.words:
                arrays[name] = _dictionary(pa, values, self.words[name])
            elif name == "ts" or name.startswith("ts_"):
                arrays[name] = pa.array(values, pa.timestamp("ns", tz="UTC"), mask=values == 0)
            else:
                arrays[name] = pa.array(values)
        return pa.table(arrays)

    def to_pandas(self) -> Any:
        """The table as a `pandas.DataFrame`."""
        need("pandas", "frames", "to_pandas()")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The table as a `polars.DataFrame`."""
        return need("polars", "frames", "to_polars()").from_arrow(self.to_arrow())


def _dictionary(pa: Any, values: npt.NDArray[Any], words: Sequence[str]) -> Any:
    """Dictionary-encode a coded column; a number without a word becomes its digits."""
    numbers, places = np.unique(values, return_inverse=True)
    spelled = [words[i] if 0 <= i < len(words) else str(i) for i in numbers.tolist()]
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), pa.array(spelled, pa.string()))
