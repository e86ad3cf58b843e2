"""`nanotick warmup`: compile now what would otherwise be compiled at first use."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter


def warmup(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Compile every kernel, or load those that are compiled already. Needed once per version and processor.

    For example:

    nanotick warmup

    Parameters
    ----------
    as_json
        Print one object: version, source, machine, kernels, compiled, seconds, cache.
    """
    from nanotick.cli.progress import RunProgress, print_json
    from nanotick.core.cache import cache_directory
    from nanotick.core.warmup import warm

    with RunProgress("compiling", as_json) as progress:
        manifest = warm(progress.item)
    where = str(cache_directory() or "")
    if as_json:
        print_json({**asdict(manifest), "cache": where})
    else:
        loaded = manifest.kernels - manifest.compiled
        print(
            f"{manifest.compiled} compiled, {max(0, loaded)} loaded, {manifest.seconds:.1f} s; in {where or 'memory'}"
        )
    return 0
