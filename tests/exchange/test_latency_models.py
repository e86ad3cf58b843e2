"""Latency: measured rows, distributions, no overtaking on any of the three paths, full queues, a model of one's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.kernel import python_body
from nanotick.core.records import Kind
from nanotick.exchange import NEVER, ConfigError, Latency, VenueConfig, VenueStatus
from nanotick.exchange.draws import GAMMA_NUMBERS, gamma, normal, uniform
from nanotick.exchange.latency import PATH_ENTRY, PATH_RESPONSE, latency_rows
from tests.exchange.latent_day import SawtoothLatency
from tests.exchange.records_of import command, event, level, told, venue

ROWS = np.array([[1_000, 1_100, 1_250], [2_000, 2_400, 2_500], [3_000, 0, 3_900], [4_000, 4_200, 4_210]])


def pushed(place, now):
    return place.push(command(Kind.CANCEL, 1), now) - now


@pytest.mark.parametrize(
    ("now", "expected"),
    [(500, 100), (1_000, 100), (1_500, 250), (1_999, 399), (2_000, 400), (4_000, 200), (9_000, 200)],
)
def test_entry_latency_is_interpolated_between_measured_rows(now, expected):
    rows = np.delete(ROWS, 2, axis=0) if now != 2_000 else ROWS[:2]
    place = venue(VenueConfig(entry_latency=Latency("interpolated", rows=rows)))
    assert pushed(place, now) == expected


def test_response_latency_is_interpolated_by_the_time_of_processing():
    place = venue(VenueConfig(response_latency=Latency("interpolated", rows=ROWS)))
    for now, expected in ((900, 150), (1_100, 150), (1_750, 125), (2_400, 100), (3_300, 55), (5_000, 10)):
        place.command(command(Kind.CANCEL, 1), now)
        report = place.reports()[0]
        assert report["ts_recv"] - report["ts_venue"] == expected


def test_overloaded_venue_refuses_unprocessed_and_says_so_after_the_round_trip():
    place = venue(VenueConfig(entry_latency=Latency("interpolated", rows=ROWS)))
    assert place.push(command(Kind.NEW, 1, 1, 100, 5), 2_500) == NEVER
    assert place.push(command(Kind.CANCEL, 7), 3_500) == NEVER
    reports = place.reports()
    assert told(reports) == [("REJECTED", 100, 5, 9), ("CANCEL_REJECTED", 0, 0, 9)]
    # round trips of 500 and 900, half way: 700; of 900 and 210, half way: 555
    assert reports["ts_recv"].tolist() == [2_500 + 700, 3_500 + 555]


@given(
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 900)), min_size=2, max_size=20), st.integers(-10, 25_000)
)
def test_interpolation_agrees_with_numpy(steps, ts):
    sent = np.cumsum([1 + gap for gap, _ in steps])
    delays = np.array([delay for _, delay in steps])
    rows = np.column_stack([sent, sent + delays, sent + 2 * delays])
    place = venue(VenueConfig(entry_latency=Latency("interpolated", rows=rows)))
    assert abs(pushed(place, ts) - np.interp(ts, sent, delays)) < 1.0000001


@pytest.mark.parametrize("make", [lambda p, rows: np.savez(p, data=rows), np.save])
def test_latency_files_are_read(tmp_path, make):
    dtype = [("req_ts", "i8"), ("exch_ts", "i8"), ("resp_ts", "i8"), ("_padding", "i8")]
    rows = np.zeros(2, dtype)
    rows["req_ts"], rows["exch_ts"], rows["resp_ts"] = [10, 20], [15, 29], [21, 31]
    path = tmp_path / ("latency.npz" if make is not np.save else "latency.npy")
    make(path, rows)
    assert latency_rows(path, PATH_ENTRY).tolist() == [(10, 5, 11), (20, 9, 11)]
    assert latency_rows(path, PATH_RESPONSE).tolist() == [(15, 6, 11), (29, 2, 11)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((0, 3)), "no rows"),
        (np.zeros(4), r"expected shape \(n, 3\)"),
        (np.zeros(1, [("a", "i8")]), "expected columns req_ts"),
        ([[5, 6, 7], [4, 6, 8]], "row 1 is earlier"),
        ([[5, 4, 7]], "row 0 has a negative latency"),
        ([[5, 6, 4]], "row 0 has a negative latency"),
    ],
)
def test_impossible_latency_rows_are_refused_with_their_place(rows, message):
    with pytest.raises(ValueError, match=message):
        latency_rows(np.asarray(rows), PATH_ENTRY)


def test_distributions_have_the_moments_they_claim():
    draw, key = python_body(normal), 42
    sample = np.array([draw(key, 2 * i) for i in range(4_000)])
    assert abs(sample.mean()) < 0.05
    assert abs(sample.std() - 1) < 0.05
    for shape in (0.5, 1.0, 4.0):
        sample = np.array([python_body(gamma)(key, GAMMA_NUMBERS * i, shape) for i in range(3_000)])
        assert abs(sample.mean() / shape - 1) < 0.08
        assert abs(sample.var() / shape - 1) < 0.2
    sample = np.array([python_body(uniform)(key, i) for i in range(4_000)])
    assert abs(sample.mean() - 0.5) < 0.02
    assert 0 < sample.min() < sample.max() < 1


def test_draws_depend_on_seed_and_path_and_repeat():
    def delays(seed):
        latency = Latency("lognormal", ns=1_000_000, spread=1.0)
        place = venue(VenueConfig(entry_latency=latency, seed=seed))
        return [pushed(place, 10**9 * n) for n in range(1, 20)]

    assert delays(1) == delays(1)
    assert delays(1) != delays(2)
    assert len(set(delays(1))) == 19


def test_no_message_overtakes_another_on_its_path():
    latency = Latency("lognormal", ns=100_000, spread=2.0)
    place = venue(VenueConfig(entry_latency=latency, response_latency=latency, feed_latency=latency))
    arrivals = [place.push(command(Kind.CANCEL, 1), 1_000 * n) for n in range(60)]
    assert arrivals == sorted(arrivals)
    for n in range(60):
        place.command(command(Kind.CANCEL, n + 1), 1_000 * n)
    reports = place.reports()
    assert reports["id"].tolist() == list(range(1, 61))
    assert (np.diff(reports["ts_recv"]) >= 0).all()
    feed = [place.feed_arrival(level(1_000 * n, 1, 100, 1)) for n in range(60)]
    assert feed == sorted(feed)
    assert len(set(feed)) < 60, "nobody ever caught up: the case proves nothing"


def test_two_exchanges_share_the_queues_but_not_the_order():
    table = InstrumentTable([Instrument("A", "FAR"), Instrument("A", "NEAR")])
    far, near = VenueConfig(entry_latency=900, response_latency=900), VenueConfig(entry_latency=10, response_latency=20)
    place = venue({"FAR": far, "NEAR": near}, table)
    assert place.push(command(Kind.CANCEL, 1, instrument=0), 100) == 1_000
    assert place.push(command(Kind.CANCEL, 2, instrument=1), 200) == 210
    assert place.push(command(Kind.CANCEL, 3, instrument=0), 300) == 1_200
    place.arrive()
    place.arrive()
    place.arrive()
    reports = place.reports()
    assert [(int(r["id"]), int(r["ts_recv"])) for r in reports] == [(2, 230), (1, 1_900), (3, 2_100)]


def test_feed_latency_is_recorded_added_or_from_the_venue():
    row = level(1_000, 1, 100, 5)
    row["ts_recv"] = 1_400
    assert venue(VenueConfig()).feed_arrival(row) == 1_400
    assert venue(VenueConfig(feed_latency=50)).feed_arrival(row) == 1_450
    assert venue(VenueConfig(feed_latency=50, feed_from="venue")).feed_arrival(row) == 1_050


def test_full_queues_are_a_status_and_overwrite_nothing():
    place = venue(VenueConfig(), commands=4, reports=4)
    for n in range(4):
        assert place.push(command(Kind.CANCEL, n + 1), n) == n
    assert place.push(command(Kind.CANCEL, 9), 9) == -int(VenueStatus.COMMANDS_FULL)
    for _ in range(4):
        place.arrive()
    assert place.command(command(Kind.CANCEL, 5), 10) < 0
    assert place.status & VenueStatus.REPORTS_FULL
    assert place.reports()["id"].tolist() == [1, 2, 3, 4]


def test_unknown_instrument_is_a_status():
    place = venue(VenueConfig())
    assert place.events(event(Kind.LEVEL, 1, 100, 5, 1, instrument=3)) == -int(VenueStatus.BAD_INSTRUMENT)


def test_latency_model_of_ones_own():
    place = venue(VenueConfig(entry_latency=SawtoothLatency(step=100), response_latency=SawtoothLatency(step=10)))
    assert [pushed(place, 10**6 * n) for n in range(3)] == [5_100, 5_200, 5_300]
    place.arrive()
    assert place.reports()["ts_recv"][0] == 5_100 + 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "lognorml"}, "did you mean 'lognormal'"),
        ({"model": "interpolated"}, "measured rows"),
        ({"model": "constant", "ns": -5}, "0 ns or more"),
        ({"model": "gamma", "shape": 0.0}, "shape positive"),
    ],
)
def test_impossible_latency_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Latency(**settings)
