"""Compiling everything once: under a lock, with progress, recorded in a manifest.

`warm()` walks the registry of the modules named in `KERNEL_MODULES`, compiles what the cache lacks and loads the rest.
One process at a time and its helpers compile (a lock file); others wait and then load. The manifest says for which
version, source and machine the cache is complete, how many kernels it holds and how long they took.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from nanotick import __version__
from nanotick.core.kernel import CALLBACKS, REGISTRY, Entry, compile_entry
from nanotick.core.mode import INTERPRET
from nanotick.core.source import source_digest

# every module that declares entries or lasting callbacks; importing them fills the registry
KERNEL_MODULES: list[str] = [
    "nanotick.book.apply",
    "nanotick.book.calls",
    "nanotick.book.itch_book",
    "nanotick.core.clock",
    "nanotick.core.histogram",
    "nanotick.core.journal_kernel",
    "nanotick.core.journal_reader",
    "nanotick.core.journal_segment",
    "nanotick.core.journal_sync",
    "nanotick.core.ring",
    "nanotick.data.bookcheck",
    "nanotick.data.checks",
    "nanotick.data.lobster_book",
    "nanotick.data.lobster_replay",
    "nanotick.data.ordering",
    "nanotick.data.synthetic_flow",
    "nanotick.engine.paper",
    "nanotick.engine.replay",
    "nanotick.engine.session_loop",
    "nanotick.engine.simulate_loop",
    "nanotick.engine.step",
    "nanotick.exchange.agents.doors",
    "nanotick.exchange.agents.hawkes",
    "nanotick.exchange.agents.hawkes_fit",
    "nanotick.exchange.agents.observe",
    "nanotick.exchange.agents.world",
    "nanotick.exchange.market.engine",
    "nanotick.exchange.replay",
    "nanotick.risk.limits",
    "nanotick.strategy.context",
    "nanotick.strategy.order_entry",
    "nanotick.venues.pinned_loop",
    "nanotick.wire.binance_chain",
    "nanotick.wire.binance_scan",
    "nanotick.wire.decimal_rows",
    "nanotick.wire.equity_scan",
    "nanotick.wire.iex_events",
    "nanotick.wire.itch_events",
    "nanotick.wire.order_text",
    "nanotick.wire.pcap",
    "nanotick.wire.sha256",
]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Manifest:
    """What a complete cache says of itself."""

    version: str
    source: str
    machine: str
    kernels: int
    compiled: int
    seconds: float


def _manifest_path() -> Path | None:
    from nanotick.core.cache import cache_directory

    directory = cache_directory()
    return None if directory is None else directory / f"manifest-{source_digest()}.json"


def read_manifest() -> Manifest | None:
    """The manifest of the present cache directory, or None when it is missing or unreadable."""
    path = _manifest_path()
    try:
        return None if path is None else Manifest(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _lock(directory: Path | None) -> Iterator[None]:
    if directory is None:
        yield
        return
    with open(directory / "warmup.lock", "w") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass  # without locks (Windows, some network file systems) two processes may compile the same kernels
        yield


def _free_first(entries: list[Entry]) -> Iterator[Entry]:
    """Entries in order, those that a helper is at put off to the end."""
    from nanotick.core.cache import give_up, try_claim

    busy = []
    for entry in entries:
        path = None if entry.dispatcher.signatures else entry.dispatcher._cache.path(entry.signature)
        if not try_claim(path):
            busy.append(entry)
            continue
        yield entry
        give_up(path)
    yield from busy


def is_warm() -> bool:
    """Whether the cache holds every kernel of this version, source and machine."""
    return INTERPRET or read_manifest() is not None


def warm(progress: Progress | None = None) -> Manifest:
    """Compile or load every registered kernel and lasting callback.

    Parameters
    ----------
    progress : callable, optional
        Called before each kernel with its name, its number from 0 and the total; at the end with an empty name.

    Returns
    -------
    Manifest
    """
    for module in KERNEL_MODULES:
        importlib.import_module(module)
    if INTERPRET:
        return Manifest(__version__, "interpreted", "interpreted", len(REGISTRY) + len(CALLBACKS), 0, 0.0)
    from nanotick.core.cache import KernelCache, cache_directory, machine_digest
    from nanotick.core.parallel import WORTH_HELPERS, Helpers, helpers, in_cache

    started = time.perf_counter()
    with _lock(cache_directory()):
        entries = list(REGISTRY.values())
        total = len(entries) + len(CALLBACKS)
        missing = [entry for entry in entries if not in_cache(entry)]
        compiled = 0
        with Helpers(missing) if helpers() and len(missing) >= WORTH_HELPERS else nullcontext():
            for i, entry in enumerate(_free_first(entries)):
                if progress is not None:
                    progress(entry.name, i, total)
                before = KernelCache.compiled
                compile_entry(entry)
                compiled += entry in missing or KernelCache.compiled > before
        # what they reach the entries have compiled: there is little left to do for them
        for i, (key, address) in enumerate(CALLBACKS.items(), len(entries)):
            if progress is not None:
                progress(key, i, total)
            before = KernelCache.compiled
            address()
            compiled += KernelCache.compiled > before
        if progress is not None:
            progress("", total, total)
        manifest = Manifest(
            __version__,
            source_digest(),
            machine_digest(),
            total,
            compiled,
            round(time.perf_counter() - started, 3),
        )
        path = _manifest_path()
        if path is not None and (manifest.compiled or read_manifest() is None):
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(asdict(manifest)))
            os.replace(temporary, path)
    return manifest
