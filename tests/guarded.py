"""Memory that ends where it says: reading or writing one byte past it kills the test process, visibly."""

import ctypes
import mmap

import numpy as np

_PAGE = mmap.PAGESIZE


class Guarded:
    """Buffers that end at a page nobody may touch."""

    def __init__(self, capacity: int) -> None:
        pages = -(-capacity // _PAGE)
        self._map = mmap.mmap(-1, (pages + 1) * _PAGE)
        self._bytes = np.frombuffer(self._map, dtype=np.uint8)
        start = int(self._bytes.ctypes.data)
        self.end = start + pages * _PAGE
        self._size = pages * _PAGE
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(self.end), ctypes.c_size_t(_PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")

    def put(self, data: np.ndarray) -> int:
        """Copy bytes so that their end is the guard; the address of the first."""
        self._bytes[self._size - len(data) : self._size] = data
        return self.end - len(data)

    def room(self, size: int) -> int:
        """Address of `size` bytes before the guard."""
        return self.end - size

    def view(self, size: int) -> np.ndarray:
        """The last `size` bytes."""
        return self._bytes[self._size - size : self._size]


def mutations(seeds: list[bytes], count: int, seed: int) -> "list[np.ndarray]":
    """Inputs of three kinds in turn: random bytes, a seed with some bytes changed, a seed cut, joined or shifted."""
    random = np.random.default_rng(seed)
    pool = [np.frombuffer(s, dtype=np.uint8) for s in seeds]
    out = []
    kinds = random.integers(0, 4, count)
    for kind in kinds:
        base = pool[int(random.integers(len(pool)))]
        if kind == 0:
            item = random.integers(0, 256, int(random.integers(0, 80)), dtype=np.uint8)
        elif kind == 3:
            other = pool[int(random.integers(len(pool)))]
            item = np.concatenate(
                [base[: int(random.integers(len(base) + 1))], other[int(random.integers(len(other))) :]]
            )
        else:
            item = base.copy()
            places = random.integers(0, len(item), int(random.integers(1, 4)))
            item[places] = random.integers(0, 256, len(places), dtype=np.uint8)
        out.append(item)
    return out
