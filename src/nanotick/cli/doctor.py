"""`nanotick doctor`: does this machine have what nanotick needs?"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

FREE_CACHE_BYTES = 500 << 20
FREE_SHARED_BYTES = 64 << 20


@dataclass(frozen=True)
class Check:
    """One thing looked at: `ok`, `warning` (works, slower or with less) or `failed`."""

    name: str
    state: str
    found: str
    advice: str = ""


def _python() -> Check:
    wide = sys.version_info >= (3, 11)
    return Check("python", "ok" if wide else "failed", platform.python_version(), "" if wide else "use 3.11 or newer")


def _processor() -> Check:
    from nanotick.core.cache import machine_digest

    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{platform.machine()}, {count} usable, compiled code named {machine_digest()}"
    known = platform.machine() in ("x86_64", "AMD64", "aarch64", "arm64")
    return Check("processor", "ok" if known else "warning", found, "" if known else "not tested on this architecture")


def _numba() -> Check:
    import numba
    import numpy

    return Check("numba", "ok", f"{numba.__version__} with numpy {numpy.__version__}")


def _cache() -> Check:
    from nanotick.core.cache import cache_directory, cache_root

    directory = cache_directory()
    if directory is None:
        return Check("cache", "failed", f"{cache_root()} cannot be written", "set NANOTICK_CACHE_DIR to one that can")
    if cache_root() not in directory.parents:
        return Check("cache", "warning", f"{directory} instead of {cache_root()}", "set NANOTICK_CACHE_DIR")
    return Check("cache", "ok", str(directory))


def _compiled() -> Check:
    from nanotick.core.warmup import read_manifest

    manifest = read_manifest()
    if manifest is None:
        return Check("compiled code", "warning", "none yet", "nanotick warmup compiles it now")
    return Check("compiled code", "ok", f"{manifest.kernels} kernels, compiled in {manifest.seconds:.1f} s")


def _disk() -> Check:
    from nanotick.core.cache import cache_directory

    place = cache_directory() or Path(tempfile.gettempdir())
    free = shutil.disk_usage(place).free
    enough = free >= FREE_CACHE_BYTES
    return Check(
        "disk", "ok" if enough else "warning", f"{free / 1e9:.1f} GB free at {place}", "" if enough else "free some"
    )


def _shared_memory() -> Check:
    place = Path("/dev/shm")
    if not place.is_dir():
        return Check("shared memory", "warning", "no /dev/shm", "processes cannot share rings on this machine")
    free = shutil.disk_usage(place).free
    try:
        with tempfile.NamedTemporaryFile(dir=place):
            pass
    except OSError as error:
        return Check("shared memory", "warning", f"/dev/shm: {error.strerror}", "processes cannot share rings")
    enough = free >= FREE_SHARED_BYTES
    advice = "" if enough else "give the container more, for example --shm-size=256m"
    return Check("shared memory", "ok" if enough else "warning", f"{free / 1e6:,.0f} MB free in /dev/shm", advice)


def _threading() -> Check:
    from nanotick.core.machine import format_cpus
    from nanotick.venues.cores import planned, usable

    cores, notes = planned({}, 1)
    if notes:
        least = "pinned wants a core each for feed, engine and gateway and one for the rest"
        return Check("threading", "ok", f"inline: {len(usable())} usable, {least}")
    found = f"inline, or pinned: feed on {format_cpus(cores.feeds)}, engine on {cores.engine}, gateway on"
    return Check("threading", "ok", f"{found} {cores.gateway}", "several busy feeds: nanotick run --threading pinned")


def _memory() -> Check:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return Check("memory", "warning", "unknown")
    total = pages * size
    return Check("memory", "ok" if total >= 2 << 30 else "warning", f"{total / (1 << 30):.1f} GiB")


def _extras() -> Check:
    from importlib.util import find_spec

    wanted = {
        "pandas": "frames",
        "polars": "frames",
        "databento_dbn": "databento",
        "cryptography": "live",
        "uvloop": "live",
        "yfinance": "yahoo",
    }
    missing = sorted({f"nanotick[{extra}]" for module, extra in wanted.items() if find_spec(module) is None})
    if not missing:
        return Check("extras", "ok", "all installed")
    return Check("extras", "ok", f"not installed: {', '.join(missing)}", f"pip install '{missing[0]}' if you want it")


CHECKS: tuple[Callable[[], Check], ...] = (
    _python, _processor, _numba, _cache, _compiled, _disk, _shared_memory, _memory, _extras,
    _threading,
)  # fmt: skip


def examine() -> list[Check]:
    """Run every check; one that cannot run has failed, and says why."""
    found = []
    for check in CHECKS:
        try:
            found.append(check())
        except Exception as error:  # a broken installation is what this command is for
            found.append(
                Check(check.__name__.strip("_"), "failed", f"{type(error).__name__}: {error}", "reinstall nanotick")
            )
    return found + machine()


def machine() -> list[Check]:
    """The machine's settings: what is not as trading wants it works all the same, slower or with more jitter."""
    from nanotick.core.machine import ON, UNKNOWN, settings

    return [
        Check(s.name, "ok" if s.state in (ON, UNKNOWN) else "warning", f"{s.state}: {s.found}", s.command)
        for s in settings()
    ]


def doctor(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Check what nanotick needs of this machine, and its settings; exit code 1 if something is missing.

    What `nanotick tune` reports as off or refused is a warning here, with the command that would change it.

    For example:

    nanotick doctor

    nanotick doctor --json

    Parameters
    ----------
    as_json
        Print a list of objects: name, state (ok, warning, failed), found, advice.
    """
    found = examine()
    if as_json:
        from nanotick.cli.progress import print_json

        print_json([asdict(c) for c in found])
    else:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
        colours = {"ok": "green", "warning": "yellow", "failed": "red"}
        for check in found:
            advice = f"  → {check.advice}" if check.advice else ""
            table.add_row(check.name, Text(check.state, style=colours[check.state]), Text(check.found + advice))
        Console().print(table)
    return 1 if any(c.state == "failed" for c in found) else 0
