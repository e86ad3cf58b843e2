"""Who else counts in a file of rate limits: whether a process is alone with it, known without a system call.

Beside `limits` lies `limits.users`: every process that counts holds a lock of its own on it, which the system lets go
of when the process ends, however it ends. It holds one number too: how many orders the process that is alone may send
before it looks again. Whoever comes sets that to nought, so the one that was alone looks, and finds that it is not.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# locks of an open file, not of a process: two limiters of one process are two users as well
_FLOCK = struct.Struct("@hhqqi4x")  # type, whence, start, length, process: as Linux has them on 64 bits
_KNOWN = sys.platform == "linux" and hasattr(fcntl, "F_OFD_GETLK") and struct.calcsize("P") == 8


class Users:
    """One user of a file of counts; to be made, asked and closed under the lock of that file.

    Parameters
    ----------
    counts : path
        The file of counts.

    Attributes
    ----------
    passes : memoryview
        One 64-bit integer that all users share.

    Raises
    ------
    OSError
        The file cannot be made.
    """

    def __init__(self, counts: Path) -> None:
        self._file = os.open(counts.with_name(counts.name + ".users"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(self._file, 8)
            self._cells = np.frombuffer(mmap.mmap(self._file, 8), np.int64)
            if _KNOWN:
                fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 1, 0))
        except BaseException:
            os.close(self._file)
            raise
        self.passes = self._cells.data
        self.passes[0] = 0

    def alone(self) -> bool:
        """Whether nobody else counts; False where the system cannot tell."""
        if not _KNOWN:
            return False
        found = fcntl.fcntl(self._file, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
        return bool(_FLOCK.unpack(found)[0] == fcntl.F_UNLCK)

    def close(self) -> None:
        """Count no more."""
        if _KNOWN:  # the map keeps the file open
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 1, 0))
        os.close(self._file)
