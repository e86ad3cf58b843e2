"""Live trading in virtual time under drawn faults: the real engine, journal, codecs and trader, and a small venue.

One seed is one run: which faults there are, when they strike, what the market does and what the strategy decides. The
invariants of the engine's book of orders are looked at after every event, and at the end, with the faults over,
everything must settle.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from nanotick.core.journal_kernel import FAILED
from nanotick.core.journal_reader import JournalReader
from nanotick.core.memory import store_release
from nanotick.core.records import COMMAND, Kind
from nanotick.orders.records import FILLED, OrderState
from nanotick.venues.faulty import Faults, Mischief
from nanotick.venues.runner import Phase
from nanotick.venues.virtual import SECOND, Latency, VirtualNetwork
from nanotick.venues.working import TraderState
from tests.venues.small_alpaca import SmallAlpaca
from tests.venues.trading import MID, TABLE, Engine, Scribbler, alpaca

ADDRESS = "paper-api.alpaca.markets"
SETTLED_NS = 30 * SECOND
_FILL, _BUST, _HOLDING = int(Kind.FILL), int(Kind.FILL_BUST), int(Kind.HOLDING)


class Broken(AssertionError):
    """An invariant does not hold."""


class LiveSimulation:
    """One run.

    Parameters
    ----------
    seed : int
    faults : Faults, optional
        Drawn by the seed if not given.
    hours : float
        Of virtual time under faults.

    Attributes
    ----------
    table : InstrumentTable
        Its first instrument is traded.
    settled_ns : int
        By when everything must stand as at the venue, from the last fault.
    """

    table = TABLE
    settled_ns = SETTLED_NS

    def __init__(self, seed: int, faults: Faults | None = None, hours: float = 1.0) -> None:
        source = random.Random(seed)
        self.seed, self.hours = seed, hours
        self.faults = Faults.draw(source) if faults is None else faults
        self.network = VirtualNetwork(seed, faults=self.faults)
        self.network.latency = Latency(int(source.uniform(0.1, 50) * 1e6), int(source.uniform(0.1, 20) * 1e6))
        self.venue = self._open_venue(self.network.host("venue"), source)
        self.item = self.table[0]
        self.directory = Path(tempfile.mkdtemp(prefix="nanotick-simulation-"))
        self.journal = self.directory / "journal"
        self.offset = 0
        self.host = self.network.host("us")
        self.engine = self._open_engine()
        self.trader: Any = None
        self.up = True
        self.crashes = 0
        self.everything_sent: list[bytes] = []
        self.booked: dict[tuple[int, int], tuple[int, int, int]] = {}
        self._held = self._adopted = 0
        self._seen = (0, 0)
        self._states: dict[int, int] = {}
        self._reports = self._commands = 0
        self._source = source
        self._mid = MID
        self._quoting = True
        self._start_trader()
        self._quote()
        self.mischief = Mischief(self.network, lambda: self.host, {"crashes": self.crash, "disk": self.disk_fails})

    def _open_venue(self, there: Any, source: random.Random) -> Any:
        late, lag = source.choice([0, 0.05, 1]), source.choice([0, 1, 3])
        venue = SmallAlpaca(there, int(late * SECOND), lag * SECOND)
        self.network.serve(ADDRESS, venue, there)
        venue.live(self.seed, int(source.uniform(1, 10) * SECOND))
        return venue

    def _open_engine(self) -> Engine:
        return Engine(Scribbler(), self.host, self.journal, self.seed)

    # --- our side -----------------------------------------------------------------------------------------------------

    def _start_trader(self, resumed: bool = False) -> None:
        self.trader = alpaca(self.engine, self.host)
        if resumed:
            self.trader.resume(self.engine.open_orders(), self.engine.session.now)
        self.engine.runner.start()

    def _quote(self) -> None:
        if not self._quoting:
            return
        if self.up:
            self._mid = max(MID // 2, self._mid + self._source.randint(-3, 3))
            self._guarded(lambda: self.engine.quote(self._mid - 1, self._mid + 1))
        self.network.schedule(self.network.time + int(self._source.expovariate(1 / 4) * SECOND), self._quote)

    def _guarded(self, call: Any) -> None:
        call()
        if self.up and self.engine.runner.phase == Phase.FAILED:
            self.crash()

    def crash(self) -> None:
        """Drop the process without a word, and begin again from its journal a while later."""
        if not self.up:
            return
        self.crashes += 1
        self._look()
        self.everything_sent += [one.tobytes() for one in self.engine.sent]
        self.up = False
        self.host.crash()
        session = self.engine.session
        if session.journal is not None:
            session.row["journal_address"] = 0
            session.journal.close()
        self.network.schedule(self.network.time + int(self._source.random() * 20 * SECOND), self._resume)

    def _resume(self) -> None:
        offset = self.host.offset
        self.host = self.network.host("us")
        self.host.step_clock(offset)
        self.engine = Engine.again(self.journal, self.host)
        self._reports = self._commands = 0
        self._rebook()
        self.up = True
        self._start_trader(resumed=True)

    def disk_fails(self) -> None:
        """The journal's next record fails."""
        if self.up and self.engine.session.journal is not None:
            store_release(self.engine.session.journal.address + FAILED, 1)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Book the new reports a second time, in plain Python, and follow the states."""
        engine = self.engine
        for row in engine.reports[self._reports :]:
            kind, ident = row[9], row[5]
            self._book(row)
            order = engine.order(ident)
            if order is not None:
                self._follow(ident, int(order["state"]), kind)
        self._reports = len(engine.reports)
        for one in engine.sent[self._commands :]:
            if int(one["kind"]) == int(Kind.NEW):
                order = engine.order(int(one["id"]))
                if order is None or not int(order["released"]):
                    raise Broken(f"order {int(one['id'][0])} was sent without having passed risk")
        self._commands = len(engine.sent)

    def _book(self, row: Any) -> None:
        kind, key = row[9], (row[5], row[2])
        if kind == _FILL and key not in self.booked:
            self.booked[key] = (row[3], row[4], row[10])
            self._held += row[4] * row[10]
        elif kind == _HOLDING:
            self._adopted += row[4]
        elif kind == _BUST:
            _, qty, side = self.booked.pop(key)
            self._held -= qty * side

    def _rebook(self) -> None:
        """What a failing journal did not take was not stepped either: the fills are those that it has."""
        self.booked.clear()
        self._held = self._adopted = 0
        for records in JournalReader(self.journal).batches():
            for row in records[np.isin(records["kind"], (_FILL, _BUST, _HOLDING))].tolist():
                self._book(row)

    def _follow(self, ident: int, state: int, kind: int) -> None:
        before = self._states.get(ident, 0)
        self._states[ident] = state
        if before >= FILLED and state != before and kind not in (_FILL, _BUST):
            raise Broken(f"order {ident} went from {OrderState(before).name} to {OrderState(state).name}")

    def check(self) -> None:
        """The invariants, after an event."""
        if not self.up:
            return
        engine, venue = self.engine, self.venue
        seen = engine.session.sequence, venue.changes
        if seen == self._seen:
            return
        self._seen = seen
        self._look()
        position, held = engine.position(), self._held + self._adopted
        if position != held:
            raise Broken(f"position {position}, fills {held}")
        if len(self.booked) > len(venue.executions):
            raise Broken("a fill was booked that never happened")
        buys, sells = engine.exposure()
        true = self._true()
        open_there = venue.open_orders()
        bought = true + sum(self._left(o) for o in open_there if o.side > 0)
        sold = true - sum(self._left(o) for o in open_there if o.side < 0)
        if position + buys < bought:
            raise Broken(f"at worst {position + buys} is counted, the venue may come to {bought}")
        if position - sells > sold:
            raise Broken(f"at worst {position - sells} is counted, the venue may come to {sold}")
        for row in engine.open_orders():
            if int(row["filled_qty"]) > max(int(row["qty"]), int(row["pending_qty"])):
                raise Broken(f"order {int(row['id'])}: {int(row['filled_qty'])} filled of {int(row['qty'])}")

    def _true(self) -> int:
        """The position at the venue, without what the engine has not been told to take in."""
        return int(self.venue.held.get(self.item.symbol, 0))

    def _left(self, order: Any) -> int:
        """What is left of an order at the venue, in the engine's units."""
        return self.item.qty(order.qty) - self.item.qty(order.filled)

    def _settled(self) -> str:
        """What is not settled; empty if everything is."""
        if not self.up:
            return "our process is down"
        trader, engine, venue = self.trader, self.engine, self.venue
        if trader.state != TraderState.READY:
            return f"trader is {trader.state.name}: {trader.reason}"
        if trader.unknown:
            return f"{trader.unknown} orders are being inquired about"
        held = venue.held.get(self.item.symbol, 0)
        if engine.position() != held:
            return f"position {engine.position()}, at the venue {held}"
        there = {trader.ids.decode(o.client): o for o in venue.open_orders()}
        here = {int(row["id"]): row for row in engine.open_orders()}
        if set(there) != set(here):
            return f"open at the venue {sorted(map(str, there))}, here {sorted(map(str, here))}"
        for ident, row in here.items():
            order = there[ident]
            if int(row["state"]) != OrderState.WORKING:
                return f"order {ident} is {OrderState(int(row['state'])).name}"
            if int(row["qty"]) - int(row["filled_qty"]) != self._left(order):
                return f"order {ident}: {row['filled_qty']} of {row['qty']}, at the venue {order.filled} of {order.qty}"
            if self.item.price(order.price) != int(row["price"]):
                return f"order {ident}: price {row['price']}, at the venue {order.price}"
        return ""

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Go through it; gives figures. Raises Broken."""
        try:
            return self._run()
        finally:
            self.close()

    def close(self) -> None:
        """Forget it all."""
        journal, self.engine.session.journal = self.engine.session.journal, None
        if journal is not None:
            self.engine.session.row["journal_address"] = 0
            journal.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _step(self, until: int) -> None:
        network, more = self.network, True

        def one() -> None:
            nonlocal more
            more = network.step(until)

        while more:
            self._guarded(one)
            self.check()
        network.time = max(network.time, until)

    def _run(self) -> dict[str, Any]:
        network = self.network
        self._step(network.time + int(self.hours * 3600 * SECOND))
        self.mischief.stop()
        network.heal()
        self._quoting = False
        if not self.up:
            self._step(network.time + 20 * SECOND)
        healed = network.time
        while self._settled() or network.time == healed:
            if network.time - healed > self.settled_ns:
                raise Broken(f"not settled {self.settled_ns // SECOND} s after the last fault: {self._settled()}")
            self._step(network.time + SECOND // 10)
        took = network.time - healed
        self.engine.runner.kill()
        self._step(network.time + self.settled_ns)
        if self.venue.open_orders() or self.engine.open_orders() or self._settled():
            raise Broken(f"after the kill: {self._settled()}, {[o.client for o in self.venue.open_orders()]}")
        self._check_journal()
        self._check_cash()
        self._check_names()
        orders = len(self.venue.orders)
        return {
            "seed": self.seed, "events": network.events, "orders": orders, "fills": len(self.venue.executions),
            "crashes": self.crashes, "settled_s": took / SECOND, "digest": network.digest,
            "mischief": self.mischief.done, "unknown": self.trader.counts.unknown, "faults": self.faults.shown(),
        }  # fmt: skip

    def _check_cash(self) -> None:
        flow = sum(int(v) for v in self.engine.local.portfolio.positions.view["flow"][:1])
        expected = -sum(price * qty * side for price, qty, side in self.booked.values())
        there = self.venue.cash().scaleb(self.item.price_decimals + self.item.qty_decimals)
        if flow != expected or abs(expected - there) > self._rounding():
            raise Broken(f"cash {flow}, by the fills {expected}, at the venue {there}")

    def _rounding(self) -> int:
        """How far the prices of fills may be from the venue's, times their quantities."""
        return 0

    def _check_names(self) -> None:
        """No new order has reached the venue twice."""
        placed = [o.client for o in self.venue.orders.values() if self.trader.ids.decode(o.client) is not None]
        new = [client for client in placed if not self.trader.ids.revision(client)]
        if len(new) != len(set(new)):
            raise Broken("an order was placed twice")
        sent = {int(np.frombuffer(one, COMMAND)["id"][0]) for one in self._all_sent() if one[61] == int(Kind.NEW)}
        if stray := [client for client in placed if self.trader.ids.decode(client) not in sent]:
            raise Broken(f"{len(stray)} orders at the venue were never sent: {stray[:3]}")

    def _all_sent(self) -> list[bytes]:
        return self.everything_sent + [one.tobytes() for one in self.engine.sent]

    def _check_journal(self) -> None:
        records = np.concatenate(list(JournalReader(self.journal).batches()))
        # when the journal has failed cancels are sent all the same
        orders = (int(Kind.NEW), int(Kind.REPLACE_ORDER))
        written = {row.tobytes() for row in records[records["kind"] >= int(Kind.NEW)].view(COMMAND)}
        missing = [one for one in self._all_sent() if one not in written and one[61] in orders]
        if missing:
            raise Broken(f"{len(missing)} commands were sent that the journal does not have")


__all__ = ["Broken", "Faults", "LiveSimulation"]
