"""Rate limits of a venue, kept on our side so that the venue never has to say no.

    limits = RateLimiter([FixedWindow(6000, 60 * S), FixedWindow(100, 10 * S, charge="orders")])
    when = limits.take(now, orders=1)             # now or earlier: taken; later: nothing is, try again then
    limits.told(reply.used, now)                  # the venue's own count
    limits.blocked(until)                         # 429 and 418: nobody asks anything before

Windows aligned to the clock (Binance), windows that slide (Alpaca, Coinbase) and counters that decay (Kraken). A part
of every limit, a fifth unless told otherwise, is kept for cancels: whatever else was sent, orders can be taken off.
Windows are counted with some slack at their edges: requests take time to arrive and the venue's clock is not ours.

Everything is a function of the times it is given. The counts are 64-bit integers in one block of memory, which may be a
file that several processes map: they then share the limits of one account or address.
"""

from __future__ import annotations

import mmap
import os
import zlib
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nanotick.venues.sharing import Users
from nanotick.wire.reports import Used

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MS, _S = 1_000_000, 1_000_000_000
SLACK_NS = 100 * _MS
RESERVE = 0.2
SLOTS = 20  # of a sliding window: what was used leaves it up to a twentieth late
AT_ONCE = 8  # orders that `look` looks for
CHARGES = ("weight", "requests", "orders")
KINDS = {"weight": "REQUEST_WEIGHT", "requests": "RAW_REQUESTS", "orders": "ORDERS"}  # names of `Used`
_NEVER = (1 << 63) - 1
_MICRO = 1_000_000
Cells = Any  # a sequence of int64 that can be assigned to


class Rule:
    """One limit.

    Parameters
    ----------
    limit : int
        What may be used.
    charge : str
        What a request uses of it: its weight, one (`requests`), or the number of new orders in it.
    reserve : float
        Part of the limit that is for cancels alone; nought where cancels cost nothing (`orders`).
    key : str
        Counts only requests with this key (a currency pair); empty: all.

    Raises
    ------
    ValueError
        A limit below 1, a charge there is not, a reserve that is no part.
    """

    size = 0  # cells

    def __init__(self, limit: int, charge: str = "weight", reserve: float | None = None, key: str = "") -> None:
        if reserve is None:
            reserve = 0.0 if charge == "orders" else RESERVE
        if limit < 1 or charge not in CHARGES or not 0 <= reserve < 1:
            raise ValueError(
                f"expected a limit of at least 1, a charge of {', '.join(CHARGES)} and a reserve from 0 to below 1, "
                f"found {limit}, {charge!r}, {reserve}"
            )
        self.limit, self.charge, self.key = limit, charge, key
        self.budget = limit - int(limit * reserve + 0.999999)  # for all but cancels
        if self.budget < 1:
            self.budget = limit

    def at(self, cells: Cells, base: int, now: int, amount: int, budget: int) -> int:
        """The earliest time when `amount` fits under `budget`; `now` if it does so now."""
        raise NotImplementedError

    def add(self, cells: Cells, base: int, now: int, amount: int) -> None:
        """Count what is used."""
        raise NotImplementedError

    def told(self, cells: Cells, base: int, now: int, count: int) -> None:
        """The venue's own count: never less than that from here on."""
        raise NotImplementedError

    def used(self, cells: Cells, base: int, now: int) -> int:
        """What counts now."""
        raise NotImplementedError

    def describe(self) -> str:
        """What distinguishes it."""
        return f"{type(self).__name__} {self.limit} {self.charge} {self.key}"


