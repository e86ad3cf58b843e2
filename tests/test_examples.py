"""The examples run as they stand: on the generated day always, on real recordings where these are present."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_own_strategy(tmp_path):
    result = load("own_strategy").main(str(tmp_path / "report.html"), seconds=120.0)
    assert len(result.orders) > 0
    assert (tmp_path / "report.html").stat().st_size > 50_000


@pytest.mark.parametrize(
    ("name", "source", "more"),
    [
        pytest.param("lobster", "lobster/AAPL_2012-06-21_1.zip", [], marks=pytest.mark.nightly),
        ("itch", "us_exchange_feeds/nasdaq_itch/AAPL_20191230_0935_50k.itch50.xz", ["AAPL"]),
    ],
)
def test_examples_trade_real_recordings(name, source, more, shared_data, tmp_path):
    report = tmp_path / "report.html"
    result = load(name).main(str(shared_data / source), *more, str(report))
    assert len(result.fills) > 0
    assert report.exists()


@pytest.mark.nightly
def test_binance_runs_under_every_queue_model(shared_data, tmp_path):
    result = load("binance").main(
        str(shared_data / "hftbacktest/usdm/btcusdt_20230405.dat.gz"), str(tmp_path / "report.html")
    )
    assert len(result.fills) > 0
