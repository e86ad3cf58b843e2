"""Play one seed of the simulated hour of live trading, or a range of them, and say what came of it.

python -m tools.simulate_live --seed 17
python -m tools.simulate_live --seed 0 --count 500
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.venues.coin_simulation import BinanceSimulation, CoinbaseSimulation, KrakenSimulation
from tests.venues.served_simulation import ServedSimulation
from tests.venues.simulation import LiveSimulation

VENUES: dict[str, type[LiveSimulation]] = {
    "small": LiveSimulation, "alpaca": ServedSimulation, "binance": BinanceSimulation,
    "coinbase": CoinbaseSimulation, "kraken": KrakenSimulation,
}  # fmt: skip


def main() -> int:
    """Run the seeds asked for; 1 if one of them breaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--venue", choices=VENUES, default="small", help="small: made for tests, fast")
    parser.add_argument("--hours", type=float, default=1.0, help="virtual hours under faults")
    asked = parser.parse_args()
    kind = VENUES[asked.venue]
    broken = 0
    began = time.process_time()
    for seed in range(asked.seed, asked.seed + asked.count):
        run = kind(seed, hours=asked.hours)
        try:
            found = run.run()
        except AssertionError as error:
            broken += 1
            print(f"seed {seed}: {error}\n  faults: {run.faults.shown()}", file=sys.stderr)
        else:
            if asked.count == 1:
                print(json.dumps(found, indent=2))
    spent = time.process_time() - began
    print(f"{asked.count} seeds, {broken} broken, {spent:.1f} s of processor time", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
