import pytest

from nanotick.cli.app import USAGE, run
from nanotick.cli.live_config import LiveConfig, live_config_from, read_dotenv, read_live_config, with_environment
from nanotick.cli.run_session import LiveRun
from nanotick.research.run_config import RunConfigError
from nanotick.venues.registry import package

TREE = {
    "feeds": {"providers": ["polygon"], "buffer_size": 4096, "latency_threshold": 2, "reconnect_interval": 5},
    "order_management": {"max_orders_per_second": 50, "order_timeout": 3, "fill_timeout": 10, "retry_attempts": 3},
    "strategy_engine": {
        "max_strategies": 2, "signal_buffer_size": 10, "execution_timeout": 4, "performance_window": 2,
    },
    "risk_management": {
        "max_daily_loss": 1000, "max_drawdown": "0.1", "max_position_size": 500, "max_exposure": "0.5",
        "check_interval": 1, "violation_threshold": 3,
    },
}  # fmt: skip


def test_a_whole_file(tmp_path):
    path = tmp_path / "live.yaml"
    path.write_text(
        "mode: paper\nvenues: [alpaca]\nfeeds: polygon\nsymbols: [SPY]\nstrategies: [glft]\nduration: 60\n"
        "flatten: true\n"
        "endpoints: {alpaca.rest: 'http://127.0.0.1:1'}\norders: {order_timeout: 2, foreign_orders: cancel}\n"
        "limits: {max_order_qty: 10}\nlog_level: debug\n"
    )
    found = read_live_config(path)
    assert (found.mode, found.venues, found.feeds, found.duration, found.flatten) == (
        "paper", ("alpaca",), ("polygon",), 60.0, True,
    )  # fmt: skip
    assert found.orders.order_timeout == 2.0 and found.orders.foreign_orders == "cancel"
    assert found.run.limits == {"max_order_qty": 10} and found.run.strategies[0].use == "glft"
    assert not found.embedded


def test_threading_and_its_cores(tmp_path):
    path = tmp_path / "live.yaml"
    path.write_text("threading: pinned\ncores: {feeds: [1, 2], engine: 3, gateway: 4}\n")
    found = read_live_config(path)
    assert found.threading == "pinned" and found.cores == {"feeds": (1, 2), "engine": (3,), "gateway": (4,)}
    assert LiveConfig().threading == "inline"


def test_the_hft_tree_becomes_our_own_settings():
    found = live_config_from({"hft": {"enabled": True, **TREE}, "cash": 50_000, "strategies": ["glft"]})
    limits = found.run.limits
    assert limits["max_orders_per_second"] == 50 and limits["max_position_qty"] == 500
    assert float(limits["max_daily_loss_share"]) == pytest.approx(0.02)  # 1,000 of 50,000
    assert limits["max_drawdown_share"] == "0.1" and limits["max_book_age_s"] == 2
    assert found.feeds == ("polygon",)
    assert any("buffer_size" in note for note in found.notes)
    with pytest.raises(RunConfigError, match="max_strategies is 2"):
        live_config_from({"hft": TREE, "strategies": ["glft", "grid", "momentum"]})
    with pytest.raises(RunConfigError, match="enabled is false"):
        live_config_from({"hft": {"enabled": False}})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mod": "paper"}, "did you mean 'mode'"),
        ({"mode": "papr"}, "expected one of"),
        ({"venues": 5}, "expected names"),
        ({"duration": -1}, "0 or more"),
        ({"threading": "pined"}, "threading: expected one of inline, pinned, found 'pined'"),
        ({"cores": {"engin": 1}}, "did you mean 'engine'"),
        ({"cores": {"engine": "two"}}, "cores.engine: expected a processor's number"),
        ({"duration": "long"}, "number of seconds"),
        ({"flatten": "yes"}, "true or false"),
        ({"orders": {"order_timeut": 1}}, "order_timeout"),
        ({"orders": {"foreign_orders": "keep"}}, "adopt, cancel, refuse"),
        ({"log_level": "loud"}, "quiet, normal"),
        ({"hft": {"risk_managment": {}}}, "risk_management"),
        ({"hft": {"feeds": {"provider": []}}}, "providers"),
        ([], "names and values"),
    ],
)
def test_what_is_wrong_is_named(values, words):
    with pytest.raises(RunConfigError, match=words):
        live_config_from(values)


