"""A small venue that writes every history of reports about one order, and every order in which they may arrive."""

from dataclasses import dataclass, replace
from itertools import permutations

from nanotick.core.records import Kind
from nanotick.orders import OrderState, ReportFlag

QTY = 10
PRICE = 1000


@dataclass(frozen=True)
class Venue:
    """The venue's side of one order, and what it has reported so far."""

    qty: int = QTY
    filled: int = 0
    busted: int = 0
    cancelled: int = 0
    acknowledged: bool = False
    gone: bool = False
    cancel: str = "none"  # none, sent, answered
    replace: str = "none"
    replace_qty: int = 0
    bust_left: bool = True
    reports: tuple = ()

    @property
    def leaves(self) -> int:
        return 0 if self.gone else self.qty - self.filled - self.busted

    def say(self, kind: Kind, needs: str = "", **values: int) -> "Venue":
        clock = len(self.reports) + 1
        # a fill's seq is its execution id; the venue's stamps tell answers to replaces apart
        values.setdefault("seq", clock)
        return replace(self, reports=(*self.reports, (kind, needs, {"ts_venue": clock, "ts_recv": 1, **values})))

    def steps(self):
        """Every venue that can follow this one by one report."""
        if not self.acknowledged:
            yield replace(self.say(Kind.ACCEPTED, qty=QTY, price=PRICE), acknowledged=True)
            yield replace(self.say(Kind.REJECTED, word=3), acknowledged=True, gone=True, cancelled=self.qty)
            return
        if self.leaves > 0:
            for part in {min(3, self.leaves), self.leaves}:
                after = replace(self.say(Kind.FILL, qty=part, price=PRICE, word=part), filled=self.filled + part)
                yield replace(after, gone=after.leaves == 0)
        if self.cancel == "sent":
            if self.leaves > 0:
                after = self.say(Kind.CANCELLED, "cancel", qty=self.leaves)
                yield replace(after, cancel="answered", gone=True, cancelled=self.leaves)
            else:
                yield replace(self.say(Kind.CANCEL_REJECTED, "cancel", word=8), cancel="answered")
        if self.replace == "sent":
            if self.leaves > 0 and self.replace_qty > self.filled + self.busted:
                after = self.say(Kind.REPLACED, "replace", qty=self.replace_qty, price=PRICE)
                yield replace(after, replace="answered", qty=self.replace_qty)
            refused = self.say(Kind.CANCEL_REJECTED, "replace", word=8, flags=int(ReportFlag.OF_REPLACE))
            yield replace(refused, replace="answered")
        if self.bust_left:
            for kind, _, values in self.reports:
                if kind == Kind.FILL:
                    undone = self.say(Kind.FILL_BUST, f"fill {values['seq']}", **values)
                    yield replace(
                        undone,
                        filled=self.filled - values["qty"],
                        busted=self.busted + values["qty"],
                        bust_left=False,
                    )


def histories(length: int, cancel: bool, replace_qty: int, busts: bool):
    """Every history of exactly this many reports in which all requests are answered."""
    start = Venue(
        cancel="sent" if cancel else "none",
        replace="sent" if replace_qty else "none",
        replace_qty=replace_qty,
        bust_left=busts,
    )
    level = [start]
    for _ in range(length):
        level = [after for venue in level for after in venue.steps()]
    return [v for v in level if v.cancel != "sent" and v.replace != "sent"]


def deliveries(venue: Venue) -> list[list[tuple]]:
    """The reports in every order, the requests sent as late as they can have been: before the first consequence."""
    out = []
    answered = {needs: i for i, (_, needs, _) in enumerate(venue.reports) if needs in ("cancel", "replace")}
    for order in permutations(enumerate(venue.reports)):
        script, sent, filled = [], set(), set()
        possible = True
        for i, (kind, needs, values) in order:
            if needs.startswith("fill"):
                possible &= int(needs[5:]) in filled
            for request in ("replace", "cancel"):
                if request not in sent and answered.get(request, 99) <= i:
                    script.append((Kind.CANCEL if request == "cancel" else Kind.REPLACE_ORDER, venue.replace_qty))
                    sent.add(request)
            if kind == Kind.FILL:
                filled.add(values["seq"])
            script.append((kind, values))
        if possible:
            out.append(script)
            if sent:  # and the other extreme: everything asked at once, the replace before the cancel
                asked = [(Kind.REPLACE_ORDER, venue.replace_qty)] * ("replace" in sent)
                asked += [(Kind.CANCEL, 0)] * ("cancel" in sent)
                out.append(asked + [line for line in script if line[0] not in (Kind.CANCEL, Kind.REPLACE_ORDER)])
    return out


def row(kind: Kind, ts_venue=0, ts_recv=1, seq=0, price=PRICE, qty=0, word=0, side=0, flags=0) -> tuple:
    return (ts_venue, ts_recv, seq, price, qty, 0, word, 0, 0, int(kind), side, flags)


def script_of(lines: list[tuple]) -> list[tuple]:
    rows = [row(Kind.NEW, qty=QTY, side=1)]
    for kind, values in lines:
        rows.append(row(kind, **values) if isinstance(values, dict) else row(kind, qty=values))
    return rows


def expected_state(venue: Venue) -> OrderState:
    if not venue.gone:
        return OrderState.WORKING
    if venue.filled >= venue.qty:
        return OrderState.FILLED
    rejected = any(kind == Kind.REJECTED for kind, _, _ in venue.reports)
    return OrderState.REJECTED if rejected and not venue.filled else OrderState.CANCELLED
