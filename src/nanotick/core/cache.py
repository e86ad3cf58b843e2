"""Compiled kernels on disk.

One file a kernel and signature, named by what it is made from (`source.function_digest`: its module and all that this
imports), in a directory named by version and by machine: an edited helper, an upgrade or another CPU can never be
served stale code (Numba's own cache notices only the file a function stands in), and an edit elsewhere costs nothing.
A file is a digest followed by the payload and is renamed into place, so a killed writer, a concurrent one or a flipped
bit costs a compilation and nothing else. A directory that cannot be written is said once and done without. Files that
nobody has loaded for a month are deleted.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba.core.caching import CompileResultCacheImpl, _Cache
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature

from nanotick import __version__
from nanotick.core.source import function_digest, source_digest

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_DIGEST_SIZE = 16
_STALE_AFTER_S = 30 * 86_400
_REFRESH_AFTER_S = 86_400


@functools.cache
def machine_digest() -> str:
    """Digest of what compiled code depends on besides the source: CPU, Python, Numba, its settings."""
    import llvmlite
    import numba
    import numpy

    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("NUMBA_"))
    parts = [
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
        sys.version,
        numba.__version__,
        llvmlite.__version__,
        numpy.__version__,
        *settings,
    ]
    return hashlib.blake2b("|".join(parts).encode(), digest_size=6).hexdigest()


def cache_root() -> Path:
    """Where all of nanotick's caches live: `NANOTICK_CACHE_DIR`, else the user's cache directory."""
    named = os.environ.get("NANOTICK_CACHE_DIR")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("nanotick", appauthor=False))


@functools.cache
def cache_directory() -> Path | None:
    """The directory of this version and machine, made if need be; None when nothing can be written anywhere."""
    name = f"{__version__}-{machine_digest()}"
    for root in (cache_root(), Path(tempfile.gettempdir()) / f"nanotick-{os.getuid() if hasattr(os, 'getuid') else 0}"):
        directory = root / name
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError:
            continue
        _prune(root, directory)
        return directory
    warnings.warn(
        f"no writable cache directory ({cache_root()} and the temporary directory refuse): kernels are compiled anew "
        "in every process; set NANOTICK_CACHE_DIR to a directory you can write",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def mark_ready(name: str) -> None:
    """Note that an entry of the present source is in the cache, for whoever wants to say so before loading Numba."""
    directory = cache_directory()
    if directory is not None:
        try:
            (directory / f"{name}-{source_digest()}.ready").touch()
        except OSError:
            return  # it is only a word to people


def is_ready(name: str) -> bool:
    """Whether `mark_ready` was told so of the present source."""
    directory = cache_directory()
    return directory is not None and (directory / f"{name}-{source_digest()}.ready").exists()


def _prune(root: Path, keep: Path) -> None:
    """Delete what nobody has used for long: other directories once old, and old files of this one, once a day."""
    now = time.time()
    try:
        for other in root.iterdir():
            if other != keep and other.is_dir() and now - other.stat().st_mtime > _STALE_AFTER_S:
                shutil.rmtree(other, ignore_errors=True)
        stamp = keep / "pruned"
        if stamp.exists() and now - stamp.stat().st_mtime < _REFRESH_AFTER_S:
            return
        stamp.touch()
        for path in keep.iterdir():
            if now - path.stat().st_mtime > _STALE_AFTER_S:
                path.unlink(missing_ok=True)
    except OSError:
        return  # a shared or vanishing directory is somebody else's to clean


def read_whole(path: Path) -> Any:
    """What a file of ours holds, its digest checked; what is loaded stays young."""
    with open(path, "rb") as file:
        data = file.read()
        if time.time() - os.fstat(file.fileno()).st_mtime > _REFRESH_AFTER_S:
            try:
                os.utime(path)
            except OSError:
                pass  # a directory that can only be read is pruned by nobody
    digest, payload = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
    if hashlib.blake2b(payload, digest_size=_DIGEST_SIZE).digest() != digest:
        raise ValueError(f"{path}: the digest differs from the content's")
    return pickle.loads(payload)  # noqa: S301 - our own file, digest checked


def write_whole(path: Path, payload: bytes) -> None:
    """Write a payload behind its digest, in one rename."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as temporary:
            temporary.write(hashlib.blake2b(payload, digest_size=_DIGEST_SIZE).digest() + payload)
        os.replace(temporary.name, path)
    except OSError:
        return  # a full disk must not stop trading; the next process compiles again