def test_the_environment_fills_what_nobody_said():
    environment = {
        "TRADING_MODE": "shadow", "TRADING_SYMBOLS": "SPY, QQQ", "MAX_POSITION_SIZE": "200", "LOG_LEVEL": "DEBUG",
    }  # fmt: skip
    found = with_environment(LiveConfig(), environment)
    assert (found.mode, found.run.symbols, found.log_level) == ("shadow", ("SPY", "QQQ"), "debug")
    assert found.run.limits == {"max_position_qty": "200"}
    kept = with_environment(live_config_from({"mode": "paper", "symbols": ["IBIT"]}), environment)
    assert (kept.mode, kept.run.symbols) == ("paper", ("IBIT",))
    with pytest.raises(RunConfigError, match="TRADING_MODE"):
        with_environment(LiveConfig(), {"TRADING_MODE": "yolo"})


def test_dotenv(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# keys\nALPACA_API_KEY=abc # mine\nexport TRADING_SYMBOLS=\"SPY,QQQ\"\n\nEMPTY=\nQUOTED='a # b'\n")
    assert read_dotenv(path) == {"ALPACA_API_KEY": "abc", "TRADING_SYMBOLS": "SPY,QQQ", "EMPTY": "", "QUOTED": "a # b"}
    assert read_dotenv(tmp_path / "none") == {}
    path.write_text("GOOD=1\nsecret stuff\n")
    with pytest.raises(RunConfigError, match=r"line 2: expected NAME=VALUE") as raised:
        read_dotenv(path)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mode", "live", "--venue", "alpaca", "--symbols", "SPY", "-s", "glft"], "i-understand-this-trades"),
        (["--mode", "paper", "-s", "glft", "--symbols", "SPY"], "--venue"),
        (["--mode", "paper", "--venue", "alpca", "-s", "glft", "--symbols", "SPY"], "did you mean 'alpaca'"),
        (["--mode", "paper", "--venue", "alpaca", "--symbols", "SPY"], "no strategy"),
        (["--mode", "paper", "--venue", "alpaca", "-s", "glft"], "--symbols"),
        (["--mode", "paper", "--venue", "alpaca", "-s", "glft", "--symbols", "SPY"], "ALPACA_API_KEY"),
        (["--log-level", "loud"], "--log-level"),
        (["--mode", "quick"], "--mode"),
    ],
)
def test_run_refuses_with_a_next_step(arguments, words, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("ALPACA_API_KEY", "APCA_API_KEY_ID", "TRADING_MODE"):
        monkeypatch.delenv(name, raising=False)
    assert run(["run", "--state", str(tmp_path / "state"), *arguments]) in (1, USAGE)
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("mode", "keys", "here", "data"),
    [
        ("shadow", {"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "s"}, True, "wss://stream.binance.com:9443"),
        ("paper", {}, True, "wss://stream.binance.com:9443"),
        ("paper", {"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "s"}, False, "wss://stream.testnet.binance.vision"),
        ("live", {"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "s"}, False, "wss://stream.binance.com:9443"),
    ],
)
def test_who_fills_and_whose_prices_are_heard(mode, keys, here, data, tmp_path):
    asked = LiveConfig(mode=mode, venues=("binance",), state=str(tmp_path))
    made = LiveRun(asked, keys, False, True, False)
    source = package("binance")
    account = made._account(source, None)
    assert (account.paper is not None) == here
    assert ("rest" in account.endpoints) == (not here)
    [feed] = made._feeds([source], None)
    assert feed.endpoints[0] == data and len(set(feed.endpoints)) == len(feed.endpoints)
    assert (len(feed.endpoints) > 1) == ("testnet" not in data)  # where to go when one fails
