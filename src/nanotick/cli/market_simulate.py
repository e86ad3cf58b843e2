"""`nanotick market simulate`: let a described market live, and keep what its exchanges publish as an event file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

USAGE = 2


def simulate(
    market: str = "us-equities",
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("market.nt"),
    seed: int = 1,
    duration: float | None = None,
    symbols: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    whole_day: Annotated[bool, Parameter(negative="")] = False,
    speed: float = 0.0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Let a market live and write everything its exchanges publish into an event file.

    For example:

    nanotick market simulate us-equities --symbols SPY,AAPL --duration 3600 -o hour.nt

    nanotick market simulate us-equities --symbols SPY --whole-day -o day.nt

    nanotick market simulate mine.yaml --seed 7 -o day.nt.zst && nanotick market facts day.nt.zst

    Parameters
    ----------
    market
        Name of a shipped description (`nanotick market list`) or a YAML file.
    output
        OUT.nt, OUT.nt.zst or OUT.parquet.
    seed
        The same seed gives the same bytes.
    duration
        Seconds of the market's time; the whole session when left out.
    symbols
        Only these, separated by commas.
    whole_day
        Begin where orders are collected for the opening auction and end with the closing one, as the description's
        `auctions` say; else trading is continuous from the start.
    speed
        Times real time; 0: as fast as it goes.
    as_json
        Print one object: output, events, bytes, commands, seconds, speed, symbols.
    """
    import time

    from nanotick.cli.progress import RunProgress, cold_sentence, print_json
    from nanotick.engine.collect import make_ready
    from nanotick.engine.market_recording import record_market
    from nanotick.exchange.agents.description import read_description
    from nanotick.exchange.agents.living import LivingMarket
    from nanotick.exchange.agents.world import world_step

    described = read_description(market)
    chosen = tuple(s for text in symbols for s in text.split(",") if s)
    if chosen:
        described = described.only(chosen)
    if (duration is not None and duration <= 0) or speed < 0:
        raise ValueError(f"duration must be positive and speed 0 or more, found {duration} and {speed}")
    with RunProgress("simulating", as_json) as progress:
        progress.waiting(cold_sentence("world_step"))
        living = LivingMarket(described, seed, whole_day=whole_day)
        make_ready(world_step)
        start = living.start_ns
        until = living.end_ns if duration is None else min(living.end_ns, start + int(duration * 1e9))
        began, cpu = time.perf_counter(), time.process_time()

        def pace(done: int, total: int) -> None:
            progress.share(done, total)
            if speed > 0:
                time.sleep(max(0.0, done * 1e-9 / speed - (time.perf_counter() - began)))

        events = record_market(output, living, until, pace)
        cpu = time.process_time() - cpu
    lived = (until - start) * 1e-9
    found = {
        "output": str(output),
        "events": events,
        "bytes": output.stat().st_size,
        "commands": living.commands,
        "dropped": living.dropped,
        "seconds": lived,
        "cpu_seconds": round(cpu, 3),
        "times_real_time": round(lived / cpu, 1),
        "seed": seed,
        "symbols": living.instruments.symbols,
        "digest": living.digest().hex(),
    }
    if as_json:
        print_json(found)
        return 0
    names = living.instruments.symbols
    print(f"{output}: {events:,} events of {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}")
    print(
        f"{living.commands:,} commands in {lived:,.0f} s of the market, {lived / cpu:,.0f} times real time on one core"
    )
    for number, item in enumerate(list(living.instruments)[:12]):
        book = living.exchanges[living.instruments.venues.index(item.venue)].book
        bid, ask = (item.price_decimal(int(book.best_price(number, side))) for side in (1, -1))
        print(f"  {item.symbol}@{item.venue}: {bid} / {ask} at the end")
    return 0
