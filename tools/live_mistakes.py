"""The mistakes that `tools.mutate_live` puts into the order code: what each is, its module, and a replacement of text.

The text to be replaced occurs once in the module; a mistake may have several replacements where one barrier stands
behind another (then each alone is harmless, which is what the second barrier is for).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Parameters
    ----------
    name : str
        What the code does wrong with it.
    changes : mapping of str to tuple of (old, new)
        By module.
    tests : tuple of str
        Arguments of pytest, or a module of ours with its own: checks made for the like of it, tried first.
    """

    name: str
    changes: Mapping[str, tuple[tuple[str, str], ...]]
    tests: tuple[str, ...] = ()

    @property
    def kernel(self) -> bool:
        """Whether a kernel has it: compiled code would come from the cache, without the mistake."""
        return any(module.startswith("nanotick.orders.") for module in self.changes)


def _one(name: str, module: str, old: str, new: str, *tests: str) -> Mistake:
    return Mistake(name, {f"nanotick.{module}": ((old, new),)}, tests)


MISTAKES: tuple[Mistake, ...] = (
    _one("an older name displaces a newer one", "venues.trader_base",
     "if not client or not self.renames or self.revision(client) >= self.revision(working.client):", "if True:"),
    _one("a rename is not noted as told", "venues.trader_base",
     "working.told = max(working.told, self.revision(report.client))", "pass"),
    _one("fresh names of a killed session are not asked for", "venues.trader_base",
     "working.newest = AHEAD if self.renames else 0", "working.newest = 0"),
    Mistake("fills made while we were down are not asked for", {"nanotick.venues.trader_base": (
        ("self._since = min(self._since, since)", "self._since = self.host.now()"),
        ("                self._since = min(self._since, working.since)\n", ""),
    )}, ("tests/venues/test_simulation.py -k killed_often",)),
    _one("what is on its way is judged as if it were not", "venues.trader_base",
     "return young or any(sent.working is working for sent in self._sent.values())", "return False"),
    _one("only the present name is asked for", "venues.trader_base", "range(working.newest, first, -1)", "range(0)"),
    _one("venue ids are not remembered", "venues.trader_base", "self._by_order[order] = working\n", "pass\n"),
    _one("an order that is open although it was given up is left", "venues.trader_base",
     "self.stray(working, report.order)", "pass"),
    _one("orders leave before the account is compared", "venues.trader",
     "if self.state != TraderState.READY and not command.flags & _CLOSE_ALL:", "if False:"),
    _one("a cancel that waits for the venue's id is dropped", "venues.trader",
     "working.cancel_wanted = True ", "working.cancel_wanted = False "),
    _one("unknown outcomes are not asked about", "venues.trader", "if unknown or lost:", "if lost:"),
    _one("a cancel that comes too late is not asked about", "venues.trader", "if unknown or lost:", "if unknown:"),
    _one("a cancel refused for its rate is not sent again", "venues.trader",
     "self.host.at(until, lambda: self._again(working))", "pass"),
    _one("a good answer is no acknowledgement, and young orders are looked at a minute later", "venues.trader",
     "if sent.kind == _NEW and status.open and not reports:", "if False:"),
    _one("nothing is compared after a reconnection", "venues.trader",
     "                working.inquiry.hurry()\n        self.reconcile()", "                working.inquiry.hurry()\n"
     "        self._state(TraderState.READY)"),
    _one("an open order that has ended here is not cancelled", "venues.trader",
     "self.host.at(self.host.now(), lambda: self.ask_about(asked, working, lambda told: None))", "pass"),
    _one("strange ids in the history are not resolved", "venues.trader",
     "self._resolve(list(dict.fromkeys(strange)), lambda good: done(found if good else None))", "done(found)"),
    _one("one not-found is believed", "venues.inquiry", "LEAST_ANSWERS = 3\nLEAST_TIME = 15 * SECOND",
     "LEAST_ANSWERS = 1\nLEAST_TIME = 0"),
    _one("the state of an old name is believed", "venues.inquiry", "if client != working.client:", "if False:"),
    _one("a replace on its way is not waited for", "venues.inquiry",
     "return newer and (replacing or not status.open)", "return False"),
    _one("fills of a found order are not fetched", "venues.inquiry",
     'if filled > int(row["filled_qty"]) + int(row["busted_qty"]):', "if False:"),
    _one("an order found ended takes nothing off", "venues.inquiry",
     'ended.qty = ALL_OF_IT if ended.kind == Kind.CANCELLED else "0"', 'ended.qty = "0"'),
    _one("an inquiry ends when nothing is pending, whatever it is about", "venues.inquiry",
     'or (not self.sure and int(row["pending"]) == 0)', 'or int(row["pending"]) == 0'),
    _one("the refusal of a replace is older than its last answer", "venues.inquiry",
     'told.ts_venue = max(base.ts_venue, int(row["answer_ts"]) + 1)', "told.ts_venue = base.ts_venue"),
    _one("a history that lags is believed", "venues.inquiry",
     "self._next()  # the history lags the order's state", "self._conclude(status)"),
    _one("an order that is not there is cancelled, not rejected", "venues.inquiry",
     "kind = Kind.CANCELLED if known else Kind.REJECTED", "kind = Kind.CANCELLED"),
    _one("what is open at the venue says nothing", "venues.inquiry",
     "told.flags = int(ReportFlag.STATUS)", "told.flags = 0"),
    _one("missed fills are fetched and dropped", "venues.reconcile",
     "self.trader.emit(fills, self.trader.host.now())", "pass"),
    _one("orders that are missing at the venue are left", "venues.reconcile",
     "                self.inquired += 1\n                trader.inquire(working, _NEW, True)\n\n",
     "                pass\n\n"),
    _one("fills are asked for from too late", "venues.reconcile", "OVERLAP = 5 * SECOND", "OVERLAP = -90 * SECOND"),
    _one("positions never differ", "venues.reconcile", "for number, qty in differs.items() if qty}",
     "for number, qty in differs.items() if False}"),
    _one("orders that are open there and differ here are left", "venues.reconcile",
     "if not doubtful or working.inquiry is not None:", "if True:"),
    _one("foreign orders are not seen", "venues.reconcile", "self.foreign.append(status)", "pass"),
    _one("a lost stream is not told", "venues.private", 'self._trader.disconnected(self.error or "stopped")', "pass"),
    _one("a lost connection is not opened again", "venues.feed", "if again_wanted:", "if False:"),
    _one("a connection that never gets ready is waited for", "venues.feed", "if now >= late:", "if False:",
     "tests/venues/test_feed.py -k not_ready_in_time"),
    _one("the venue's clock is taken for ours", "venues.rest", "self.clock_ahead = now - there - SECOND // 2", "pass"),
    _one("Retry-After is not heeded", "venues.rest",
     "self.limiter.blocked(now + min(int(value), _LONGEST_WAIT_S) * SECOND)", "pass"),
    _one("no answer is a refusal", "wire.reports", "return Report(int(Kind.UNKNOWN), symbol",
     "return Report(int(Kind.REJECTED), symbol"),
    _one("5xx is a refusal", "wire.reports", "Outcome.REFUSED if 400 <= status < 500 else Outcome.UNKNOWN",
     "Outcome.REFUSED"),
    _one("all fills have one number", "wire.reports", "seq = ident(report.execution)", "seq = 1"),
    _one("a cancel that does not say how much takes nothing off", "wire.reports", "            qty = -1\n",
     "            qty = 0\n"),
    _one("fills have the wrong side", "wire.alpaca_trading",
     "        fields.side(order),\n        told=event,", "        -fields.side(order),\n        told=event,"),
    _one("partial fills are not heard", "wire.alpaca_trading", '("fill", "partial_fill", "trade_bust")',
     '("fill", "trade_bust")'),
    _one("a cancel says nothing of what is left", "wire.alpaca_trading", "report.qty = _left(order)",
     'report.qty = "0"'),
    _one("a fill has another number in the history", "wire.alpaca_trading", '.rpartition("::")[2]',
     '.rpartition("::")[0]'),
    _one("a replaced order is a new one", "wire.alpaca_trading",
     'int(Kind.REPLACED if order.get("replaces") else Kind.ACCEPTED)', "int(Kind.ACCEPTED)"),
    _one("a missing order is refused for another reason", "wire.alpaca_trading",
     "return outcome, RejectReason.UNKNOWN_ORDER", "return outcome, RejectReason.OTHER"),
    _one("fills are not told apart", "orders.reports", "    if known != 0:\n        same =",
     "    if False:\n        same ="),
    _one("late fills are not booked", "orders.reports", "    if not ended:\n        count_open(orders, order, -1)\n"
     "    order.filled_qty = add", "    if ended:\n        return _LATE\n    count_open(orders, order, -1)\n"
     "    order.filled_qty = add"),
    _one("an unknown outcome leaves nothing pending", "orders.reports",
     "order.pending = order.pending | _UNKNOWN\n    return",
     "order.pending = 0\n    return"),
    _one("a replace forgets what is filled", "orders.reports", "order.qty = max(event.qty, done)", "order.qty = done"),
    _one("a pending replace does not count", "orders.open_list",
     "if order.pending & _REPLACE != 0 and order.pending_qty > order.qty:", "if False:"),
    _one("old answers count", "orders.reports", "    return event.ts_venue < order.answer_ts\n", "    return False\n",
     "tests/orders/test_reports.py -k older_answer"),
)  # fmt: skip
