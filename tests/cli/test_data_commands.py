"""`nanotick data`: the keys programs rely on, and exit codes."""

import json
from pathlib import Path

import pytest

from nanotick.cli.data import convert, inspect, validate


def out(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_inspect_says_the_same_of_a_source_and_of_its_event_file(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared_data / "us_exchange_feeds/nasdaq_itch/20191230_first1000_directory.itch50"
    assert inspect(source, as_json=True) == 0
    first = out(capsys)
    assert {"messages", "events", "instruments", "first_ts", "last_ts", "anomalies"} <= set(first)
    assert first["messages"] == {"S": 1, "R": 993, "H": 3, "Y": 3} and first["anomalies"] == {}
    for suffix in (".nt", ".nt.zst", ".parquet"):
        target = tmp_path / f"day{suffix}"
        assert convert(source, output=target, as_json=True) == 0
        capsys.readouterr()
        assert inspect(target, as_json=True) == 0
        second = out(capsys)
        assert {k: second[k] for k in first if k != "notes"} == {k: first[k] for k in first if k != "notes"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["day.nt", "day.nt.zst", "day.parquet"]


def test_validate_lobster_prints_rows_and_verdicts(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(shared_data / "lobster/GOOG_2012-06-21_1.zip", format_name="lobster", as_json=True) == 0
    result = out(capsys)
    assert result["rows"] == result["matched"] + result["undetermined"] == 49_482 and result["mismatched"] == 0


def test_strict_stops_at_the_first_anomaly_with_exit_code_1(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = shared_data / "us_exchange_feeds/nasdaq_itch/2019_first4096bytes_truncated.itch50"
    assert convert(cut, output=tmp_path / "x.nt", strict=True) == 1
    assert "truncated" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert convert(cut, output=tmp_path / "x.nt") == 0


def test_wrong_usage_is_exit_code_2_and_a_missing_file_1(tmp_path: Path) -> None:
    assert inspect() == convert() == validate() == 2
    assert convert(tmp_path / "x", to="fix") == 2
    assert inspect(tmp_path / "nowhere") == 1


def test_lobster_to_itch_on_the_command_line(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "AMZN_20120621.itch50"
    assert convert(shared_data / "lobster/AMZN_2012-06-21_1.zip", output=target, to="itch", as_json=True) == 0
    capsys.readouterr()
    assert inspect(target, as_json=True) == 0
    assert out(capsys)["messages"]["R"] == 1
