"""What the panes of the live terminal show of a status."""

import json

import pytest
from rich.console import Console

from nanotick.terminal import panes
from nanotick.terminal.watcher import LogTail
from tests.terminal.sessions import STARTED, account, order, risk_row, status, trade


def drawn(pane, seen, width=100, height=20):
    console = Console(width=width, color_system=None)
    with console.capture() as caught:
        console.print(pane(seen, width, height))
    lines = caught.get().splitlines()
    assert all(len(line) <= width for line in lines)
    return "\n".join(lines)


def test_every_pane_fits_its_width_and_none_fails_on_an_empty_session():
    book = {"symbol": "SPY", "venue": "X", "decimals": 2, "bids": [], "asks": [], "own": []}
    empty = status(trades=[], orders=[], positions=[], latency={}, risk={}, log=[], feeds=[], accounts=[], ladder=book)
    for _, _, pane in panes.PANES:
        for width in (22, 48, 80, 140):
            drawn(pane, status(log=['{"ts":"x"}', "no json"]), width)
            drawn(pane, empty, width)


def test_a_trade_line_has_time_to_the_millisecond_symbol_side_quantity_price_profit_total_and_venue():
    seen = status(trades=[trade(1, "NVDA", -52.5), trade(2, "SPY", 3.0)])
    lines = drawn(panes.trades, seen, 100).splitlines()
    assert lines[1].split()[:3] == ["14:30:02.469", "SPY", "sell"]  # newest first
    assert lines[2].split() == ["14:30:01.234", "NVDA", "buy", "100", "502.02", "-52.50", "+124.45", "ALPACA",
                                "statistical_arbitrage"]  # fmt: skip


def test_profits_are_green_and_losses_red():
    assert panes.money(1.0).style == "green" and panes.money(-1.0).style == "red"


def test_the_header_tells_mode_phase_time_symbols_wins_losses_and_a_pause():
    text = drawn(lambda seen, width, height: panes.header(seen, width), status(), 120)
    for words in ("balanced", "trading", "00:21 of 01:00", "SPY NVDA", "41 won", "17 lost", "P&L +123.45", "risk"):
        assert words in text
    paused = status(strategies=[account("a", 1, True), account("b", 1)])
    assert "paused: a" in drawn(lambda seen, width, height: panes.header(seen, width), paused, 120)


def test_own_orders_stand_beside_their_level_summed():
    book = {"symbol": "SPY", "venue": "X", "decimals": 2, "bids": [[10.0, 5.0], [9.5, 6.0]], "asks": [[10.5, 7.0]],
            "own": [["buy", 9.5, 2.0], ["buy", 9.5, 3.0], ["sell", 10.0, 1.0]]}  # fmt: skip
    lines = drawn(panes.ladder, status(ladder=book), 30, 10).splitlines()
    assert [line.split() for line in lines[1:]] == [["10.50", "7"], ["5", "10.00"], ["5", "6", "9.50"]]


def test_risk_shows_the_accounts_limits_largest_first_and_a_breaker_by_name():
    rows = [risk_row("mm", 100, "DAILY_LOSS"), risk_row("account", 42)]
    lines = drawn(panes.risk, status(risk={"score": 100, "rows": rows, "instruments": []}), 80).splitlines()
    assert lines[1].startswith("gross exposure") and "42%" in lines[1]
    assert "breaker: DAILY_LOSS" in "\n".join(lines)


def test_a_slow_stage_is_marked():
    assert "3.20 s" in drawn(panes.latency, status())


def test_working_orders_show_what_is_filled():
    assert "20" in drawn(panes.orders, status(orders=[order(1)]))


def test_fees_that_count_as_nothing_are_an_account_s_trouble_unless_there_is_a_greater_one():
    seen = status()
    assert "not booked" not in drawn(panes.connections, seen)
    seen["accounts"][0]["fees_unconverted"] = {"BNB": "0.006", "HNT": "1"}
    assert "fees not booked: 0.006 BNB, 1 HNT" in drawn(panes.connections, seen)
    seen["accounts"][0]["reason"] = "no connection"
    assert "no connection" in drawn(panes.connections, seen) and "BNB" not in drawn(panes.connections, seen)


@pytest.mark.parametrize(("share", "full"), [(0.0, 0), (0.001, 1), (0.5, 5), (1.0, 10), (7.0, 10), (-1.0, 0)])
def test_a_bar_never_leaves_its_width(share, full):
    text = panes.bar(share, 10)
    assert text.cell_len == 10
    assert sum(len(text.plain[s.start : s.end]) for s in text.spans if s.style != "grey30") == full


def test_the_logs_end_is_followed_through_growth_and_rotation(tmp_path):
    path = tmp_path / "nanotick.log"
    tail = LogTail(path)
    assert tail.read() == []
    path.write_text("a\nb\nhal")
    assert tail.read() == ["a", "b"]
    with path.open("a") as file:
        file.write("f\n")
    assert tail.read() == ["a", "b", "half"]
    path.rename(tmp_path / "old")
    path.write_text("new\n")
    assert tail.read()[-1] == "new"
    path.write_text("x" * 200_000 + "\nlast\n")
    assert tail.read()[-1] == "last"


def test_a_log_line_is_read_and_a_broken_one_shown_as_it_is():
    line = json.dumps({"ts": "2026-03-02T14:30:01.123456789Z", "level": "error", "message": "lost", "venue": "x"})
    assert panes.log_line(line).plain == "14:30:01.123 lost venue=x"
    assert panes.log_line("not json").plain == "not json"
    assert STARTED
