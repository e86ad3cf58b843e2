"""One equity over several settlement currencies, and days and hours by the market's own clock."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import nanotick as nt
from nanotick.core.instruments import Contract, Instrument, InstrumentTable
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind
from nanotick.engine.local import Capacity
from nanotick.research.run_config import RunConfigError, config_from, with_rates
from nanotick.risk.limits import RiskLimits

SECOND = 1_000_000_000
SMALL = Capacity(book_orders=1 << 12, book_levels=1 << 12, orders=1 << 10, output=1 << 14, arena_bytes=2 << 30)
TABLE = InstrumentTable(
    [
        Instrument("AAA", "XNAS", currency="USD"),
        Instrument("BBB", "BINA", currency="USDT"),
        Instrument(
            "XBT", "DERI", price_decimals=1, tick_size="0.5", contract=Contract.INVERSE, multiplier="1", currency="BTC"
        ),
    ]
)


class BuyOnce(nt.Strategy):
    """Buy some of everything at the first sight of it, and hold it."""

    def on_book(self, ctx):  # type: ignore[no-untyped-def]
        if ctx.position() == 0 and ctx.open_orders() == 0:
            ctx.buy(100, ctx.best_ask(), 2)


def quotes(start: int, hours: float, step_s: int = 60) -> Any:
    """Quotes of all three, drifting up."""
    times = start + np.arange(int(hours * 3_600 / step_s), dtype=np.int64) * step_s * SECOND
    rows = np.zeros((len(times), 3), EVENT)
    for number, price in enumerate((10_000, 20_000, 600_000)):
        drift = np.arange(len(times)) * 5
        row = rows[:, number]
        row["instrument"], row["kind"] = number, int(Kind.QUOTE)
        row["price"], row["id"], row["qty"], row["word"] = price + drift - 10, price + drift, 1_000, 1_000
        row["ts_venue"] = row["ts_recv"] = times + number
    flat = rows.reshape(-1)
    flat["flags"] = BOTH_SIDES | int(Flag.LAST)
    return flat


def run(start: int = 1_780_000_000 * SECOND, hours: float = 1.0, **more: Any) -> nt.BacktestResult:
    rates = more.pop("rates", {"USDT": "0.5", "BTC": 60_000})
    return nt.backtest(
        (quotes(start, hours), TABLE), BuyOnce(), rates=rates, limits=RiskLimits.unlimited(), capacity=SMALL,
        sample_interval=60.0, **more,
    )  # fmt: skip


def test_settlement_currencies_become_one_equity() -> None:
    result = run()
    assert result.statistics.currency == "USD"
    by_hand = 0.0
    for row in result.positions:
        number = int(row["instrument"])
        item = TABLE[number]
        first, last = (np.asarray(result.fills["price"])[np.asarray(result.fills["instrument"]) == number][0],
                       result.marks.last_mid(number))  # fmt: skip
        if item.contract == Contract.LINEAR:
            earned = 100 * (last - first) / 100
        else:
            earned = 100 * (10 / first - 10 / last)
        by_hand += earned * {"USD": 1.0, "USDT": 0.5, "BTC": 60_000.0}[item.currency]
    assert by_hand > 100
    assert result.statistics.total.net == pytest.approx(by_hand, abs=1e-3)
    equity = np.asarray(result.equity_of(-1)["equity_float"])
    assert equity[-1] - 50_000 == pytest.approx(by_hand, abs=1e-3)
    assert sum(f.net for f in result.statistics.instruments) == pytest.approx(by_hand, abs=1e-3)
    assert any("rates that do not move" in note for note in result.statistics.notes)
    assert result.to_dict()


def test_a_missing_rate_names_the_pair_and_the_option() -> None:
    with pytest.raises(
        ValueError, match=r"XBT@DERI settles in BTC .* rate of BTC/USD.*--rate BTC=.*found rates of USDT"
    ):
        run(rates={"USDT": "1"})
    with pytest.raises(ValueError, match="decimal rate of USDT, found 'one'"):
        run(rates={"USDT": "one", "BTC": 1})


def test_another_account_currency_can_be_named() -> None:
    in_btc = run(currency="BTC", rates={"USD": "0.00002", "USDT": "0.00001"})
    assert in_btc.statistics.currency == "BTC"
    assert 0 < in_btc.statistics.total.net < 1


def test_configurations_and_the_command_line_give_rates() -> None:
    config = config_from({"rates": {"USDT": 1}, "currency": "USD", "time_zone": "Asia/Tokyo"})
    assert with_rates(config, ["BTC=60000"]).rates == {"USDT": "1", "BTC": "60000"}
    assert config.time_zone == "Asia/Tokyo"
    with pytest.raises(RunConfigError, match="expected CURRENCY=NUMBER"):
        with_rates(config, ["BTC"])


def test_hours_and_days_are_those_of_the_zone_when_its_clock_changes() -> None:
    zone = ZoneInfo("America/New_York")
    # clocks go forward on 8 March 2026: 09:00 is 14:00 UTC the day before and 13:00 UTC the day after
    for day, utc in ((7, 14), (9, 13)):
        start = int(datetime(2026, 3, day, 9, tzinfo=zone).timestamp()) * SECOND
        local = run(start, 1.0, time_zone="America/New_York").statistics.hours
        assert {h for _, h, net in local if net} == {9}
        assert {h for _, h, net in run(start, 1.0).statistics.hours if net} == {utc}


def test_the_report_names_its_clock(tmp_path: Path) -> None:
    page = run(time_zone="America/New_York").write_html(tmp_path / "local.html").read_text("utf-8")
    assert "America/New York" in page
    assert " UTC" in run().write_html(tmp_path / "utc.html").read_text("utf-8")


def test_a_day_of_losses_ends_at_local_midnight() -> None:
    evening = int(datetime(2026, 3, 7, 23, 30, tzinfo=ZoneInfo("America/New_York")).timestamp()) * SECOND
    days = {}
    for name in ("America/New_York", "UTC"):
        result = run(evening, 1.0, time_zone=name)
        days[name] = result.output
    assert days["UTC"].state_hash != days["America/New_York"].state_hash
    assert days["UTC"].journal_hash == days["America/New_York"].journal_hash
