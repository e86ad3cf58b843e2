"""`nanotick data synthetic`: a generated day as an event file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def synthetic(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("synthetic.nt"),
    seed: int = 7,
    hours: float = 6.5,
    form: Literal["orders", "levels"] = "orders",
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Generate a day of order-book data: three symbols, a few million events, nothing downloaded.

    For example:

    nanotick data synthetic -o day.nt

    nanotick data synthetic -o levels.nt.zst --form levels --seed 8 --hours 1

    Parameters
    ----------
    output
        OUT.nt, OUT.nt.zst or OUT.parquet.
    seed
        The same seed gives the same day on every machine.
    hours
        Length of the session.
    form
        Order by order, or the same market by price level.
    as_json
        Print one object: output, events, bytes, seed, form, symbols.
    """
    from nanotick.cli.progress import RunProgress, cold_sentence, print_json
    from nanotick.data.eventfile import chunks_of, write_events
    from nanotick.data.synthetic import synthetic_day

    with RunProgress("generating", as_json) as progress:
        progress.waiting(cold_sentence())
        day = synthetic_day(seed=seed, seconds=hours * 3_600, form=form, progress=progress.share)
        write_events(output, chunks_of(day.events), list(day.instruments), {"source": f"synthetic day, seed {seed}"})
    found = {
        "output": str(output),
        "events": len(day.events),
        "bytes": output.stat().st_size,
        "seed": seed,
        "form": form,
        "symbols": day.instruments.symbols,
    }
    if as_json:
        print_json(found)
    else:
        symbols = ", ".join(day.instruments.symbols)
        print(f"{output}: {len(day.events):,} events of {symbols}, {output.stat().st_size:,} bytes")
    return 0
