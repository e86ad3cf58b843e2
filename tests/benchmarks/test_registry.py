"""The benchmark registry: aims, peers, selection and what is printed."""

import json
import sys
from io import StringIO

import pytest
from rich.console import Console

from benchmarks import peer, registry, report
from benchmarks.peer import Peer, PeerUnavailable, published
from benchmarks.registry import Benchmark, Result, benchmark, measure, parse_reach, select
from benchmarks.timing import median_cpu_seconds, rate


@pytest.fixture
def empty(monkeypatch):
    monkeypatch.setattr(registry, "BENCHMARKS", {})
    monkeypatch.setattr(registry, "load", lambda: registry.BENCHMARKS)


@pytest.mark.parametrize(
    ("reach", "value", "ratio", "expected"),
    [
        (">= 2.5x", 1.0, 2.5, True),
        (">= 2.5x", 9.0, 2.4, False),
        ("<= 1.2x", 1.0, 1.1, True),
        ("<= 24", 24.0, None, True),
        ("<= 24", 24.5, 0.1, False),
        (">= 30", 31.0, None, True),
        (">= 2.5x", 1.0, None, None),
        (None, 1.0, 1.0, None),
    ],
)
def test_an_aim_judges_the_ratio_or_the_value(reach, value, ratio, expected):
    assert Result("a", value, "ns", None, None, ratio, reach).reached is expected


@pytest.mark.parametrize("reach", ["2.5x", "> 3", ">= x", ">=2", "<= 1.2 x"])
def test_an_aim_that_is_no_comparison_is_refused(reach):
    with pytest.raises(ValueError, match="is not a comparison"):
        parse_reach(reach)


def test_a_result_is_the_value_over_its_peers(empty):
    @benchmark("fast", "a thing", unit="rows/s", peer=Peer("slow", lambda: 4.0), reach=">= 2x")
    def fast():
        return 10.0

    (result,) = measure(select(["fa"]), say=lambda line: None)
    assert (result.ratio, result.reached, result.peer) == (2.5, True, "slow")


def test_a_peer_that_cannot_be_run_is_said_and_left_out(empty):
    def absent():
        raise PeerUnavailable("no peers; `make bench` installs them")

    said = []
    chosen = [Benchmark("a", "a thing", "ns", lambda: 3.0, Peer("other", absent), ">= 2x")]
    (result,) = measure(chosen, said.append)
    assert (result.value, result.peer_value, result.ratio, result.reached) == (3.0, None, None, None)
    assert any("make bench" in line for line in said)


def test_two_benchmarks_of_one_name_are_refused(empty):
    benchmark("a", "one", unit="ns")(lambda: 1.0)
    with pytest.raises(ValueError, match="two benchmarks are named 'a'"):
        benchmark("a", "two", unit="ns")(lambda: 1.0)


def test_an_unknown_name_lists_the_names_there_are(empty):
    benchmark("book_l3", "a book", unit="ns")(lambda: 1.0)
    assert [each.name for each in select(["book"])] == ["book_l3"]
    with pytest.raises(KeyError, match="no benchmark is named 'boat'; there are: book_l3"):
        select(["boat"])


def test_json_holds_exactly_the_promised_fields():
    (read,) = json.loads(report.as_json([Result("a", 2.0, "ns", "b", 1.0, 2.0, "<= 3")]))
    assert list(read) == ["name", "value", "unit", "peer", "peer_value", "ratio", "reach"]


def test_the_table_marks_what_is_reached_and_what_is_not():
    out = StringIO()
    console = Console(file=out, width=160)
    report.print_table(
        [
            Result("near", 18_000_000.0, "rows/s", "other", 10e6, 1.8, ">= 2.5x"),
            Result("there", 20.0, "ns", None, None, None, "<= 24"),
        ],
        console,
    )
    lines = out.getvalue().splitlines()
    assert any("near" in line and "18 M rows/s" in line and "1.8x" in line and "not yet" in line for line in lines)
    assert any("there" in line and "20 ns" in line and "reached" in line for line in lines)


def test_time_is_the_median_of_runs_on_fresh_state_without_the_preparation():
    prepared = []

    def prepare():
        prepared.append(len(prepared))
        return prepared[-1]

    ran = []
    seconds = median_cpu_seconds(ran.append, prepare, runs=3)
    assert ran == prepared == [0, 1, 2, 3]
    assert 0 <= seconds < 1
    assert rate(10, lambda state: sum(range(10_000)), lambda: None, runs=3) > 0


def test_a_published_figure_says_so():
    constant = published("CppTrader market manager, 100 symbols", 141.0)
    assert constant.value() == 141.0
    assert constant.label.endswith("(published)")


def test_a_peer_script_runs_apart_and_its_failure_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(peer, "SCRIPTS", tmp_path)
    monkeypatch.setenv("NANOTICK_PEERS_PYTHON", sys.executable)
    (tmp_path / "good.py").write_text("import sys\nprint('noise')\nprint('{\"value\": ' + sys.argv[1] + '}')\n")
    (tmp_path / "bad.py").write_text("raise SystemExit('the data is not there')\n")
    assert peer.run_script("good", "41.5") == 41.5
    with pytest.raises(PeerUnavailable, match="bad failed with 1: the data is not there"):
        peer.run_script.__wrapped__("bad")
    monkeypatch.setenv("NANOTICK_PEERS_PYTHON", str(tmp_path / "nowhere"))
    with pytest.raises(PeerUnavailable, match="`make bench` installs them"):
        peer.run_script.__wrapped__("good", "1")
