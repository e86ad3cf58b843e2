"""What a benchmark is compared with: another program run in an environment of its own, or a published figure.

Programs from PyPI (hftbacktest, NautilusTrader) live in `.venv-peers`, made by `make bench` from
`requirements/peers.lock`, since they want other versions of NumPy than nanotick. Each is driven by a script in
`benchmarks/peers/`, which reads the same generated input and prints one line of JSON, `{"value": ...}`: the median of
five, in processor time.
"""

import functools
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generate import input_path

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPTS = REPOSITORY / "benchmarks" / "peers"
TIMEOUT_S = 900


class PeerUnavailable(RuntimeError):
    """The peer could not be run; the message says why and what to do."""


@dataclass(frozen=True)
class Peer:
    """Something to compare with: what to call it, and how to get its value in the benchmark's unit."""

    label: str
    value: Callable[[], float]


def published(label: str, value: float) -> Peer:
    """A constant that cannot be measured here; its label says whose and where it stands."""
    return Peer(f"{label} (published)", lambda: value)


def peers_python() -> Path:
    """Return the interpreter of the peers' environment.

    Raises
    ------
    PeerUnavailable
        If there is none.
    """
    python = Path(os.environ.get("NANOTICK_PEERS_PYTHON", REPOSITORY / ".venv-peers" / "bin" / "python"))
    if not python.exists():
        raise PeerUnavailable(f"no peers to compare with at {python}; `make bench` installs them")
    return python.absolute()


@functools.cache
def run_script(script: str, *arguments: str) -> float:
    """Run `benchmarks/peers/<script>.py` in the peers' environment and return the value it prints.

    One script and its arguments run once in a process, however many benchmarks are compared with it.
    """
    done = subprocess.run(
        [str(peers_python()), str(SCRIPTS / f"{script}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PeerUnavailable(f"{' '.join((script, *arguments))} failed with {done.returncode}: {last}")
    return float(json.loads(done.stdout.strip().splitlines()[-1])["value"])


def hftbacktest(work: str, input_name: str, book: str = "best") -> Peer:
    """hftbacktest 2.4.4 doing `work` (see `peers/hftbacktest_replay.py`), in rows a second.

    Parameters
    ----------
    work : str
        `noop`, `maker_100ms`, `maker_10ms`, `orders_noop`, `orders_maker` or `many_noop`.
    input_name : str
        Name of the generated input.
    book : str
        `vector`, `hash`, or `best`: the faster of both.
    """
    books = ("vector", "hash") if book == "best" else (book,)
    return Peer(
        f"hftbacktest 2.4.4, {book} book",
        lambda: max(run_script("hftbacktest_replay", work, str(input_path(input_name)), each) for each in books),
    )


def hftbacktest_kept() -> Peer:
    """The share of its one-instrument rate that hftbacktest 2.4.4 (vector book) keeps with 64 instruments, 0 to 1."""

    def kept() -> float:
        path = str(input_path("many_hft"))
        many, one = (run_script("hftbacktest_replay", work, path, "vector") for work in ("many_noop", "one_noop"))
        return many / one

    return Peer("hftbacktest 2.4.4, vector book", kept)


def hftbacktest_convert() -> Peer:
    """hftbacktest 2.4.4 converting the raw Binance recording, in rows a second."""
    return Peer(
        "hftbacktest 2.4.4 binancefutures.convert",
        lambda: run_script("hftbacktest_convert", str(input_path("binance_raw"))),
    )


def nautilus(work: str) -> Peer:
    """NautilusTrader 1.221.0 doing `work` (see `peers/nautilus_quotes.py`).

    Parameters
    ----------
    work : str
        `order_each_1000` (quotes a second), `order_each` (order cycles a second), `latency_p50` or `latency_p99`
        (nanoseconds).
    """
    return Peer("NautilusTrader 1.221.0", lambda: run_script("nautilus_quotes", work, str(input_path("quotes"))))
