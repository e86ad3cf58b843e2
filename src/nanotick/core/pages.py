"""Pages of mapped files: given back once read, so that a long recording never is in memory as a whole."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt


def release_pages(rows: npt.NDArray[Any]) -> bool:
    """Give back the memory of rows that lie in a file mapped for reading; they are read again when next looked at.

    Parameters
    ----------
    rows : numpy.ndarray
        C contiguous. Rows of any other memory are left alone.

    Returns
    -------
    bool
        Whether there was something to give back.
    """
    base: Any = rows
    while isinstance(base, np.ndarray):
        base = base.base
    mapping = base.obj if isinstance(base, memoryview) else base
    if not isinstance(mapping, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED") or rows.nbytes == 0:
        return False
    with memoryview(mapping) as view:
        if not view.readonly:  # what was written to private pages would be lost
            return False
    start = rows.ctypes.data - np.frombuffer(mapping, np.uint8).ctypes.data
    first = start // mmap.PAGESIZE * mmap.PAGESIZE
    mapping.madvise(mmap.MADV_DONTNEED, first, start + rows.nbytes - first)
    return True
