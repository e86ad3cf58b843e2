"""`nanotick venue`: serve a venue's own protocols, with the embedded exchange behind them."""

from __future__ import annotations

import gc
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from nanotick.venues.paced_market import PacedMarket
    from nanotick.venues.served import Opened

Json = Annotated[bool, Parameter(name="--json", negative="")]
DEFAULT_PORT = 8700
_COLLECT = 20_000, 50, 1_000_000  # the youngest objects only

app = App(name="venue", help="Serve a venue's own protocols in front of a simulated or recorded market.")


@app.command(name="list")
def list_venues(*, as_json: Json = False) -> int:
    """List the venues that can be served.

    For example:

    nanotick venue list

    Parameters
    ----------
    as_json
        Print a list of objects: name, about, market.
    """
    from nanotick.cli.progress import print_json
    from nanotick.venues.served import SERVED

    if as_json:
        print_json([{"name": name, "about": item.about, "market": item.market} for name, item in SERVED.items()])
        return 0
    for name, item in SERVED.items():
        print(f"{name:<18} {item.about} (market: {item.market})")
    return 0


@app.command
def serve(
    *names: str,
    market: str = "",
    replay: Path | None = None,
    port: int = DEFAULT_PORT,
    address: str = "127.0.0.1",
    faults: Path | None = None,
    speed: str = "1",
    seed: int = 1,
    symbols: str = "",
    whole_day: Annotated[bool, Parameter(negative="")] = False,
    key: str = "nanotick-key",
    secret: str = "nanotick-secret",
    passphrase: str = "nanotick",
    balances: str = "",
    limits: bool = True,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    seconds: float = 0.0,
    as_json: Json = False,
) -> int:
    """Serve venues until Ctrl-C: their REST and WebSocket protocols on one port each, one market behind all of them.

    A client needs nothing changed but the address and the key. See docs/served-venues.md for what is simplified.

    For example:

    nanotick venue serve alpaca

    nanotick venue serve alpaca polygon --symbols AAPL,MSFT,NVDA --speed 5

    nanotick venue serve alpaca --faults bad-day.yaml --port 9000

    nanotick venue serve alpaca --replay day.nt

    Parameters
    ----------
    names
        Venues (`nanotick venue list`).
    market
        Market description, a shipped one by name or a YAML file; the first venue's own by default.
    replay
        Event file: recorded liquidity instead of agents.
    port
        Of the first venue; the others follow it. 0: free ports.
    address
        To listen on.
    faults
        YAML file of faults to make (docs/served-venues.md).
    speed
        Seconds of the market's session in one of ours.
    seed
        Of the market, the ids and the faults.
    symbols
        Only these, separated by commas.
    whole_day
        Begin before the opening auction, where the market description has auctions.
    key
        What the client has to show.
    secret
        And its secret, where the venue has such.
    passphrase
        And its passphrase.
    balances
        What the account begins with, such as USD=50000 or USDT=1000,BTC=0.5; the venue's own if empty.
    limits
        Rate limits as the venue has them.
    tls_cert
        PEM file: serve https and wss.
    tls_key
        PEM file of its key, where that is another one.
    seconds
        Stop after so long, 0: never.
    as_json
        Print one object when everything is ready: venues with their addresses and keys.
    """
    from nanotick.cli.progress import RunProgress, cold_sentence
    from nanotick.venues.faults import FaultySite, read_faults
    from nanotick.venues.served import Customer, served_venue
    from nanotick.venues.sockets import Sockets

    if not names:
        raise ValueError("no venue: name at least one; `nanotick venue list` shows them")
    if market and replay is not None:
        raise ValueError("--market and --replay: give one of them")
    venues = [served_venue(name) for name in names]
    plan = read_faults(faults, seed) if faults is not None else None
    host = Sockets()
    try:
        with RunProgress("opening the market", as_json) as progress:
            progress.waiting(cold_sentence("world_step"))
            chosen = tuple(name for name in symbols.split(",") if name)
            paced = _market(host, market or venues[0].market, replay, speed, seed, chosen, whole_day)
            customer = Customer(key, secret, passphrase, limits, seed, _balances(balances))
            opened = [venue.open(host, paced, customer) for venue in venues]
            paced.start()
        ports = []
        for number, item in enumerate(opened):
            site = item.site if plan is None else FaultySite(host, item.site, plan)
            ports.append(host.serve(site, port + number if port else 0, address, tls_cert, tls_key))
        _say(names, opened, ports, address, tls_cert is not None, as_json)
        # orders are kept: collections that look at all of them would stop the venue ever longer, and find nothing
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT)
        for sign in (signal.SIGINT, signal.SIGTERM):
            host.loop.add_signal_handler(sign, host.stop)
        host.run(seconds or None)
        paced.stop()
    finally:
        host.close()
    if not as_json:
        status = paced.status
        behind = (
            f", {status.dilated_ns / 1e9:.1f} s of it given up: the machine was too slow" if status.dilated_ns else ""
        )
        print(f"stopped at session time {_clock(status.session)}{behind}")
        if status.stopped:
            raise RuntimeError(f"the market stopped: {status.stopped}")
    return 0


def _balances(text: str) -> dict[str, str]:
    """USD=50000,BTC=1 as a mapping."""
    from nanotick.venues.desk_terms import amount_of

    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        asset, equals, amount = part.partition("=")
        if not asset or not equals or amount_of(amount, f"--balances {asset}") < 0:
            raise ValueError(f"--balances: expected amounts such as USD=50000,BTC=0.5, found {part!r}")
        found[asset] = amount
    return found


def _market(
    host: Any, description: str, replay: Path | None, speed: str, seed: int, symbols: tuple[str, ...], whole_day: bool
) -> PacedMarket:
    from nanotick.venues.paced_market import PacedMarket

    if replay is None:
        return PacedMarket(host, description, speed=speed, seed=seed, symbols=symbols, whole_day=whole_day)
    from nanotick.venues.replayed import ReplayedMarket

    return PacedMarket(host, ReplayedMarket(replay, symbols=symbols), speed=speed, seed=seed, warm_up=0.0)


def _say(
    names: tuple[str, ...], opened: list[Opened], ports: list[int], address: str, secure: bool, as_json: bool
) -> None:
    """Where the venues are, and the keys."""
    from nanotick.cli.progress import print_json

    where = f"[{address}]" if ":" in address else address
    rows: list[dict[str, Any]] = []
    for name, item, port in zip(names, opened, ports, strict=True):
        urls = {
            label: f"{scheme}{'s' if secure else ''}://{where}:{port}{path}" for label, scheme, path in item.addresses
        }
        rows.append(
            {"name": name, "port": port, "urls": urls, "keys": dict(item.keys), "symbols": list(item.desk.listings)}
        )
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            print(f"{row['name']}: {len(row['symbols'])} symbols")
            for label, url in row["urls"].items():
                print(f"  {label:<26} {url}")
            for key, value in row["keys"].items():
                print(f"  export {key}={value}")
        print("Ctrl-C stops it.")
    import sys

    sys.stdout.flush()


def _clock(ns: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
