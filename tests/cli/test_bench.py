"""`nanotick bench` as a command: where it finds the benchmarks, and what it prints."""

import json

import pytest

from benchmarks import registry
from benchmarks.peer import Peer
from nanotick.cli import bench as command
from nanotick.cli.bench import bench


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(registry, "BENCHMARKS", {})
    registry.benchmark("book_l3", "a book", unit="ns", peer=Peer("other", lambda: 40.0), reach="<= 24")(lambda: 20.0)
    registry.benchmark("journal", "an append", unit="ns")(lambda: 50.0)
    monkeypatch.setattr(registry, "load", lambda: registry.BENCHMARKS)


def test_json_is_a_list_of_the_chosen_benchmarks(two, capsys):
    assert bench("book", json=True) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found == {
        "name": "book_l3",
        "value": 20.0,
        "unit": "ns",
        "peer": "other",
        "peer_value": 40.0,
        "ratio": 0.5,
        "reach": "<= 24",
    }


def test_without_names_everything_runs_and_is_tabulated(two, capsys):
    assert bench() == 0
    out = capsys.readouterr().out
    assert "book_l3" in out and "journal" in out and "reached" in out


def test_the_list_runs_nothing(two, capsys, monkeypatch):
    monkeypatch.setattr(registry, "measure", lambda *_: pytest.fail("ran"))
    assert bench(list_=True) == 0
    assert capsys.readouterr().out.splitlines()[1].split(None, 1) == ["journal", "an append"]


def test_an_unknown_name_is_answered_with_the_names(two, capsys):
    assert bench("boat") == 2
    assert "there are: book_l3, journal" in capsys.readouterr().err


def test_outside_of_a_checkout_the_command_says_where_to_run_it(capsys, monkeypatch):
    monkeypatch.setattr(command, "_find_benchmarks", lambda: None)
    assert bench() == 2
    assert "make bench" in capsys.readouterr().err


def test_an_interrupt_keeps_what_was_measured(two, capsys):
    def stop():
        raise KeyboardInterrupt

    registry.benchmark("slow", "too slow", unit="ns")(stop)
    assert bench(json=True) == 0
    captured = capsys.readouterr()
    assert [each["name"] for each in json.loads(captured.out)] == ["book_l3", "journal"]
    assert "stopped after 2 of 3" in captured.err
