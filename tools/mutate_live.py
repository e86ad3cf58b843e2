"""Put one mistake at a time into a copy of the order code, and count how many of them the simulated hours notice.

    python -m tools.mutate_live                    # all of them, about fifteen minutes
    python -m tools.mutate_live --only 12 --keep   # one, and leave the copy to look at

A mistake is a replacement of source text. Each runs in a process of its own, interpreted, first over a few short seeds,
then through the tests of orders in flight, then over longer seeds; whatever fails has noticed it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LEAST_SHARE = 0.95
TIMEOUT_S = 400
TESTS = ("tests/venues/test_orders_in_flight.py", "tests/venues/test_order_interleavings.py")
SLOW = "not day and not six and not ten_thousand and not sample and not 4 and not bounded"
STAGES = (
    ("-m", "tools.simulate_live", "--count", "8", "--hours", "0.3"),
    ("-m", "pytest", *TESTS, "-q", "-x", "-p", "no:cacheprovider", "-k", SLOW),
    ("-m", "tools.simulate_live", "--seed", "100", "--count", "12", "--hours", "0.5"),
)

V, W, R = "venues/", "wire/", "orders/"
MUTATIONS: tuple[tuple[str, str, str, str], ...] = (
    ("an older name displaces a newer one", V + "trader_base.py",
     "if not client or not self.renames or self.revision(client) >= self.revision(working.client):", "if True:"),
    ("a rename is not noted as told", V + "trader_base.py",
     "working.told = max(working.told, self.revision(report.client))", "pass"),
    ("fresh names of a killed session are not asked for", V + "trader_base.py",
     "working.newest = AHEAD if self.renames else 0", "working.newest = 0"),
    ("fills made while we were down are not asked for", V + "trader_base.py",
     "self._since = min(self._since, since)", "self._since = self.host.now()"),
    ("what is on its way is judged as if it were not", V + "trader_base.py",
     "return young or any(sent.working is working for sent in self._sent.values())", "return False"),
    ("only the present name is asked for", V + "trader_base.py", "range(working.newest, first, -1)", "range(0)"),
    ("venue ids are not remembered", V + "trader_base.py", "self._by_order[order] = working\n", "pass\n"),
    ("an order that is open although it was given up is left", V + "trader_base.py",
     "self.stray(working, report.order)", "pass"),
    ("orders leave before the account is compared", V + "trader.py",
     "if self.state != TraderState.READY and not command.flags & _CLOSE_ALL:", "if False:"),
    ("a cancel that waits for the venue's id is dropped", V + "trader.py",
     "working.cancel_wanted = True ", "working.cancel_wanted = False "),
    ("unknown outcomes are not asked about", V + "trader.py", "if unknown or lost:", "if lost:"),
    ("a cancel that comes too late is not asked about", V + "trader.py", "if unknown or lost:", "if unknown:"),
    ("a cancel refused for its rate is not sent again", V + "trader.py",
     "self.host.at(until, lambda: self._again(working))", "pass"),
    ("a good answer is no acknowledgement, and young orders are looked at a minute later", V + "trader.py",
     "if sent.kind == _NEW and status.open and not reports:", "if False:"),
    ("nothing is compared after a reconnection", V + "trader.py",
     "                working.inquiry.hurry()\n        self.reconcile()", "                working.inquiry.hurry()\n"
     "        self._state(TraderState.READY)"),
    ("an open order that has ended here is not cancelled", V + "trader.py",
     "self.host.at(self.host.now(), lambda: self.ask_about(asked, working, lambda told: None))", "pass"),
    ("strange ids in the history are not resolved", V + "trader.py",
     "self._resolve(list(dict.fromkeys(strange)), lambda good: done(found if good else None))", "done(found)"),
    ("one not-found is believed", V + "inquiry.py", "LEAST_ANSWERS = 3\nLEAST_TIME = 15 * SECOND",
     "LEAST_ANSWERS = 1\nLEAST_TIME = 0"),
    ("the state of an old name is believed", V + "inquiry.py", "if client != working.client:", "if False:"),
    ("a replace on its way is not waited for", V + "inquiry.py",
     "return newer and (replacing or not status.open)", "return False"),
    ("fills of a found order are not fetched", V + "inquiry.py",
     'if filled > int(row["filled_qty"]) + int(row["busted_qty"]):', "if False:"),
    ("an order found ended takes nothing off", V + "inquiry.py",
     'ended.qty = ALL_OF_IT if ended.kind == Kind.CANCELLED else "0"', 'ended.qty = "0"'),
    ("an inquiry ends when nothing is pending, whatever it is about", V + "inquiry.py",
     'or (not self.sure and int(row["pending"]) == 0)', 'or int(row["pending"]) == 0'),
    ("the refusal of a replace is older than its last answer", V + "inquiry.py",
     'told.ts_venue = max(base.ts_venue, int(row["answer_ts"]) + 1)', "told.ts_venue = base.ts_venue"),
    ("a history that lags is believed", V + "inquiry.py",
     "self._next()  # the history lags the order's state", "self._conclude(status)"),
    ("an order that is not there is cancelled, not rejected", V + "inquiry.py",
     "kind = Kind.CANCELLED if known else Kind.REJECTED", "kind = Kind.CANCELLED"),
    ("what is open at the venue says nothing", V + "inquiry.py",
     "told.flags = int(ReportFlag.STATUS)", "told.flags = 0"),
    ("missed fills are fetched and dropped", V + "reconcile.py",
     "self.trader.emit(fills, self.trader.host.now())", "pass"),
    ("orders that are missing at the venue are left", V + "reconcile.py",
     "                self.inquired += 1\n                trader.inquire(working, _NEW, True)\n\n",
     "                pass\n\n"),
    ("fills are asked for from too late", V + "reconcile.py", "OVERLAP = 5 * SECOND", "OVERLAP = -90 * SECOND"),
    ("positions never differ", V + "reconcile.py", "for number, qty in differs.items() if qty}",
     "for number, qty in differs.items() if False}"),
    ("orders that are open there and differ here are left", V + "reconcile.py",
     "if not doubtful or working.inquiry is not None:", "if True:"),
    ("foreign orders are not seen", V + "reconcile.py", "self.foreign.append(status)", "pass"),
    ("a lost stream is not told", V + "private.py", 'self._trader.disconnected(self.error or "stopped")', "pass"),
    ("a lost connection is not opened again", V + "feed.py", "if again_wanted:", "if False:"),
    ("a connection that never gets ready is waited for", V + "feed.py", "if now >= late:", "if False:"),
    ("the venue's clock is taken for ours", V + "rest.py", "self.clock_ahead = now - there - SECOND // 2", "pass"),
    ("Retry-After is not heeded", V + "rest.py",
     "self.limiter.blocked(now + min(int(value), _LONGEST_WAIT_S) * SECOND)", "pass"),
    ("no answer is a refusal", W + "reports.py", "return Report(int(Kind.UNKNOWN), symbol",
     "return Report(int(Kind.REJECTED), symbol"),
    ("5xx is a refusal", W + "reports.py", "Outcome.REFUSED if 400 <= status < 500 else Outcome.UNKNOWN",
     "Outcome.REFUSED"),
    ("all fills have one number", W + "reports.py", "seq = ident(report.execution)", "seq = 1"),
    ("a cancel that does not say how much takes nothing off", W + "reports.py", "            qty = -1\n",
     "            qty = 0\n"),
    ("fills have the wrong side", W + "alpaca_trading.py",
     "        fields.side(order),\n        told=event,", "        -fields.side(order),\n        told=event,"),
    ("partial fills are not heard", W + "alpaca_trading.py", '("fill", "partial_fill", "trade_bust")',
     '("fill", "trade_bust")'),
    ("a cancel says nothing of what is left", W + "alpaca_trading.py", "report.qty = _left(order)", 'report.qty = "0"'),
    ("a fill has another number in the history", W + "alpaca_trading.py", '.rpartition("::")[2]',
     '.rpartition("::")[0]'),
    ("a replaced order is a new one", W + "alpaca_trading.py",
     'int(Kind.REPLACED if order.get("replaces") else Kind.ACCEPTED)', "int(Kind.ACCEPTED)"),
    ("a missing order is refused for another reason", W + "alpaca_trading.py",
     "return outcome, RejectReason.UNKNOWN_ORDER", "return outcome, RejectReason.OTHER"),
    ("fills are not told apart", R + "reports.py", "    if known != 0:\n        same =",
     "    if False:\n        same ="),
    ("late fills are not booked", R + "reports.py", "    if not ended:\n        count_open(orders, order, -1)\n"
     "    order.filled_qty = add", "    if ended:\n        return _LATE\n    count_open(orders, order, -1)\n"
     "    order.filled_qty = add"),
    ("an unknown outcome leaves nothing pending", R + "reports.py",
     "order.pending = order.pending | _UNKNOWN\n    return",
     "order.pending = 0\n    return"),
    ("a replace forgets what is filled", R + "reports.py", "order.qty = max(event.qty, done)", "order.qty = done"),
    ("a pending replace does not count", R + "open_list.py",
     "if order.pending & _REPLACE != 0 and order.pending_qty > order.qty:", "if False:"),
    ("old answers count", R + "reports.py", "    return event.ts_venue < order.answer_ts\n", "    return False\n"),
)  # fmt: skip


def copy(directory: Path, mutation: tuple[str, str, str, str]) -> None:
    """The sources and tests with one mistake in them."""
    for name in ("src", "tests", "tools"):
        shutil.copytree(REPOSITORY / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml",):
        shutil.copy(REPOSITORY / name, directory / name)
    _, path, old, new = mutation
    file = directory / "src" / "nanotick" / path
    text = file.read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{path}: expected this text once, found it {text.count(old)} times:\n{old}")
    file.write_text(text.replace(old, new))


def noticed(directory: Path) -> str:
    """Which stage fails; empty if all pass."""
    environment = {**os.environ, "PYTHONPATH": str(directory / "src"), "NANOTICK_INTERPRET": "1"}
    for number, stage in enumerate(STAGES, 1):
        try:
            done = subprocess.run(
                [sys.executable, *stage], cwd=directory, env=environment, capture_output=True, timeout=TIMEOUT_S,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"stage {number}, by never ending"
        if done.returncode:
            return f"stage {number}"
    return ""


def main() -> int:
    """Try the mistakes; 1 if too many pass unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of mistakes, from 1")
    parser.add_argument("--keep", action="store_true", help="leave the copies where they are")
    asked = parser.parse_args()
    caught = tried = 0
    for number, mutation in enumerate(MUTATIONS, 1):
        if asked.only and number not in asked.only:
            continue
        directory = Path(tempfile.mkdtemp(prefix=f"nanotick-mutation-{number}-"))
        began = time.monotonic()
        try:
            copy(directory, mutation)
            found = noticed(directory)
        finally:
            if not asked.keep:
                shutil.rmtree(directory, ignore_errors=True)
        tried += 1
        caught += bool(found)
        print(f"{number:3d} {found or 'UNNOTICED':10s} {time.monotonic() - began:5.0f} s  {mutation[0]}", flush=True)
    print(f"{caught} of {tried} noticed")
    return 0 if caught >= LEAST_SHARE * tried else 1


if __name__ == "__main__":
    raise SystemExit(main())
