"""The embedded exchange behind venues' protocols, in a process of its own, on loopback.

    with EmbeddedVenues(market="us-equities", sites=("alpaca", "polygon")) as venues:
        venues.address("alpaca")        # http://127.0.0.1:41234
        venues.key, venues.secret

A live run against it crosses real sockets and uses the venues' own clients; nothing but the addresses differs from a
run against the venues. The process ends with whoever started it: it reads its standard input and stops when that ends.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CASH = "1000000"


class EmbeddedError(RuntimeError):
    """The process did not start; the message has what it said."""


class EmbeddedVenues:
    """Served venues over one market.

    Parameters
    ----------
    market : str
        A market description's name or file.
    sites : sequence of str
        Venues to serve.
    symbols : sequence of str
        Of the market; all if empty.
    seed, speed
        As in `PacedMarket`.
    cash : str
        Of the account.
    waiting : callable, optional
        Called a few times a second while kernels are compiled there.
    record : Path, optional
        Where to write an event file of the market's first `record_seconds`, before it opens.

    Raises
    ------
    EmbeddedError
        It did not start.
    """

    def __init__(
        self,
        market: str = "us-equities",
        sites: Sequence[str] = ("alpaca", "polygon"),
        symbols: Sequence[str] = (),
        seed: int = 1,
        speed: float = 1.0,
        cash: str = CASH,
        waiting: Callable[[], None] | None = None,
        record: Path | None = None,
        record_seconds: float = 60.0,
    ) -> None:
        self.key, self.secret = f"PK{secrets.token_hex(9).upper()}", secrets.token_hex(20)
        command = [
            sys.executable, "-m", "nanotick.venues.embedded", "--market", market, "--sites", ",".join(sites),
            "--symbols", ",".join(symbols), "--seed", str(seed), "--speed", str(speed), "--cash", cash,
            "--record", "" if record is None else str(record), "--record-seconds", str(record_seconds),
        ]  # fmt: skip
        root = str(Path(__file__).resolve().parents[2])  # the same nanotick, wherever that one is started
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        environment = {**os.environ, "PYTHONPATH": paths, "NANOTICK_EMBEDDED_KEYS": f"{self.key}:{self.secret}"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            process_group=0,  # Ctrl-C is for the session, which cancels its orders here before it ends
        )  # fmt: skip
        self._said: list[bytes] = []
        self._lines: list[bytes] = []
        threads = [threading.Thread(target=self._hear, daemon=True), threading.Thread(target=self._first, daemon=True)]
        for thread in threads:
            thread.start()
        while threads[1].is_alive():
            threads[1].join(0.2)
            if waiting is not None:
                waiting()
        if not self._lines or not self._lines[0]:
            self.close()
            threads[0].join(1.0)
            raise EmbeddedError(f"the embedded exchange did not start: {b''.join(self._said[-5:]).decode().strip()}")
        self.addresses: dict[str, str] = json.loads(self._lines[0])["addresses"]

    def _first(self) -> None:
        assert self._process.stdout is not None
        self._lines.append(self._process.stdout.readline())

    def _hear(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)
            del self._said[:-50]

    def address(self, site: str, scheme: str = "http") -> str:
        """Where a site listens."""
        return f"{scheme}://{self.addresses[site]}"

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> EmbeddedVenues:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def serve(arguments: Sequence[str] | None = None) -> int:
    """The process: serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m nanotick.venues.embedded")
    for name, default in (("market", "us-equities"), ("sites", "alpaca"), ("symbols", ""), ("seed", "1"),
                          ("speed", "1"), ("cash", CASH), ("record", ""), ("record-seconds", "60")):  # fmt: skip
        parser.add_argument(f"--{name}", default=default)
    asked = parser.parse_args(arguments)
    from nanotick.engine.market_recording import record_market
    from nanotick.exchange.agents.description import read_description
    from nanotick.exchange.agents.living import LivingMarket
    from nanotick.venues.paced_market import PacedMarket
    from nanotick.venues.served import Customer, served_venue
    from nanotick.venues.sockets import Sockets

    key, _, secret = os.environ.pop("NANOTICK_EMBEDDED_KEYS", "key:secret").partition(":")
    description = read_description(asked.market)
    if asked.symbols:
        description = description.only(tuple(asked.symbols.split(",")))
    if asked.record:
        until = description.start_ns + int(float(asked.record_seconds) * 1e9)
        record_market(Path(asked.record), LivingMarket(description, int(asked.seed)), until)
    with Sockets() as host:
        market = PacedMarket(host, description, speed=float(asked.speed), seed=int(asked.seed))
        addresses = {}
        customer = Customer(key, secret, limits=False, seed=int(asked.seed), balances={"USD": asked.cash})
        opened = {name: served_venue(name).open(host, market, customer) for name in asked.sites.split(",")}
        market.start()
        for name, item in opened.items():
            addresses[name] = f"127.0.0.1:{host.serve(item.site)}"
        print(json.dumps({"addresses": addresses}), flush=True)
        host.loop.add_reader(sys.stdin.fileno(), lambda: _input(host))
        host.run()
    return 0


def _input(host: Any) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        host.loop.remove_reader(sys.stdin.fileno())
        host.stop()


if __name__ == "__main__":
    sys.exit(serve())