class FixedWindow(Rule):
    """So much in each window of the clock (Binance: 6,000 in each minute of UTC).

    A request within `slack_ns` of an edge counts on both sides of it.
    """

    size = 3  # number of the earlier window, use of it, use of the next

    def __init__(self, limit: int, window_ns: int, slack_ns: int = SLACK_NS, **settings: Any) -> None:
        super().__init__(limit, **settings)
        self.window = window_ns
        self.slack = min(slack_ns, window_ns // 4)

    def describe(self) -> str:
        """As `Rule.describe`."""
        return f"{super().describe()} {self.window}"

    def _roll(self, cells: Cells, base: int, now: int) -> int:
        """Make the cells those of the window before the edge and the one after it; number of the first."""
        first = (now - self.slack) // self.window
        held = cells[base]
        if first > held:
            cells[base + 1] = cells[base + 2] if first == held + 1 else 0
            cells[base + 2] = 0
            cells[base] = first
        return int(cells[base])

    def _counted(self, now: int, first: int) -> tuple[bool, bool]:
        low, high = (now - self.slack) // self.window, (now + self.slack) // self.window
        return low <= first, high > first

    def at(self, cells: Cells, base: int, now: int, amount: int, budget: int) -> int:
        """As `Rule.at`."""
        first = self._roll(cells, base, now)
        here, there = self._counted(now, first)
        if there and cells[base + 2] + amount > budget:
            return (first + 2) * self.window + self.slack
        if here and cells[base + 1] + amount > budget:
            return (first + 1) * self.window + self.slack
        return now

    def add(self, cells: Cells, base: int, now: int, amount: int) -> None:
        """As `Rule.add`."""
        here, there = self._counted(now, self._roll(cells, base, now))
        cells[base + 1] += amount if here else 0
        cells[base + 2] += amount if there else 0

    def told(self, cells: Cells, base: int, now: int, count: int) -> None:
        """As `Rule.told`."""
        here, there = self._counted(now, self._roll(cells, base, now))
        for cell in (base + 1,) * here + (base + 2,) * there:
            cells[cell] = max(cells[cell], count)

    def used(self, cells: Cells, base: int, now: int) -> int:
        """As `Rule.used`."""
        here, there = self._counted(now, self._roll(cells, base, now))
        return max(int(cells[base + 1]) if here else 0, int(cells[base + 2]) if there else 0)


class SlidingWindow(Rule):
    """So much in any window of that length, whenever it begins (Alpaca: 200 in a minute)."""

    size = SLOTS + 2  # a ring of slots, and the number of the newest

    def __init__(self, limit: int, window_ns: int, slack_ns: int = SLACK_NS, **settings: Any) -> None:
        super().__init__(limit, **settings)
        self.window = window_ns
        self._slot = -(-(window_ns + min(slack_ns, window_ns)) // SLOTS)

    def describe(self) -> str:
        """As `Rule.describe`."""
        return f"{super().describe()} {self.window}"

    def _roll(self, cells: Cells, base: int, now: int) -> int:
        newest, slot = int(cells[base + SLOTS + 1]), now // self._slot
        if slot > newest:
            for number in range(max(newest + 1, slot - SLOTS), slot + 1):
                cells[base + number % (SLOTS + 1)] = 0
            cells[base + SLOTS + 1] = newest = slot
        return newest

    def at(self, cells: Cells, base: int, now: int, amount: int, budget: int) -> int:
        """As `Rule.at`."""
        newest = self._roll(cells, base, now)
        over = self._sum(cells, base) + amount - budget
        if over <= 0:
            return now
        for number in range(newest - SLOTS, newest + 1):
            over -= cells[base + number % (SLOTS + 1)]
            if over <= 0:
                return int((number + SLOTS + 1) * self._slot)
        return now + self.window

    def add(self, cells: Cells, base: int, now: int, amount: int) -> None:
        """As `Rule.add`."""
        cells[base + self._roll(cells, base, now) % (SLOTS + 1)] += amount

    def told(self, cells: Cells, base: int, now: int, count: int) -> None:
        """As `Rule.told`."""
        newest = self._roll(cells, base, now)
        cells[base + newest % (SLOTS + 1)] += max(0, count - self._sum(cells, base))

    def used(self, cells: Cells, base: int, now: int) -> int:
        """As `Rule.used`."""
        self._roll(cells, base, now)
        return self._sum(cells, base)

    def _sum(self, cells: Cells, base: int) -> int:
        return int(sum(cells[base : base + SLOTS + 1]))


class Decaying(Rule):
    """A counter that every request raises and that falls by so much a second (Kraken: 125, falling by 2.34)."""

    size = 2  # when, and the counter then in millionths

    def __init__(self, limit: int, decay_per_s: float, **settings: Any) -> None:
        super().__init__(limit, **settings)
        if decay_per_s <= 0:
            raise ValueError(f"expected a decay above 0 a second, found {decay_per_s}")
        self._decay = max(1, int(decay_per_s * _MICRO))  # millionths a second

    def describe(self) -> str:
        """As `Rule.describe`."""
        return f"{super().describe()} {self._decay}"

    def _roll(self, cells: Cells, base: int, now: int) -> int:
        elapsed = now - int(cells[base])
        if elapsed > 0:
            # whole millionths only, and the time that gave them: nothing is lost to rounding
            fallen = elapsed * self._decay // _S
            left = int(cells[base + 1]) - fallen
            cells[base] = now if left <= 0 else int(cells[base]) + fallen * _S // self._decay
            cells[base + 1] = max(0, left)
        return int(cells[base + 1])

    def at(self, cells: Cells, base: int, now: int, amount: int, budget: int) -> int:
        """As `Rule.at`."""
        over = self._roll(cells, base, now) + (amount - budget) * _MICRO
        return now if over <= 0 else max(now, int(cells[base])) + -(-over * _S // self._decay)

    def add(self, cells: Cells, base: int, now: int, amount: int) -> None:
        """As `Rule.add`."""
        self._roll(cells, base, now)
        cells[base + 1] += amount * _MICRO

    def told(self, cells: Cells, base: int, now: int, count: int) -> None:
        """As `Rule.told`."""
        cells[base + 1] = max(self._roll(cells, base, now), count * _MICRO)

    def used(self, cells: Cells, base: int, now: int) -> int:
        """As `Rule.used`."""
        return -(-self._roll(cells, base, now) // _MICRO)


class RateLimiter:
    """All limits of one account or address at a venue.

    Parameters
    ----------
    rules : sequence of Rule
    shared : path, optional
        File in which the counts are kept, for processes that use the same limits: it is made if it is not there.

    Attributes
    ----------
    passes : memoryview of one int
        What `spare` gives, where a kernel can see it: of the key last looked for, if the rules have keys (`keyed`).

    Raises
    ------
    ValueError
        The file keeps the counts of other rules.
    OSError
        It cannot be made or read.

    Examples
    --------
    >>> limits = RateLimiter([SlidingWindow(10, 60_000_000_000)])
    >>> sum(limits.take(0) <= 0 for _ in range(20)), limits.take(0, cancel=True)
    (8, 0)
    """

    def __init__(self, rules: Sequence[Rule], shared: Path | None = None) -> None:
        self.rules = tuple(rules)
        self.refused = 0  # times that `take` said later
        self.keyed = any(rule.key for rule in self.rules)
        self.passes: memoryview = memoryview(array("q", [0]))
        self._spare_key = ""
        self._users: Users | None = None
        starts, size = [], 2  # digest of the rules, end of a block
        for rule in self.rules:
            starts.append(size)
            size += rule.size
        self._rules = tuple(zip(self.rules, starts, strict=True))
        self._file = -1
        digest = zlib.crc32("\n".join(rule.describe() for rule in self.rules).encode()) + 1
        self._cells: Cells = array("q", bytes(8 * size))
        if shared is not None:
            self._map(shared, size, digest)
        self._cells[0] = digest

    def _map(self, path: Path, size: int, digest: int) -> None:
        if fcntl is None:
            raise OSError("limits cannot be shared between processes on this system")
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # closing gives it up
            if os.fstat(file).st_size == 0:
                os.ftruncate(file, 8 * size)
            if os.fstat(file).st_size == 8 * size:
                cells = memoryview(mmap.mmap(file, 8 * size)).cast("q")
                if cells[0] in (0, digest):
                    self._users = Users(path)
                    self.passes = self._users.passes
                    cells[0] = digest
                    self._cells, self._file = cells, file
                    fcntl.flock(file, fcntl.LOCK_UN)
                    return
            raise ValueError(f"{path} keeps the counts of other limits: end who uses it and delete it")
        finally:
            if self._file < 0:
                os.close(file)

    def close(self) -> None:
        """Let go of the shared file; the counts stay in it."""
        if self._file >= 0:
            os.close(self._file)
            self._cells, self._file = array("q", self._cells), -1
        if self._users is not None:
            self._users.close()
            self._users = None

    def take(self, now: int, cancel: bool = False, weight: int = 1, orders: int = 0, key: str = "") -> int:
        """Use the limits if all of them allow it.

        Parameters
        ----------
        now : int
            ns UTC.
        cancel : bool
            May use the reserve.
        weight, orders : int
            What it costs: weight, and new orders in it.
        key : str
            Of rules that have one.

        Returns
        -------
        int
            `now` if it is taken; else when to try again, ns UTC, and nothing is taken. What is above a limit by itself
            is allowed never (2**63 - 1).
        """
        if self._file < 0:
            return self._take(now, cancel, weight, orders, key)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            return self._take(now, cancel, weight, orders, key)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def spare(self, key: str = "") -> int:
        """How many more orders of weight one `look` has seen to pass, now and at any later time.

        What is used up falls as time passes, until something more is taken or told: then it must be looked at anew.
        """
        return self.passes[0] if not self.keyed or key == self._spare_key else 0

    def look(self, now: int, key: str = "") -> None:
        """Find out how many more orders of weight one would pass; none while somebody else counts in the same file."""
        if self._file < 0:
            self._look(now, key)
            return
        fcntl.flock(self._file, fcntl.LOCK_EX)  # nobody comes meanwhile
        try:
            if self._users is not None and self._users.alone():
                self._look(now, key)
            else:
                self.passes[0] = 0
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _look(self, now: int, key: str) -> None:
        self.passes[0] = 0
        self._spare_key = key
        for count in (AT_ONCE, 1):
            if self._when(now, False, count, count, key, count)[0] <= now:
                self.passes[0] = count
                return

    def _take(self, now: int, cancel: bool, weight: int, orders: int, key: str) -> int:
        self.passes[0] = 0
        when, chosen = self._when(now, cancel, weight, orders, key)
        if when > now:
            self.refused += 1
            return when
        for rule, base, amount in chosen:
            rule.add(self._cells, base, now, amount)
        return now

    def _when(
        self, now: int, cancel: bool, weight: int, orders: int, key: str, requests: int = 1
    ) -> tuple[int, list[tuple[Rule, int, int]]]:
        """The earliest time for a request, and the rules that count it, each with its cells and the amount."""
        cells, when = self._cells, now
        if cells[1] > when:
            when = int(cells[1])
        chosen: list[tuple[Rule, int, int]] = []
        for rule, base in self._rules:
            amount = weight if rule.charge == "weight" else orders if rule.charge == "orders" else requests
            if not amount or (rule.key and rule.key != key):
                continue
            budget = rule.limit if cancel else rule.budget
            if amount > budget:
                return _NEVER, chosen
            when = max(when, rule.at(cells, base, now, amount, budget))
            chosen.append((rule, base, amount))
        return when, chosen

    def blocked(self, until: int) -> None:
        """The venue has said to wait (429 with Retry-After, 418): nothing is allowed before `until`, ns UTC."""
        self._cells[1] = max(self._cells[1], until)
        self.passes[0] = 0

    def told(self, used: Iterable[Used], now: int) -> None:
        """What the venue says is used up, as its answers carry it; raises our counts, never lowers them."""
        self.passes[0] = 0
        for each in used:
            for rule, base in self._rules:
                window = getattr(rule, "window", None)
                if KINDS[rule.charge] == each.kind and (window is None or window == each.interval_s * _S):
                    rule.told(self._cells, base, now, each.count)

    def count(self, key: str, value: int, now: int) -> None:
        """The venue's own counter for a key (Kraken's `ratecounter`)."""
        self.passes[0] = 0
        for rule, base in self._rules:
            if rule.key == key:
                rule.told(self._cells, base, now, value)

    def status(self, now: int) -> list[dict[str, Any]]:
        """Each rule with what is used of it."""
        return [
            {
                "kind": type(rule).__name__,
                "charge": rule.charge,
                "key": rule.key,
                "limit": rule.limit,
                "used": rule.used(self._cells, base, now),
            }
            for rule, base in self._rules
        ]

    @property
    def blocked_until(self) -> int:
        """End of what the venue has forbidden, ns UTC."""
        return int(self._cells[1])
