"""`nanotick market`: described markets are listed, shown, simulated into files, measured and fitted."""

import json

import pytest

from nanotick.cli.app import BAD, DONE, USAGE, run
from nanotick.core.records import Flag, Kind
from nanotick.data.eventfile import EventFile
from nanotick.exchange.agents.description import read_description, shipped


def as_json(capsys):
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def minute(tmp_path_factory):
    path = tmp_path_factory.mktemp("market") / "minute.nt"
    assert run(["market", "simulate", "us-equities", "--symbols", "SPY,AAPL", "--duration", "60", "--seed", "5",
                "-o", str(path), "--json"]) == DONE  # fmt: skip
    return path


def test_markets_are_listed_and_shown(capsys):
    assert run(["market", "list", "--json"]) == DONE
    assert {row["name"] for row in as_json(capsys)} == set(shipped()) == {"us-equities", "crypto", "index-future"}
    assert run(["market", "list"]) == DONE
    assert "69 instruments" in capsys.readouterr().out
    for name in shipped():
        assert run(["market", "show", name, "--json"]) == DONE
        assert len(as_json(capsys)["instruments"]) == len(read_description(name).instruments)


def test_what_is_shown_can_be_changed_and_run(tmp_path, capsys):
    assert run(["market", "show", "index-future"]) == DONE
    mine = tmp_path / "mine.yaml"
    mine.write_text(capsys.readouterr().out.replace("volatility: 2.2", "volatility: 3.0"))
    out = tmp_path / "mine.nt"
    assert run(["market", "simulate", str(mine), "--duration", "5", "-o", str(out), "--json"]) == DONE
    assert as_json(capsys)["events"] == len(EventFile.open(out).events) > 1_000
    mine.write_text(mine.read_text().replace("half_spread", "halfspread"))
    assert run(["market", "simulate", str(mine), "--duration", "5", "-o", str(out)]) in (BAD, USAGE)
    assert "half_spread" in capsys.readouterr().err


def test_a_simulated_file_is_read_like_any_recording(minute, capsys):
    assert run(["data", "inspect", str(minute), "--json"]) == DONE
    found = as_json(capsys)
    assert len(found["instruments"]) == 2
    assert run(["backtest", str(minute), "-s", "imbalance", "--set", "size=10", "--json", "-"]) == DONE
    assert as_json(capsys)["total"]["fills"] > 0


def test_the_same_seed_makes_the_same_file(minute, tmp_path, capsys):
    again = tmp_path / "again.nt"
    command = ["market", "simulate", "us-equities", "--symbols", "SPY,AAPL", "--duration", "60", "-o", str(again)]
    assert run([*command, "--seed", "5", "--json"]) == DONE
    assert (EventFile.open(again).events == EventFile.open(minute).events).all()
    assert run([*command, "--seed", "6", "--json"]) == DONE
    assert len(EventFile.open(again).events) != len(EventFile.open(minute).events)


def test_facts_name_value_range_and_source(minute, capsys):
    assert run(["market", "facts", str(minute), "--json"]) == DONE
    sheets = as_json(capsys)
    facts = {fact["name"]: fact for sheet in sheets for fact in sheet["facts"]}
    assert {"tail_index", "sign_memory", "impact_exponent", "spread_ticks"} <= set(facts)
    assert sum(bool(fact["source"]) for fact in facts.values()) >= 8
    assert run(["market", "facts", str(minute)]) == DONE
    assert "Bouchaud" in capsys.readouterr().out


def test_facts_of_a_described_market_are_measured_over_seeds(capsys, tmp_path):
    command = ["market", "facts", "us-equities", "--symbols", "SPY,PFE", "--seeds", "2", "--duration", "60", "--json"]
    assert run(command) == DONE
    sheets = as_json(capsys)
    assert [sheet["label"] for sheet in sheets] == [
        "us-equities, seed 1", "us-equities, seed 2", "us-equities, 2 seeds",
    ]  # fmt: skip
    (impact,) = sheets[2]["facts"]
    assert impact["name"] == "metaorder_exponent" and impact["value"] is None and "needed" in impact["note"]
    assert run(["market", "facts", "us-equities", "day.nt"]) in (BAD, USAGE)
    assert "alone" in capsys.readouterr().err


def test_a_whole_day_has_its_auctions(tmp_path, capsys):
    out = tmp_path / "day.nt"
    command = ["market", "simulate", "us-equities", "--symbols", "IYR", "--whole-day", "--duration", "330", "--json"]
    assert run([*command, "-o", str(out)]) == DONE
    events = EventFile.open(out).events
    opening = read_description("us-equities").start_ns
    crossed = events[events["flags"] & int(Flag.AUCTION) != 0]
    assert len(crossed) and (crossed["ts_venue"] == opening).all()
    assert (events["ts_venue"] < opening).any() and (events["kind"] == int(Kind.IMBALANCE)).sum() > 20
    assert run(["market", "simulate", "crypto", "--whole-day", "-o", str(out)]) in (BAD, USAGE)
    assert "auctions" in capsys.readouterr().err


def test_a_market_is_fitted_and_runs(minute, tmp_path, capsys):
    fitted = tmp_path / "fitted.yaml"
    assert run(["market", "fit", str(minute), "--name", "fitted", "-o", str(fitted), "--json"]) == DONE
    assert len(as_json(capsys)["instruments"]) == 2
    assert run(["market", "simulate", str(fitted), "--duration", "10", "-o", str(tmp_path / "f.nt"), "--json"]) == DONE
    made, source = as_json(capsys)["events"] / 10, len(EventFile.open(minute).events) / 60
    assert 0.3 * source < made < 3.0 * source


def test_mistakes_are_named(tmp_path, capsys):
    assert run(["market", "show", "us-equitie"]) in (BAD, USAGE)
    assert "did you mean 'us-equities'" in capsys.readouterr().err
    code = run(["market", "simulate", "us-equities", "--symbols", "SPYY", "-o", str(tmp_path / "x.nt")])
    assert code in (BAD, USAGE)
    assert "did you mean 'SPY'" in capsys.readouterr().err