@functools.cache
def _claims() -> int | None:
    """The file whose bytes are claims; open as long as the process, since closing it gives all of them up."""
    directory = cache_directory()
    try:
        return None if directory is None else os.open(directory / "claims", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None


def try_claim(path: Path | None, wait: bool = False) -> bool:
    """Claim the making of a file for this process until `give_up`; False when another process has it."""
    file = _claims()
    if path is None or file is None or fcntl is None:
        return True
    offset = int.from_bytes(hashlib.blake2b(path.name.encode(), digest_size=7).digest(), "little")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, offset)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass  # a file system without locks: two processes may make the same file
    return True


def give_up(path: Path | None) -> None:
    """Let others make the file."""
    file = _claims()
    if path is None or file is None or fcntl is None:
        return
    offset = int.from_bytes(hashlib.blake2b(path.name.encode(), digest_size=7).digest(), "little")
    try:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, offset)
    except OSError:
        return


@contextmanager
def claimed(path: Path | None) -> Iterator[None]:
    """The making of a file is ours alone; waits for whoever is at it."""
    try_claim(path, wait=True)
    try:
        yield
    finally:
        give_up(path)


class KernelCache(_Cache):  # type: ignore[misc]
    """The cache of one function, under a key of our choice instead of Numba's index of closures and time stamps."""

    compiled = 0  # functions compiled by this process for want of a cached one
    loaded = 0

    def __init__(self, function: Any, key: str, known: bool = False) -> None:
        self._name, self._known = key, known
        self._impl = CompileResultCacheImpl.__new__(CompileResultCacheImpl)
        self._function = function
        self._enabled = True

    @functools.cached_property
    def _key(self) -> str:
        """The name given and what the code is made from: known only when all modules are there."""
        return f"{self._name}|{function_digest(self._function, self._known)}"

    @property
    def cache_path(self) -> str:
        """Where Numba is told its cache lies."""
        return str(cache_directory() or "")

    def path(self, signature: Any) -> Path | None:
        """The file that holds this function compiled for this signature: text, a signature or a tuple of types."""
        directory = cache_directory()
        if directory is None:
            return None
        arguments, _ = normalize_signature(signature)  # Numba asks with types where it was called, we with text
        digest = hashlib.blake2b(f"{self._key}|{arguments}".encode(), digest_size=8).hexdigest()
        return directory / f"{self._function.__name__}-{digest}.nbc"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code for a signature, or None when it is not there or not whole."""
        target_context.refresh()
        path = self.path(sig) if self._enabled else None
        if path is None:
            return None
        try:
            result = self._impl.rebuild(target_context, read_whole(path))
        except FileNotFoundError:
            return None
        except Exception:  # whatever is wrong with a cached file, compiling again is the cure
            path.unlink(missing_ok=True)
            return None
        KernelCache.loaded += 1
        return result

    def machine_code(self, sig: Any) -> bytes:
        """The object code that is cached for a signature; once loaded, Numba keeps no copy to look at."""
        path = self.path(sig)
        if path is None:
            raise FileNotFoundError(f"{self._key}: no directory for compiled code can be written")
        library, *_ = read_whole(path)
        _, _, (code, _) = library
        return bytes(code)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write compiled code beside its digest, in one rename."""
        KernelCache.compiled += 1
        path = self.path(sig) if self._enabled else None
        if path is None or data.library.has_dynamic_globals:
            return
        write_whole(path, dumps(self._impl.reduce(data)))

    def enable(self) -> None:
        """Use the cache (Numba's interface)."""
        self._enabled = True

    def disable(self) -> None:
        """Neither read nor write from here on (Numba's interface)."""
        self._enabled = False

    def flush(self) -> None:
        """Delete what is cached of this function."""
        directory = cache_directory()
        if directory is not None:
            for path in directory.glob(f"{self._function.__name__}-*.nbc"):
                path.unlink(missing_ok=True)
