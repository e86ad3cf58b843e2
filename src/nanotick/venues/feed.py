"""A market data connection that keeps itself alive: the part that all venues share.

    DOWN ─▶ CONNECTING ─▶ AUTHENTICATING ─▶ SYNCING ─▶ LIVE ◀─▶ STALE
      ▲          │                │             │        │         │
      └──────────┴────────────────┴── back-off ─┴────────┴─────────┘

A `Feed` has one `Conversation` (a connection from its opening to its end), or two while a venue's time limit makes it
renew: the successor is LIVE before the old one is dropped, and nothing of the old one counts from then on. A venue's
feed is a subclass that says what to send when a link opens (`greet`), what the venue's notices mean (`heard`) and when
everything subscribed has been confirmed (`live`).

    frame ─▶ Conversation.message ─▶ LiveFrames.read ─▶ deliver(address, count)        EVENT records

What was lost is told: one GAP a subscribed instrument when a connection that was LIVE ends, so that no book of it is
traded on before the venue has told it anew. A message that cannot be read is counted, logged and left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from nanotick.core.instruments import InstrumentTable
from nanotick.core.log import Log, Logger
from nanotick.core.records import BOTH_SIDES, EVENT, RECORD_SIZE, Flag, Kind
from nanotick.core.secret import redact
from nanotick.venues.backoff import Backoff, BackoffLimits
from nanotick.venues.host import Headers, Host, Link, Timer
from nanotick.wire.json_text import WireError
from nanotick.wire.live_frames import LiveFrames
from nanotick.wire.messages import Notice
from nanotick.wire.reports import EVENT_STRUCT

Deliver = Callable[[int, int], None]  # address of EVENT records, how many
# a frame and its time of receipt, through all there is to do: 0 when it is done, how many records of it are still to be
# delivered, or a negative number when it has not been read
Turn = Callable[[bytes | memoryview, int], int]
_S = 1_000_000_000
_GAP, _GAP_FLAGS = int(Kind.GAP), int(BOTH_SIDES | Flag.LAST)
_SHOWN = 200  # bytes of a refused frame in the log
_LOGGED = 100  # refusals in full; the rest are counted


class State(IntEnum):
    """Of a connection, and of a feed."""

    DOWN = 0
    CONNECTING = 1
    AUTHENTICATING = 2
    SYNCING = 3
    LIVE = 4
    STALE = 5


@dataclass(frozen=True, slots=True)
class Pace:
    """Patience of a feed, ns; 0 leaves a rule out.

    Attributes
    ----------
    ready_ns : int
        From the attempt to LIVE.
    quiet_ns, dead_ns : int
        Silence after which the feed is STALE and pings, and after which it connects anew.
    life_ns : int
        Age at which a LIVE connection is renewed without a gap: less than the venue's own limit.
    settled_ns : int
        What a connection must have lasted to count as a success.
    denied_ns : int
        Wait after a refusal that trying again will not mend (key, permission).
    """

    ready_ns: int = 15 * _S
    quiet_ns: int = 0
    dead_ns: int = 0
    life_ns: int = 0
    settled_ns: int = 10 * _S
    denied_ns: int = 300 * _S
    backoff: BackoffLimits = field(default_factory=BackoffLimits)


class Conversation:
    """One connection of a feed: what its link calls.

    Attributes
    ----------
    frames : LiveFrames
        Its own, since update-id chains begin anew with a connection.
    delivering : bool
        Whether its records go to the feed's `deliver`.
    over : bool
        Nothing of it counts any more.
    """

    def __init__(self, feed: Feed, url: str, delivering: bool, now: int) -> None:
        self.feed, self.url, self.delivering = feed, url, delivering
        self.frames = feed.new_frames()
        self.deliver = feed.deliver
        self.turn: Turn | None = feed.turns(self.frames)
        self.state = State.CONNECTING
        self.link: Link | None = None
        self.over = False
        self.began_ns = self.last_ns = now
        self.live_ns = self.pinged_ns = 0
        self.messages = self.bytes = 0
        self._address = int(self.frames.events.ctypes.data)
        self._watch: Timer | None = None

    def opened(self, link: Link) -> None:
        """The link stands."""
        if self.over:
            link.close()
            return
        self.link = link
        self.last_ns = self.feed.host.now()
        self.state = State.AUTHENTICATING
        self.feed.greet(self)

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """Read one message; its records are delivered before this returns."""
        if self.over:
            return
        self.last_ns = now
        self.messages += 1
        self.bytes += len(data)
        frames, count = self.frames, -1
        if self.turn is not None and self.delivering:
            count = self.turn(data, now)
            if count >= 0 and frames.told:
                frames.forget()
            if count == 0:
                return
        if count < 0:
            try:
                count = frames.read(data, now)
            except WireError as error:
                self.feed.refuse(self, error, data)
                return
            if frames.told and not self.feed.told(self):
                return
        if count and self.delivering:
            self.deliver(self._address, count)

    def closed(self, link: Link | None, reason: str) -> None:
        """The link is gone, or did not come to be."""
        if not self.over:
            self.feed.fail(self, reason or "closed")

    def send(self, data: bytes | memoryview) -> None:
        """Send one message, if the link stands."""
        if self.link is not None and not self.over:
            self.link.send(data)

    def watch(self) -> None:
        """Look whether it is late, silent or old; again and again until it is over."""
        if self._watch is not None:
            self._watch.cancel()
        again = 0 if self.over else self.feed.look(self)
        self._watch = None if self.over else self.feed.host.at(again, self.watch)

    def take_over(self, old: Conversation | None) -> None:
        """Deliver from now on; `old` is the connection that did until now, None if it was lost before."""
        self.delivering = True

    def end(self) -> None:
        """Nothing of it counts from now on."""
        self.over = True
        self.state = State.DOWN
        if self._watch is not None:
            self._watch.cancel()
        if self.link is not None:
            self.link.close()


class Feed:
    """Market data of one venue.

    Parameters
    ----------
    host : Host
    instruments : InstrumentTable
    venue : str
        Name of the venue in the table (where orders go), whatever feed brings the prices.
    deliver : callable
        Takes the address and number of EVENT records, which may be overwritten afterwards.
    endpoints : sequence of str
        WebSocket addresses, tried in turn when one fails.
    symbols : iterable of str, optional
        Of the table's instruments of that venue; all of them if not given.

    Raises
    ------
    ValueError
        No endpoint, or a symbol that the table has not at that venue.
    """

    PROTOCOL = ""  # of LiveFrames
    PACE = Pace()
    CONVERSATION: type[Conversation] = Conversation
    EARLY = False  # whether a successor delivers from its first record on: protocols where repetition does no harm

    def __init__(
        self,
        host: Host,
        instruments: InstrumentTable,
        venue: str,
        deliver: Deliver,
        endpoints: Sequence[str],
        *,
        symbols: Iterable[str] | None = None,
        pace: Pace | None = None,
        log: Log | Logger | None = None,
    ) -> None:
        if not endpoints:
            raise ValueError(f"{venue}: expected at least one endpoint, found none")
        listed = {item.symbol: number for number, item in enumerate(instruments) if item.venue == venue}
        chosen = list(listed) if symbols is None else list(symbols)
        for symbol in chosen:
            if symbol not in listed:
                raise ValueError(
                    f"{venue}: no instrument {symbol!r} in the table; it has {', '.join(listed) or 'none'}"
                )
        self.host, self.instruments, self.venue, self.deliver = host, instruments, venue, deliver
        self.endpoints, self.symbols, self.pace = tuple(endpoints), tuple(chosen), pace or self.PACE
        self.numbers = {symbol: listed[symbol] for symbol in chosen}
        self.current: Conversation | None = None
        self.successor: Conversation | None = None
        self.running = False
        self.turns: Callable[[Any], Turn | None] = lambda frames: None  # whoever delivers may offer a shorter way
        self.error = ""  # the last one, for people
        self.refused: Counter[str] = Counter()
        self.attempts = self.reconnects = self.gaps = 0
        self.backoff = Backoff(self.pace.backoff)
        self._endpoint = 0
        self._venue_number = instruments.venues.index(venue)
        self._rows = np.zeros(max(1, len(chosen)), dtype=EVENT)
        self._row_bytes = self._rows.view(np.uint8).data
        self._retry: Timer | None = None
        self._before = (0, 0)  # messages and bytes of conversations that are over
        self._latest = 0
        self._log = log

    # What a venue's feed says.

    def url(self, endpoint: str) -> str:
        """Address to connect to: the endpoint, with what the venue wants in it (streams, token)."""
        return endpoint

    def headers(self) -> Headers:
        """Headers of the WebSocket handshake."""
        return ()

    def new_frames(self) -> LiveFrames:
        """Reader of one connection's frames."""
        return LiveFrames(self.instruments, self.venue, self.PROTOCOL)

    def greet(self, talk: Conversation) -> None:
        """The link is open: log in, subscribe, or call `live` if there is nothing to wait for."""
        raise NotImplementedError

    def heard(self, talk: Conversation, notice: Notice) -> None:
        """The venue said something about the session."""

    def numbered(self, talk: Conversation, number: int) -> bool:
        """The venue's number of a message; False leaves the message out."""
        return True

    def ping(self, talk: Conversation) -> None:
        """Ask for a sign of life, where the protocol has more than the WebSocket's own ping."""

    # What it calls.

    def authenticated(self, talk: Conversation) -> None:
        """Logged in; now subscriptions and snapshots."""
        talk.state = State.SYNCING

    def live(self, talk: Conversation) -> None:
        """Everything subscribed is confirmed and told: from here on `talk` is the feed."""
        if talk.over or talk.state == State.LIVE:
            return
        now = self.host.now()
        talk.state, talk.live_ns = State.LIVE, now
        self.error = ""
        if talk is self.successor:
            old, self.current, self.successor = self.current, talk, None
            talk.take_over(old)
            if old is not None:
                self._end(old)
        talk.watch()
        self._say("info", "feed live", url=talk.url, after_ms=(now - talk.began_ns) // 1_000_000)

    def fail(self, talk: Conversation, reason: str, denied: bool = False) -> None:
        """Give a connection up: it ended, or what it says makes no sense any more."""
        if talk.over:
            return
        reason, now = redact(reason), self.host.now()
        was_live, lasted = talk.live_ns > 0, now - talk.live_ns
        self._end(talk)
        self.error = reason
        if was_live and lasted >= self.pace.settled_ns:
            self.backoff.succeeded()
        else:
            self._endpoint = (self._endpoint + 1) % len(self.endpoints)
        self.backoff.failed()
        again_wanted = self.running
        if talk is self.successor:
            self.successor = None
        else:
            self.current, self.successor = self.successor, None
            again_wanted = self.running and self.current is None
            if was_live:
                self.tell_gap(self.symbols)
                self.reconnects += 1
            if self.current is not None:
                self.current.take_over(None)
        again = max(self.backoff.next(now, self.host.uniform()), now + self.pace.denied_ns if denied else 0)
        self._say("warning", "feed connection lost" if was_live else "feed not connected", url=talk.url, reason=reason,
                  again_ms=(again - now) // 1_000_000)  # fmt: skip
        if again_wanted:
            self._try_at(again)

    def renew(self) -> None:
        """Open a new connection and drop the present one once the new one is LIVE."""
        if self.running and self.successor is None and self._retry is None:
            self._try_at(self.backoff.next(self.host.now(), 0.0))

    def tell_gap(self, symbols: Iterable[str]) -> None:
        """Deliver one GAP for each of these instruments: what they did since is unknown."""
        now, count = self.host.now(), 0
        for symbol in symbols:
            number = self.numbers[symbol]
            self._row_bytes[count * RECORD_SIZE : (count + 1) * RECORD_SIZE] = EVENT_STRUCT.pack(
                now, now, 0, 0, 0, 0, 0, number, self._venue_number, _GAP, 0, _GAP_FLAGS
            )
            count += 1
        self.gaps += count
        if count:
            self.deliver(int(self._rows.ctypes.data), count)

    # What the conversation and its owner call.

    def start(self) -> None:
        """Connect, and stay connected until `stop`."""
        if not self.running:
            self.running = True
            self._try_at(self.backoff.next(self.host.now(), 0.0))

    def stop(self) -> None:
        """Disconnect and stay so; books are told to be out of date."""
        self.running = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        was_live = self.current is not None and self.current.live_ns > 0
        for talk in (self.successor, self.current):
            if talk is not None:
                self._end(talk)
        self.current = self.successor = None
        if was_live:
            self.tell_gap(self.symbols)

    def cut(self) -> None:
        """Lose the connection as a failing network loses it: for tests of what follows."""
        link = self.current.link if self.current is not None else None
        if link is not None:
            link.cut()  # type: ignore[attr-defined]

    def told(self, talk: Conversation) -> bool:
        """Hand on what the last frame said besides market data; whether its records count."""
        for number in talk.frames.sequences:
            if not self.numbered(talk, number):
                return False
        for notice in talk.frames.notices:
            self.heard(talk, notice)
            if talk.over:
                return False
        return True

    def refuse(self, talk: Conversation, error: WireError, data: bytes | memoryview) -> None:
        """Count a message that cannot be read."""
        reason = str(error)[:120]
        if len(self.refused) < _LOGGED or reason in self.refused:
            self.refused[reason] += 1
        else:
            self.refused["other reasons"] += 1
        if self.refused.total() <= _LOGGED:
            self._say("warning", "message refused", reason=str(error), frame=bytes(data[:_SHOWN]))

    def look(self, talk: Conversation) -> int:
        """Judge the age and silence of a connection; when to look again, ns UTC."""
        now, pace = self.host.now(), self.pace
        silent = now - talk.last_ns
        due = [now + 5 * _S]
        if talk.state < State.LIVE:
            late = talk.began_ns + pace.ready_ns
            if now >= late:
                self.fail(talk, f"not ready {pace.ready_ns / _S:g} s after connecting ({talk.state.name.lower()})")
            due.append(late)
        else:
            if pace.dead_ns:
                if silent >= pace.dead_ns:
                    self.fail(talk, f"silent for {silent / _S:.1f} s")
                due.append(talk.last_ns + pace.dead_ns)
            if pace.quiet_ns:
                self._judge_silence(talk, silent, now)
                due.append(max(talk.last_ns, talk.pinged_ns) + pace.quiet_ns)
            if pace.life_ns and talk is self.current:
                if now >= talk.live_ns + pace.life_ns:
                    self.renew()
                else:
                    due.append(talk.live_ns + pace.life_ns)
            if now - talk.live_ns >= pace.settled_ns and talk is self.current and self.successor is None:
                self.backoff.succeeded()
        return max(min(due), now + 1_000_000)

    def _judge_silence(self, talk: Conversation, silent: int, now: int) -> None:
        if talk.over:
            return
        if silent < self.pace.quiet_ns:
            talk.state = State.LIVE
            return
        talk.state = State.STALE
        if now - talk.pinged_ns >= self.pace.quiet_ns:
            talk.pinged_ns = now
            self.ping(talk)

    def _try_at(self, when: int) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._retry = self.host.at(when, self._connect)

    def _connect(self) -> None:
        self._retry = None
        if not self.running or self.successor is not None:
            return
        now = self.host.now()
        endpoint = self.endpoints[self._endpoint]
        first = self.current is None
        talk = self.CONVERSATION(self, endpoint, first or self.EARLY, now)
        if first:
            self.current = talk
        else:
            self.successor = talk
        self.attempts += 1
        self.backoff.started(now)
        talk.watch()
        self.host.connect(self.url(endpoint), talk, self.headers())

    def _end(self, talk: Conversation) -> None:
        talk.end()
        self._before = (self._before[0] + talk.messages, self._before[1] + talk.bytes)
        self._latest = max(self._latest, talk.last_ns if talk.messages else 0)

    def _say(self, level: str, message: str, **fields: Any) -> None:
        if self._log is not None:
            getattr(self._log, level)(message, venue=self.venue, feed=self.PROTOCOL, **fields)

    @property
    def state(self) -> State:
        """Of the connection that delivers."""
        return self.current.state if self.current is not None else State.DOWN

    def status(self) -> dict[str, Any]:
        """What people and programs are shown; times ns UTC."""
        talks = [talk for talk in (self.current, self.successor) if talk is not None]
        latest = max([self._latest, *(talk.last_ns for talk in talks if talk.messages)])
        return {
            "venue": self.venue,
            "protocol": self.PROTOCOL,
            "state": self.state.name,
            "renewing": self.successor is not None,
            "endpoint": talks[0].url if talks else self.endpoints[self._endpoint],
            "live_since_ns": talks[0].live_ns if talks else 0,
            "instruments": len(self.symbols),
            "messages": self._before[0] + sum(talk.messages for talk in talks),
            "bytes": self._before[1] + sum(talk.bytes for talk in talks),
            "refused": self.refused.total(),
            "attempts": self.attempts,
            "reconnects": self.reconnects,
            "gaps": self.gaps,
            "last_message_ns": latest,
            "error": self.error,
        }
