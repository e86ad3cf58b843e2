"""A market data feed in a process of its own: frames in over its sockets, EVENT records out over a ring.

    the feed's process                        shared memory        the session's process
    Sockets ─▶ Feed ─▶ RingOut ──push──▶ ring of 64-byte records ──▶ engine thread
                 └── state, sign of life ──▶ words ───────────────▶ FeedProcess

A process, not a thread: reading a frame is Python until the kernel has it, and two event loops in one process take
turns at the interpreter's lock, up to 5 ms each. The ring's memory is a file without a name, so nothing is left behind
however either process ends; keys go over a pipe, never the command line. The child ends when its standard input does.

A ring that is full loses records, never silently: from the first that finds no room on nothing more is pushed until
half the ring is free; then every instrument is told to be in a gap and the connection is made anew, which brings books
and quotes afresh. A process that dies, or gives no sign of life, is ended, its instruments are told to be in a gap, its
ring is emptied and it is started again after a back-off.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nanotick.core.arena import DIRECTORY_SIZE, Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.log import Logger
from nanotick.core.memory import load_acquire, store_release
from nanotick.core.records import RECORD_SIZE
from nanotick.core.ring import Ring, push_records
from nanotick.core.secret import Secret, redact
from nanotick.venues.backoff import Backoff
from nanotick.venues.feed import Deliver, Feed, State
from nanotick.venues.host import Host
from nanotick.venues.registry import VenuePackage, load_named

RING_RECORDS = 1 << 16
WORDS = np.dtype(
    [
        ("state", "<i8"),  # State of the feed
        ("sign", "<i8"),  # of life: counts up
        ("dropped", "<i8"),  # records that found no room
        ("full", "<i8"),  # times that the ring was full
        ("pad", "<i8", (4,)),
    ]
)
_STATE, _SIGN, _DROPPED, _FULL = 0, 8, 16, 24
_MS, _S = 1_000_000, 1_000_000_000
_SIGN_NS = 20 * _MS
_TELL_NS = 250 * _MS
_AGAIN_NS = _MS
SILENT_NS = 5 * _S  # without a sign of life it is taken for dead
BIRTH_NS = 180 * _S  # until the first one: a cold cache compiles the frame's kernel
SETTLED_NS = 10 * _S  # what a process must have lived for its next start to be at once
_LEAST_ROOM = 1 << 10


class FeedPlace(Protocol):
    """What of a `FeedSpec` a process needs."""

    @property
    def package(self) -> VenuePackage:
        """Whose feed."""
        ...

    @property
    def venue(self) -> str:
        """Where the instruments' orders go."""
        ...

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Addresses."""
        ...

    @property
    def keys(self) -> Mapping[str, Any]:
        """Keys and settings."""
        ...


class RingOut:
    """A feed's `deliver` into a ring.

    Parameters
    ----------
    host : Host
    ring : Ring
        Of which this is the one producer.

    Attributes
    ----------
    feed : Feed
        Set it before the first record.
    dropped, full : int
        Records that found no room, and how often that began.
    """

    feed: Feed

    def __init__(self, host: Host, ring: Ring) -> None:
        self.host, self.ring, self._address = host, ring, ring.address
        self.lost = False
        self.dropped = self.full = 0

    def __call__(self, address: int, count: int) -> None:
        """Take consecutive EVENT records."""
        done = 0 if self.lost else int(push_records(self._address, address, count))
        if done == count:
            return
        self.dropped += count - done
        if not self.lost:
            self.lost = True
            self.full += 1
            self.host.at(self.host.now() + _AGAIN_NS, self._again)

    def _again(self) -> None:
        """Begin anew once there is room."""
        feed, ring = self.feed, self.ring
        if len(ring) > ring.capacity // 2:
            self.host.at(self.host.now() + _AGAIN_NS, self._again)
            return
        self.lost = False
        feed.tell_gap(feed.symbols)
        for talk in (feed.successor, feed.current):
            if talk is not None:
                feed.fail(talk, f"the ring to the engine was full: {self.dropped:,} records lost so far")


@dataclass
class _Child:
    """One life of the process."""

    process: subprocess.Popen[bytes]
    born: int
    sign: int = 0
    seen: int = 0  # when the sign last changed
    text: bytes = b""


class FeedProcess:
    """A feed that runs elsewhere, as a `Runner` knows feeds.

    Parameters
    ----------
    host : Host
    spec : FeedSpec
    instruments : InstrumentTable
    deliver : callable
        For what has to be told in its place (gaps), and for what a dead process has left in the ring.
    log_path : Path, optional
        Its log; without one it has none.
    spin : bool
    core : int, optional

    Attributes
    ----------
    on_lost, on_live : callable
        Called with this feed when its process has been given up, and when it is LIVE (again).
    emptied : callable
        `emptied(ring)` takes what is left in a ring whose producer is dead, with the engine held.
    starts : int
        Processes begun.
    """

    def __init__(
        self,
        host: Host,
        spec: FeedPlace,
        instruments: InstrumentTable,
        deliver: Deliver,
        log_path: Path | None = None,
        *,
        spin: bool = False,
        core: int | None = None,
        records: int = 0,
        silent_ns: int = 0,
        log: Logger | None = None,
    ) -> None:
        self.host, self.spec, self._log, self._log_path = host, spec, log, log_path
        self._spin, self._core, self._silent_ns = spin, core, silent_ns or SILENT_NS
        records = records or RING_RECORDS
        # never started: it refuses what is wrong here, knows the instruments, and tells their gaps
        self.model: Feed = spec.package.load("feed")(
            host, instruments, spec.venue, deliver, spec.endpoints, log=None, **spec.keys
        )
        self.venue, self.symbols, self.deliver = spec.venue, self.model.symbols, deliver
        self._instruments = instruments
        self._arena, self._file = _nameless_arena(records)
        self.ring = Ring.create(self._arena, "ring", records)
        self._words = self._arena.region("words", WORDS, 1, transient=True).address
        self.backoff = Backoff()
        self.on_lost: Callable[[FeedProcess], None] = lambda feed: None
        self.on_live: Callable[[FeedProcess], None] = lambda feed: None
        self.emptied: Callable[[Ring], None] = lambda ring: None
        self.running = self._was_live = False
        self.starts = self.losses = 0
        self.error = ""
        self._told: dict[str, Any] = {}
        self._child: _Child | None = None
        self._next = 0

    # --- as a feed ----------------------------------------------------------------------------------------------------

    def new_frames(self) -> Any:
        """As `Feed.new_frames`: compiled here, the child finds it in the cache."""
        return self.model.new_frames()

    @property
    def state(self) -> State:
        """Of the feed there; DOWN without a process, STALE when its sign of life is late."""
        child = self._child
        if child is None:
            return State.DOWN
        state = State(load_acquire(self._words + _STATE))
        late = child.sign and self.host.now() - child.seen > self._silent_ns // 2
        return State.STALE if late and state == State.LIVE else state

    def start(self) -> None:
        """Start the process, and keep it going until `stop`."""
        self.running = True
        self._spawn()

    def stop(self) -> None:
        """End the process; its instruments are told to be out of date."""
        self.running = False
        child, self._child = self._child, None
        if child is not None:
            if child.process.stdin is not None:
                child.process.stdin.close()
            self._ending = child.process
            self.model.tell_gap(self.symbols)

    _ending: subprocess.Popen[bytes] | None = None

    def close(self, patience_s: float = 3.0) -> None:
        """Wait until the process has ended, for so long; then end it."""
        self.stop()
        if self._ending is not None:
            try:
                self._ending.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._ending.kill()
                self._ending.wait()
            self._ending = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def cut(self) -> None:
        """As `Feed.cut`, there."""
        if self._child is not None and self._child.process.stdin is not None:
            self._child.process.stdin.write(b"cut\n")
            self._child.process.stdin.flush()

    @property
    def reconnects(self) -> int:
        """Connections made anew, and processes."""
        return int(self._told.get("reconnects", 0)) + self.losses

    def status(self) -> dict[str, Any]:
        """As `Feed.status`, and about the process."""
        child = self._child
        return {
            **self.model.status(), **self._told, "state": self.state.name,
            "error": self.error or self._told.get("error", ""),
            "pid": 0 if child is None else child.process.pid, "starts": self.starts, "losses": self.losses,
            "dropped": load_acquire(self._words + _DROPPED), "ring_full": load_acquire(self._words + _FULL),
            "waiting": len(self.ring),
        }  # fmt: skip

    # --- its process --------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look whether it lives; call it several times a second."""
        now, child = self.host.now(), self._child
        if child is None:
            if self.running and now >= self._next:
                self._spawn()
            return
        sign = load_acquire(self._words + _SIGN)
        if sign != child.sign:
            child.sign, child.seen = sign, now
        self._hear(child)
        code = child.process.poll()
        patience = self._silent_ns if child.sign else BIRTH_NS
        if code is not None:
            why = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self._lost(child, f"the feed's process has ended: {why}", now)
        elif now - child.seen > patience:
            child.process.kill()
            child.process.wait()
            self._lost(child, f"the feed's process gave no sign of life for {patience / _S:g} s", now)
        elif (live := self.state == State.LIVE) and not self._was_live:
            self._was_live = live
            self.error = ""
            self.on_live(self)
        elif live and now - child.born > SETTLED_NS:
            self.backoff.succeeded()

    def _hear(self, child: _Child) -> None:
        """The status that the child has written."""
        assert child.process.stdout is not None
        try:
            child.text += os.read(child.process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return
        *lines, child.text = child.text.split(b"\n")
        if lines:
            try:
                self._told = json.loads(lines[-1])
            except ValueError:
                pass  # a line cut off by a full pipe

    def _lost(self, child: _Child, why: str, now: int) -> None:
        """Nothing of this life counts any more."""
        self._child, self.error, self._was_live = None, why, False
        self.losses += 1
        self.backoff.failed()
        self._next = self.backoff.next(now, self.host.uniform())
        if self._log is not None:
            self._log.error("feed process lost", venue=self.venue, reason=why, log=str(self._log_path or ""))
        for pipe in (child.process.stdin, child.process.stdout):
            if pipe is not None:
                pipe.close()
        self.emptied(self.ring)
        store_release(self._words + _STATE, int(State.DOWN))
        self.model.tell_gap(self.symbols)
        self.on_lost(self)

    def _spawn(self) -> None:
        now = self.host.now()
        self.backoff.started(now)
        self.starts += 1
        root = str(Path(__file__).resolve().parents[2])  # the same nanotick, wherever that one is started
        paths = os.pathsep.join(filter(None, (root, *sys.path, os.environ.get("PYTHONPATH", ""))))
        errors: Any = subprocess.DEVNULL
        if self._log_path is not None:
            errors = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "nanotick.venues.feed_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, env={**os.environ, "PYTHONPATH": paths}, pass_fds=(self._file,), process_group=0,
            )  # fmt: skip
        finally:
            if isinstance(errors, int) and errors >= 0:
                os.close(errors)
        assert process.stdin is not None and process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        store_release(self._words + _STATE, int(State.DOWN))
        self._child = _Child(process, now, load_acquire(self._words + _SIGN), now)
        self._child.sign = 0
        store_release(self._words + _SIGN, 0)
        try:
            process.stdin.write(json.dumps(self._asked()).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            pass  # it is dead already, and the next look finds it so

    def _asked(self) -> dict[str, Any]:
        spec = self.spec
        keys = {n: {"secret": v.reveal()} if isinstance(v, Secret) else v for n, v in spec.keys.items()}
        return {
            "memory": self._file, "feed": spec.package.feed, "venue": spec.venue, "endpoints": list(spec.endpoints),
            "keys": keys, "instruments": [item.as_dict() for item in self._instruments], "spin": self._spin,
            "core": self._core, "log": str(self._log_path) if self._log_path is not None else "",
        }  # fmt: skip


def _nameless_arena(records: int) -> tuple[Arena, int]:
    """Shared memory that only this process and its children know, and its descriptor."""
    place = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
    file, name = tempfile.mkstemp(prefix="nanotick-ring-", dir=place)
    try:
        return Arena(DIRECTORY_SIZE + (4 << 20) + 2 * records * RECORD_SIZE, Path(name)), file
    except BaseException:
        os.close(file)
        raise
    finally:
        os.unlink(name)


# --- the process ------------------------------------------------------------------------------------------------------


def serve() -> int:
    """What the child does: listen to the feed until standard input ends."""
    from nanotick.core.log import Log
    from nanotick.core.machine import REFUSED, pin
    from nanotick.venues.sockets import Sockets

    asked = json.loads(sys.stdin.buffer.readline())
    arena = Arena.open(Path(f"/dev/fd/{asked['memory']}"))
    ring, words = Ring.attach(arena, "ring"), arena["words"].address
    keys = {n: Secret(v["secret"]) if isinstance(v, dict) and "secret" in v else v for n, v in asked["keys"].items()}
    log = Log(Path(asked["log"])) if asked["log"] else None
    if asked["core"] is not None:
        found = pin([asked["core"]])
        if found.state == REFUSED and log is not None:
            log.warning("not pinned", found=found.found)
    os.set_blocking(sys.stdout.fileno(), False)
    with Sockets(spin=bool(asked["spin"]), log=log) as host:
        out = RingOut(host, ring)
        table = InstrumentTable(Instrument.from_dict(item) for item in asked["instruments"])
        feed: Feed = load_named(asked["feed"])(
            host, table, asked["venue"], out, asked["endpoints"],
            log=log.bind() if log is not None else None, **keys,
        )  # fmt: skip
        out.feed = feed
        feed.new_frames()
        push_records(ring.address, 0, 0)

        def sign() -> None:
            store_release(words + _STATE, int(feed.state))
            store_release(words + _DROPPED, out.dropped)
            store_release(words + _FULL, out.full)
            store_release(words + _SIGN, load_acquire(words + _SIGN) + 1)
            host.at(host.now() + _SIGN_NS, sign)

        def tell() -> None:
            line = redact(json.dumps(feed.status(), default=str)).encode() + b"\n"
            try:
                os.write(sys.stdout.fileno(), line)
            except BlockingIOError:
                pass  # nobody reads for now
            host.at(host.now() + _TELL_NS, tell)

        def heard() -> None:
            if os.read(sys.stdin.fileno(), 4096):
                feed.cut()
            else:
                host.loop.remove_reader(sys.stdin.fileno())
                host.stop()

        host.loop.add_reader(sys.stdin.fileno(), heard)
        feed.start()
        sign()
        tell()
        host.run()
        feed.stop()
    if log is not None:
        log.close()
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the session, which ends this process
    sys.exit(serve())
