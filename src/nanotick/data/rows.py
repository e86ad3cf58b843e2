"""CSV streams as tables of scaled integers, chunk by chunk, bad lines reported with their number and skipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.data.archive import BLOCK, Stream
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.wire.decimal_rows import ROWS, RowStop, parse_rows


class RowReader:
    """Tables of up to `capacity` rows from a stream of lines.

    Parameters
    ----------
    stream : Stream
    scales : sequence of int
        Per column: decimals of the integers, TEXT (see `text`) or IGNORED.
    report : QualityReport
    capacity : int
        Rows of a table.
    separator : str
    extra : bool
        Lines may have more fields than columns.
    skip : int
        Lines to leave out at the start (a header).
    """

    def __init__(
        self,
        stream: Stream,
        scales: Sequence[int],
        report: QualityReport,
        capacity: int = 4096,
        separator: str = ",",
        extra: bool = False,
        skip: int = 0,
    ) -> None:
        self._stream = stream
        self._report = report
        self._scales = np.array(scales, dtype=np.int64)
        self._table = np.zeros((capacity, len(scales)), dtype=np.int64)
        self._record = np.zeros(1, dtype=ROWS)
        state = self._state = self._record[0]
        state["scales_address"], state["table_address"] = self._scales.ctypes.data, self._table.ctypes.data
        state["columns"], state["capacity"], state["separator"], state["extra"] = (
            len(scales),
            capacity,
            ord(separator),
            int(extra),
        )
        self._buffer: npt.NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._ended = False
        self._skip = skip
        self.line = 0  # lines read so far

    @property
    def name(self) -> str:
        """Name of the stream."""
        return self._stream.name

    def _more(self) -> bool:
        """Read on, keeping the unfinished line; False at the end."""
        if self._ended:
            return False
        rest = self._buffer[int(self._state["at"]) : int(self._state["size"])].tobytes()
        data = self._stream.read(BLOCK)
        if not data:
            self._ended = True
            if self._stream.cut:
                reason = f"{self._stream.cut}; the unfinished last line was left out"
                self._report.anomaly(Anomaly.TRUNCATED, f"{self.name} line {self.line + 1}", reason)
                return False
            if not rest:
                return False
            data = b"\n"  # the last line need not end
        joined = rest + data
        while self._skip and b"\n" in joined:
            joined = joined.partition(b"\n")[2]
            self._skip -= 1
            self.line += 1
        self._buffer = np.frombuffer(joined, dtype=np.uint8)
        self._state["source_address"], self._state["size"], self._state["at"] = (
            self._buffer.ctypes.data,
            len(joined),
            0,
        )
        return True

    def read(self) -> npt.NDArray[np.int64]:
        """The next rows, shape (n, columns), n = 0 at the end; good until the next call."""
        self._state["rows"] = 0
        while True:
            before = int(self._state["rows"])
            stop = parse_rows(int(self._record.ctypes.data)) if self._state["size"] else RowStop.INPUT
            rows = int(self._state["rows"])
            self.line += rows - before
            if stop == RowStop.OUTPUT:
                break
            if stop == RowStop.BAD:
                self._bad_line()
            elif rows and self._text_held():
                break  # offsets of text are into this buffer
            elif not self._more():
                break
        return self._table[: int(self._state["rows"])]

    def _text_held(self) -> bool:
        return bool((self._scales == -1).any())

    def _bad_line(self) -> None:
        at, end = int(self._state["at"]), int(self._state["line_end"])
        text = self._buffer[at : min(end, at + 80)].tobytes().decode("utf-8", "replace").rstrip("\r\n")
        column = int(self._state["bad_column"])
        self.line += 1
        fault = f"column {column + 1} of {len(self._scales)} is missing, too much or no number that fits"
        self._report.anomaly(Anomaly.MALFORMED, f"{self.name} line {self.line}", f"{fault}: {text!r}")
        self._state["at"] = end

    def text(self, cell: int) -> str:
        """The text of a TEXT cell of the table last read."""
        start, size = int(cell) >> 16, int(cell) & 0xFFFF
        return self._buffer[start : start + size].tobytes().decode("utf-8", "replace")

    def texts(self, cells: npt.NDArray[Any]) -> list[str]:
        """The texts of a column of TEXT cells."""
        data = self._buffer.tobytes()
        return [data[c >> 16 : (c >> 16) + (c & 0xFFFF)].decode("utf-8", "replace") for c in cells.tolist()]
