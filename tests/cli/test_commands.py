"""The command line as people use it: what it prints, what it writes, how it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nanotick import __version__
from nanotick.cli.app import BAD, COMMANDS, DONE, FAULT, INTERRUPTED, USAGE, run
from nanotick.data.eventfile import write_events
from nanotick.data.synthetic import synthetic_day

SOURCE = Path(__file__).resolve().parents[2] / "src"

OWN_STRATEGY = '''
import nanotick as nt


class Lifter(nt.Strategy):
    """Buys once a second."""

    size: int = 100
    last: int = 0

    def on_book(self, ctx):
        if ctx.has_book() and ctx.now() - self.last > nt.SECOND:
            self.last = ctx.now()
            ctx.buy(self.size, ctx.best_ask(), nt.IOC)


class Sleeper(nt.Strategy):
    """Never does anything."""

    patience: int = 3

    def on_book(self, ctx):
        pass
'''


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    made = synthetic_day(seed=3, seconds=40.0)
    path = tmp_path_factory.mktemp("data") / "day.nt"
    write_events(path, [made.events], list(made.instruments))
    return path


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN_STRATEGY)
    return path


def as_json(capsys):
    return json.loads(capsys.readouterr().out)


def program(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "nanotick.cli.app", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_and_version_load_neither_numpy_nor_numba():
    code = (
        "import sys; from nanotick.cli.app import run; code = run(sys.argv[1:]);"
        "print(code, [m for m in ('numpy', 'numba', 'pyarrow', 'llvmlite') if m in sys.modules])"
    )
    for arguments in (["--help"], ["--version"], ["backtest", "--help"], ["demo", "--help"], ["doctor", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "0 []", arguments


def test_the_program_answers_for_its_version():
    done = program("--version")
    assert (done.returncode, done.stdout) == (0, f"nanotick {__version__}\n")


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_explains_itself(name, capsys):
    assert run([name, "--help"]) == DONE
    text = capsys.readouterr().out
    assert len(text.splitlines()) > 6
    if name not in ("data", "bench"):
        assert f"nanotick {name}" in " ".join(text.split())


def test_a_backtest_prints_its_summary_and_writes_what_it_is_asked_for(day, tmp_path, capsys):
    html, figures = tmp_path / "report.html", tmp_path / "out.json"
    code = run(["backtest", str(day), "-s", "glft", "--symbols", "ALFA", "--cash", "1000000",
                "--html", str(html), "--json", str(figures), "-q"])  # fmt: skip
    assert code == DONE
    printed = capsys.readouterr().out
    assert "Net P&L" in printed and "events in" in printed
    found = json.loads(figures.read_text())
    assert found["schema"] == "nanotick.backtest/1"
    assert [s["name"] for s in found["strategies"]] == ["glft"]
    assert found["config"]["cash"] == "1000000"
    assert html.read_text().startswith("<!doctype html>")


def test_json_on_standard_output_is_all_there_is(day, capsys):
    assert (
        run(["backtest", str(day), "-s", "imbalance", "--per-symbol", "--set", "threshold=0.95", "--json", "-"]) == DONE
    )
    found = as_json(capsys)
    assert [s["name"] for s in found["strategies"]] == ["imbalance ALFA", "imbalance BETA", "imbalance GAMA"]
    assert {s["parameters"]["threshold"] for s in found["strategies"]} == {0.95}


def test_a_strategy_of_ones_own_runs_over_all_symbols_at_once(day, own, capsys):
    assert run(["backtest", str(day), "-s", f"{own}:Lifter", "--cash", "1000000", "--json", "-"]) == DONE
    [strategy] = as_json(capsys)["strategies"]
    assert strategy["name"] == "Lifter"
    assert strategy["figures"]["orders"] > 10
    assert run(["backtest", str(day), "-s", f"{own}:Lifter", "--per-symbol", "--json", "-"]) == DONE
    assert len(as_json(capsys)["strategies"]) == 3


def test_a_silent_strategy_is_explained(day, own, capsys):
    assert run(["backtest", str(day), "-s", f"{own}:Sleeper", "-q"]) == DONE
    text = " ".join(capsys.readouterr().out.split())
    assert "Sleeper did not trade. It never asked for an order" in text
    assert "patience=3" in text


def test_a_refused_strategy_names_the_check_and_the_limit(day, own, capsys):
    assert run(["backtest", str(day), "-s", f"{own}:Lifter", "--set", "limits.max_order_qty=50", "-q"]) == DONE
    text = " ".join(capsys.readouterr().out.split())
    assert "risk refused all of it, mostly by max_order_qty" in text
    assert "limit 50" in text


def test_a_configuration_file_says_it_all(day, own, tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"data: {day}\ncash: 500000\nsample_interval: 0.5\n"
        "strategies:\n"
        "  - {use: 'mine.py:Lifter', name: lifter, symbols: [BETA], parameters: {size: 200}}\n"
        "  - {use: glft, name: maker, symbols: [ALFA], limits: unlimited}\n"
        "limits: {max_order_value: 250000}\n"
        "venue: {queue: power_prob, entry_latency: 30000, fees: {maker_per_unit: '-0.002', taker_per_unit: 0.003}}\n"
    )
    assert run(["backtest", "--config", str(config), "--json", "-"]) == DONE
    found = as_json(capsys)
    assert [s["name"] for s in found["strategies"]] == ["lifter", "maker"]
    assert [i["symbol"] for s in found["strategies"] for i in s["instruments"]] == ["BETA", "ALFA"]
    lifter = found["strategies"][0]
    assert lifter["figures"]["fees"] == pytest.approx(0.003 * 200 * lifter["figures"]["fills"], rel=0.2)
    assert lifter["figures"]["latency"]["to_venue"]["median"] == 30_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("dat: x.nt", "unknown key 'dat'; did you mean 'data'?"),
        ("strategies: [{use: glft, paramters: {}}]", "unknown key 'paramters'; did you mean 'parameters'?"),
        ("strategies: [{name: x}]", "expected `use: NAME`"),
        ("venue: {quue: power_prob}", "did you mean 'queue'?"),
        ("limits: {max_order_valeu: 1}", "did you mean 'max_order_value'?"),
        ("strategies: {use: glft}", "expected a list"),
        ("data: [a, b", "not YAML"),
        ("seed: many", "must be numbers"),
        ("- a list", "expected names and values"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(text, problem, day, tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text(text)
    assert run(["backtest", str(day), "-s", "glft", "--config", str(config), "-q"] if "strategies" not in text
               else ["backtest", str(day), "--config", str(config), "-q"]) == USAGE  # fmt: skip
    assert problem in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["backtest"], USAGE, "no strategy"),
        (["backtest", "-s", "glft"], USAGE, "nanotick data synthetic -o day.nt"),
        (["backtest", "nowhere.nt", "-s", "glft"], BAD, "nowhere.nt does not exist"),
        (["backtest", "DAY", "-s", "imbalanc"], USAGE, "did you mean 'imbalance'?"),
        (["backtest", "DAY", "-s", "imbalance", "--set", "treshold=1"], USAGE, "did you mean 'threshold'?"),
        (["backtest", "DAY", "-s", "imbalance", "--set", "threshold"], USAGE, "expected NAME=VALUE"),
        (["backtest", "DAY", "-s", "imbalance", "--symbols", "OMEGA"], BAD, "there are ALFA, BETA, GAMA"),
        (["backtest", "DAY", "-s", "nowhere.py:X"], USAGE, "there is no file nowhere.py"),
        (["backtest", "DAY", "-s", "OWN:Liftr"], USAGE, "did you mean 'Lifter'?"),
        (["backtest", "DAY", "-s", "OWN"], USAGE, "name one as path.py:Class"),
        (["backtest", "DAY", "-s", "glft", "-s", "glft"], USAGE, "give each a `name`"),
        (["bactest"], USAGE, 'Did you mean "backtest"'),
        (["backtest", "--nonsense"], USAGE, "--nonsense"),
    ],
)
def test_mistakes_are_one_sentence_with_a_next_step(arguments, code, problem, day, own, capsys):
    filled = [a.replace("DAY", str(day)).replace("OWN", str(own)) for a in arguments]
    assert run(filled) == code
    text = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert problem in text
    assert "Traceback" not in text


def test_a_broken_strategy_file_names_its_line(day, tmp_path, capsys):
    path = tmp_path / "broken.py"
    path.write_text("import nanotick as nt\nclass X(nt.Strategy:\n    pass\n")
    assert run(["backtest", str(day), "-s", f"{path}:X"]) == USAGE
    assert f"{path}:2:" in capsys.readouterr().err.replace("\n", "")


def test_debugging_shows_where_it_happened(monkeypatch):
    monkeypatch.setenv("NANOTICK_DEBUG", "1")
    with pytest.raises(FileNotFoundError):
        run(["backtest", "nowhere.nt", "-s", "glft"])


def test_a_fault_of_our_own_is_called_one(monkeypatch, capsys):
    import nanotick.cli.version as command

    def broken():
        raise KeyError("lost")

    monkeypatch.delenv("NANOTICK_DEBUG", raising=False)
    monkeypatch.setattr(command, "versions", broken)
    assert run(["version"]) == FAULT
    assert "NANOTICK_DEBUG=1" in capsys.readouterr().err


def test_an_interrupted_run_reports_what_was_run(day, monkeypatch, tmp_path, capsys):
    from nanotick.cli.progress import RunProgress

    def stop(self, done, total, seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunProgress, "events", stop)
    path = tmp_path / "partial.json"
    assert run(["backtest", str(day), "-s", "glft", "--json", str(path), "-q"]) == INTERRUPTED
    assert json.loads(path.read_text())["partial"] is True
    assert "stopped before the end" in capsys.readouterr().err


def test_the_demonstration_makes_a_report_and_says_what_next(tmp_path, capsys):
    html, picture = tmp_path / "demo.html", tmp_path / "images" / "demo.svg"
    assert run(["demo", "--seconds", "12", "--html", str(html), "--picture", str(picture)]) == DONE
    captured = capsys.readouterr()
    for wanted in ("69 US symbols", "market_making", "pair SPY QQQ", str(html), "nanotick data convert"):
        assert wanted in captured.out.replace("\n", "")
    assert "12 of 12 s" in captured.err and "x real time" in captured.err
    assert "market making" in html.read_text().lower()
    assert picture.read_text().startswith("<svg ")


def test_the_demonstration_is_the_same_every_time(capsys):
    found = []
    for _ in range(2):
        assert run(["demo", "--seconds", "3", "--html", os.devnull, "--json", "-"]) == DONE
        found.append(as_json(capsys))
    assert found[0]["hashes"] == found[1]["hashes"]
    assert found[0]["total"] == found[1]["total"]


def test_strategies_trade_in_a_described_market(tmp_path, capsys):
    html = tmp_path / "sim.html"
    code = run(["simulate", "us-equities", "-s", "imbalance", "--symbols", "AAPL,MSFT", "--seconds", "20",
                "--set", "size=10", "--seed", "3", "--html", str(html), "--json", "-"])  # fmt: skip
    assert code == DONE
    found = as_json(capsys)
    assert found["total"]["fills"] > 0
    assert html.exists()
    assert run(["simulate", "us-equities"]) == USAGE
    assert "no strategy" in capsys.readouterr().err
    assert run(["simulate", "us-equitie", "-s", "imbalance"]) == BAD
    assert "us-equities" in capsys.readouterr().err
    assert run(["simulate", "us-equities", "-s", "statistical-arbitrage", "--symbols", "AAPL"]) == USAGE
    assert "2 to 8 instruments" in capsys.readouterr().err


def test_synthetic_data_becomes_a_file(tmp_path, capsys):
    path = tmp_path / "levels.nt"
    assert run(["data", "synthetic", "-o", str(path), "--form", "levels", "--hours", "0.01", "--json"]) == DONE
    found = as_json(capsys)
    assert found["symbols"] == ["ALFA", "BETA", "GAMA"]
    assert run(["data", "inspect", str(path), "--json"]) == DONE
    inspected = as_json(capsys)
    assert sum(inspected["events"].values()) == found["events"]


def test_built_in_strategies_are_listed_with_their_parameters(capsys):
    assert run(["strategies", "--json"]) == DONE
    rows = {row["name"]: row for row in as_json(capsys)}
    assert rows["imbalance"]["parameters"]["threshold"] == 0.7
    assert "opens a position" in rows["imbalance"]["meaning"]["threshold"]
    assert run(["strategies"]) == DONE
    assert "avellaneda-stoikov" in capsys.readouterr().out


def test_the_doctor_finds_a_cache_nobody_can_write(monkeypatch, tmp_path, capsys):
    from nanotick.core import cache

    assert run(["doctor", "--json"]) in (DONE, BAD)
    names = [check["name"] for check in as_json(capsys)]
    assert names[:9] == [
        "python", "processor", "numba", "cache", "compiled code", "disk", "shared memory", "memory", "extras",
    ]  # fmt: skip
    assert {"cpu governor", "pinning", "locked memory", "clock sync"} <= set(names[9:])
    monkeypatch.setattr(cache, "cache_directory", lambda: None)
    assert run(["doctor", "--json"]) == BAD
    [found] = [check for check in as_json(capsys) if check["name"] == "cache"]
    assert found["state"] == "failed" and "NANOTICK_CACHE_DIR" in found["advice"]


def test_versions_are_listed(capsys):
    assert run(["version", "--json"]) == DONE
    found = as_json(capsys)
    assert found["nanotick"] == __version__
    assert found["numba"]
